// Scheduled messages: the form with the time, and the list.

import { dialog } from './dialog.js';
import { setAttribute, element, updateList, part, setText } from './elements.js';
import { formatMoment } from './format.js';

const MIN_MS = 2 * 60_000; // the gateway requires at least a minute

/**
 * @param {import('../state/store.js').Store} store
 * @param {() => any} current
 * @param {{notices: any}} ui
 */
export function scheduleDialog(store, current, { notices }) {
  let settle = () => {};
  let edited = null; // the scheduled message that is being changed; null: a new one
  const content = element('textarea', {
    rows: 3, maxlength: 8000, dir: 'auto', required: '', testid: 'scheduled-text', 'aria-label': 'Message',
  });
  const time = element('input', {
    type: 'datetime-local', required: '', testid: 'scheduled-time', 'aria-label': 'Time of sending',
  });
  const form = element('form', { class: 'fields', onsubmit: submit }, content,
    element('label', { class: 'field' }, 'Send at', time),
    element('div', { class: 'row' },
      element('button', { type: 'submit', class: 'primary', testid: 'save-scheduled' }, 'Schedule')));
  const writing = dialog('Send later', 'schedule-dialog', form);
  writing.root.addEventListener('close', () => settle(false));
  const list = element('ul', { class: 'scheduled', testid: 'scheduled-list' });
  const none = element('p', { class: 'muted' }, 'No scheduled messages in this conversation.');
  const listing = dialog('Scheduled messages', 'scheduled-dialog', list, none);
  const notice = element('button', { type: 'button', class: 'link waiting', testid: 'scheduled-notice', onclick: show });
  const root = element('div', {}, listing.root, writing.root);

  /** Ask for the time; a promise of whether it was scheduled. */
  function askForTime(wire) {
    return openForm(null, wire, new Date(Date.now() + 60 * 60_000));
  }

  function openForm(one, wire, when) {
    edited = one;
    content.value = store.messageText.toEditable(wire);
    time.value = toLocalInput(when);
    setAttribute(time, 'min', toLocalInput(new Date(Date.now() + MIN_MS)));
    writing.show(one ? 'Change the scheduled message' : 'Send later');
    (wire ? time : content).focus();
    return new Promise((resolve) => {
      settle = resolve;
    });
  }

  async function submit(event) {
    event.preventDefault();
    const people = current().participants.map(({ employee }) => employee);
    const all = current().kind === 'direct' ? [] : [{ id: 'all', name: 'all' }];
    const wire = store.messageText.toWire(content.value.trim(), [...people, ...all]);
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
    const waiting = store.scheduled.inConversation(current()?.id);
    const failed = waiting.filter(({ state }) => state === 'failed').length;
    notice.hidden = !waiting.length;
    const next = waiting.find(({ state }) => state === 'waiting');
    const planned = next ? `${waiting.length} scheduled, next ${formatMoment(next.send_at)}` : '';
    setText(notice, failed ? `${failed} could not be sent` : planned);
    if (!listing.root.open) return;
    none.hidden = waiting.length > 0;
    updateList(list, waiting, { key: (one) => String(one.scheduled_id), make, update });
  }

  function make({ scheduled_id: id }) {
    const one = () => store.scheduled.inConversation(current().id).find((other) => other.scheduled_id === id);
    const button = (name, testid, onclick) => element('button', { type: 'button', class: 'link', testid, onclick }, name);
    return element('li', { testid: 'scheduled-message' },
      element('p', { class: 'text', dir: 'auto', 'data-part': 'text' }),
      element('p', { class: 'muted', 'data-part': 'when' }),
      element('div', { class: 'row' },
        button('Change', 'change-scheduled', () => openForm(one(), one().text, new Date(one().send_at))),
        button('Cancel', 'cancel-scheduled', () => listing.attempt(() => store.scheduled.cancel(id)))));
  }

  function update(node, one) {
    setText(part(node, 'text'), store.messageText.toEditable(one.text));
    const failed = one.state === 'failed';
    setText(part(node, 'when'), failed ? `Not sent: ${one.failed_code}` : `Will be sent ${formatMoment(one.send_at)}`);
    setAttribute(node, 'data-state', one.state);
  }

  return { root, notice, askForTime, show, render };
}

/** The value of a datetime-local field: local time, to the minute. */
function toLocalInput(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
