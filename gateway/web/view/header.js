// The top bar: my name and status, the state of the connection, and the worker that serves it.

import { setAttribute, element, setText } from './elements.js';
import { STATUSES } from './format.js';

const CHOICES = ['online', 'away', 'busy', 'do_not_disturb', 'offline'];

/**
 * @param {import('../sdk/client.js').Gateway} gateway
 * @param {import('../state/store.js').Store} store
 * @param {() => void} signOut
 */
export function header(gateway, store, signOut) {
  const node = element('span', { class: 'node', testid: 'node' });
  const state = element('span', { testid: 'connection-state', 'data-part': 'state' });
  const retry = element(
    'button',
    { type: 'button', class: 'link', testid: 'reconnect', onclick: () => gateway.reconnect() },
    'Now',
  );
  const connection = element('div', { class: 'connection', role: 'status' }, state, retry, node);
  const me = element('strong', { testid: 'me-name' });
  const presence = presenceForm(store);
  const leave = element('button', { type: 'button', class: 'link', onclick: signOut }, 'Sign out');
  const root = element('header', { class: 'top' }, me, presence.root, connection, leave);
  for (const event of ['online', 'offline']) window.addEventListener(event, () => render());

  function render() {
    setText(me, store.me?.name ?? '');
    presence.render();
    const now = gateway.state;
    const offline = !navigator.onLine && now.name !== 'stopped';
    setAttribute(connection, 'data-state', offline ? 'offline' : now.name);
    setAttribute(state, 'data-state', now.name);
    setText(state, offline ? 'Offline' : describe(now));
    retry.hidden = now.name !== 'waiting' && now.name !== 'stopped';
    node.hidden = offline || now.name !== 'live';
    const server = nameOfWorker(gateway.welcome?.node ?? '');
    setText(node, server.short);
    setAttribute(node, 'title', `${server.full} serves this window`);
  }

  return { root, render };
}

/** A worker is called after its node, GATEWAY_NODE, and its number: `office-w2`. */
function nameOfWorker(name) {
  const [, node, number] = /^(.*)-w(\d+)$/.exec(name) ?? [];
  if (!number) return { short: name, full: name };
  return { short: `Worker ${number}`, full: `Worker ${number} of ${node}` };
}

function describe(state) {
  if (state.name === 'live') return 'Live';
  if (state.name === 'connecting') return 'Connecting…';
  if (state.name === 'stopped') return `Disconnected: ${state.reason || state.code}`;
  const seconds = Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000));
  return seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…';
}

/** @param {import('../state/store.js').Store} store */
function presenceForm(store) {
  const dot = element('span', { class: 'dot', 'aria-hidden': 'true' });
  const automatic = element('option', { value: '' }, 'Automatic');
  const select = element(
    'select',
    { 'aria-label': 'My status', testid: 'presence-select' },
    automatic,
    ...CHOICES.map((status) => element('option', { value: status }, STATUSES[status])),
  );
  const line = element('input', {
    type: 'text', maxlength: 140, placeholder: 'Status message', 'aria-label': 'My status text',
    testid: 'presence-text',
  });
  const problem = element('span', { class: 'error', role: 'alert' });
  const choose = async (event) => {
    event.preventDefault();
    try {
      await store.people.setStatus(select.value || null, line.value.trim());
      setText(problem, '');
    } catch (error) {
      setText(problem, error.message);
    }
  };
  select.addEventListener('change', choose);
  line.addEventListener('change', choose);
  const root = element('form', { class: 'presence', onsubmit: choose }, dot, select, line, problem);
  let shown = null;

  function render() {
    const mine = store.me && store.people.presenceOf(store.me.id);
    setAttribute(dot, 'data-status', mine?.status ?? 'offline');
    setText(automatic, mine ? `Automatic (${STATUSES[mine.status]})` : 'Automatic');
    if (mine && mine !== shown && document.activeElement !== line) line.value = mine.text ?? '';
    shown = mine;
  }

  return { root, render };
}
