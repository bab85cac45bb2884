// Sending later: choosing a time, and the list of what waits.

import { dialog } from './dialog.js';
import { attribute, element, keyed, part, text } from './elements.js';
import { moment } from './format.js';

const MIN_MS = 2 * 60_000; // the server asks for a minute at least

/**
 * @param {import('../state/store.js').Store} store
 * @param {() => any} current
 * @param {{notices: any}} ui
 */
export function scheduleDialog(store, current, { notices }) {
  let settle = () => {};
  let edited = null; // the one that is being changed, or null for a new one
  const words = element('textarea', {
    rows: 3, maxlength: 8000, dir: 'auto', required: '', testid: 'scheduled-text', 'aria-label': 'Message',
  });
  const time = element('input', {
    type: 'datetime-local', required: '', testid: 'scheduled-time', 'aria-label': 'When to send it',
  });
  const form = element('form', { class: 'fields', onsubmit: submit }, words,
    element('label', { class: 'field' }, 'Send at', time),
    element('div', { class: 'row' },
      element('button', { type: 'submit', class: 'primary', testid: 'save-scheduled' }, 'Schedule')));
  const writing = dialog('Send later', 'schedule-dialog', form);
  writing.root.addEventListener('close', () => settle(false));
  const list = element('ul', { class: 'scheduled', testid: 'scheduled-list' });
  const none = element('p', { class: 'muted' }, 'Nothing waits to be sent here.');
  const listing = dialog('Scheduled messages', 'scheduled-dialog', list, none);
  const notice = element('button', { type: 'button', class: 'link waiting', testid: 'scheduled-notice', onclick: show });
  const root = element('div', {}, listing.root, writing.root);

  /** Ask when to send this; whether it has been scheduled. */
  function plan(wire) {
    return ask(null, wire, new Date(Date.now() + 60 * 60_000));
  }

  function ask(one, wire, when) {
    edited = one;
    words.value = store.words.forWriting(wire);
    time.value = local(when);
    attribute(time, 'min', local(new Date(Date.now() + MIN_MS)));
    writing.show(one ? 'Change what is sent later' : 'Send later');
    (wire ? time : words).focus();
    return new Promise((resolve) => {
      settle = resolve;
    });
  }

  async function submit(event) {
    event.preventDefault();
    const people = current().participants.map(({ employee }) => employee);
    const all = current().kind === 'direct' ? [] : [{ id: 'all', name: 'all' }];
    const wire = store.words.forSending(words.value.trim(), [...people, ...all]);
    const at = new Date(time.value).toISOString();
    const work = () => (edited ? store.scheduled.change(edited.scheduled_id, wire, at)
      : store.scheduled.add(current().id, wire, at));
    if (!(await writing.attempt(work))) return;
    settle(true);
    writing.close();
  }

  function show() {
    listing.show();
    notices.attempt(() => store.scheduled.load());
    render();
  }

  function render() {
    const waiting = store.scheduled.of(current()?.id);
    const failed = waiting.filter(({ state }) => state === 'failed').length;
    notice.hidden = !waiting.length;
    const next = waiting.find(({ state }) => state === 'waiting');
    const planned = next ? `${waiting.length} scheduled, next ${moment(next.send_at)}` : '';
    text(notice, failed ? `${failed} could not be sent` : planned);
    if (!listing.root.open) return;
    none.hidden = waiting.length > 0;
    keyed(list, waiting, { key: (one) => String(one.scheduled_id), make, update });
  }

  function make({ scheduled_id: id }) {
    const one = () => store.scheduled.of(current().id).find((other) => other.scheduled_id === id);
    const button = (name, testid, onclick) => element('button', { type: 'button', class: 'link', testid, onclick }, name);
    return element('li', { testid: 'scheduled-message' },
      element('p', { class: 'text', dir: 'auto', 'data-part': 'text' }),
      element('p', { class: 'muted', 'data-part': 'when' }),
      element('div', { class: 'row' },
        button('Change', 'change-scheduled', () => ask(one(), one().text, new Date(one().send_at))),
        button('Do not send', 'cancel-scheduled', () => listing.attempt(() => store.scheduled.cancel(id)))));
  }

  function update(node, one) {
    text(part(node, 'text'), store.words.forWriting(one.text));
    const failed = one.state === 'failed';
    text(part(node, 'when'), failed ? `Could not be sent (${one.failed_code})` : `Will be sent ${moment(one.send_at)}`);
    attribute(node, 'data-state', one.state);
  }

  return { root, notice, plan, show, render };
}

/** As a datetime-local field wants it: local time, to the minute. */
function local(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
