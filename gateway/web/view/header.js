// The top bar: who I am, how reachable, how the connection is and which node serves it.

import { attribute, element, text } from './elements.js';
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
    text(me, store.me?.name ?? '');
    presence.render();
    const now = gateway.state;
    const offline = !navigator.onLine && now.name !== 'stopped';
    attribute(connection, 'data-state', offline ? 'offline' : now.name);
    attribute(state, 'data-state', now.name);
    text(state, offline ? 'Offline' : describe(now));
    retry.hidden = now.name !== 'waiting' && now.name !== 'stopped';
    node.hidden = offline || now.name !== 'live';
    text(node, gateway.welcome ? gateway.welcome.node : '');
    attribute(node, 'title', 'The worker that serves this window');
  }

  return { root, render };
}

function describe(state) {
  if (state.name === 'live') return 'Live';
  if (state.name === 'connecting') return 'Connecting…';
  if (state.name === 'stopped') return `Disconnected: ${state.reason || state.code}`;
  const seconds = Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000));
  return seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…';
}

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
    type: 'text', maxlength: 140, placeholder: 'What are you up to?', 'aria-label': 'My status text',
    testid: 'presence-text',
  });
  const problem = element('span', { class: 'error', role: 'alert' });
  const choose = async (event) => {
    event.preventDefault();
    try {
      await store.people.choose(select.value || null, line.value.trim());
      text(problem, '');
    } catch (error) {
      text(problem, error.message);
    }
  };
  select.addEventListener('change', choose);
  line.addEventListener('change', choose);
  const root = element('form', { class: 'presence', onsubmit: choose }, dot, select, line, problem);
  let shown = null;

  function render() {
    const mine = store.me && store.people.presence(store.me.id);
    attribute(dot, 'data-status', mine?.status ?? 'offline');
    text(automatic, mine ? `Automatic (${STATUSES[mine.status]})` : 'Automatic');
    if (mine && mine !== shown && document.activeElement !== line) line.value = mine.text ?? '';
    shown = mine;
  }

  return { root, render };
}
