// Edits my own message in its place: Enter saves, Escape cancels.

import { completion } from './completion.js';
import { setAttribute, element, part } from './elements.js';

const MAX_TEXT = 8_000;

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{conversation: () => any, notices: any, done: () => void}} handlers
 */
export function editor(store, actions, { conversation, notices, done }) {
  let line = null;
  let before = '';
  const input = element('textarea', {
    rows: 1, maxlength: MAX_TEXT, dir: 'auto', 'aria-label': 'Edit the message', testid: 'editor',
    oninput: grow, onkeydown: onKey,
  });
  const mentions = completion(store, input, conversation);
  const cancel = element('button', { type: 'button', class: 'link', testid: 'cancel-edit', onclick: close }, 'Cancel');
  const save = element('button', { type: 'submit', class: 'link', testid: 'save-edit' }, 'Save');
  const form = element('form', { class: 'editor', onsubmit: submit }, input, mentions.root,
    element('p', { class: 'row' }, cancel, save));

  function open(node, message) {
    close();
    line = node;
    before = store.messageText.toEditable(message.text);
    input.value = before;
    setAttribute(node, 'data-editing', 'true');
    part(node, 'bubble').append(form);
    form.dataset.seq = String(message.seq);
    form.message = message;
    grow();
    input.focus();
    input.setSelectionRange(before.length, before.length);
  }

  function close() {
    if (!line) return;
    setAttribute(line, 'data-editing', null);
    line = null;
    form.remove();
    done();
  }

  function onKey(event) {
    if (mentions.handleKey(event)) return;
    if (event.key === 'Escape') close();
    else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async function submit(event) {
    event.preventDefault();
    const written = input.value.trim();
    if (!written || written === before) return close();
    const { message } = form;
    const wire = store.messageText.toWire(written, mentions.people());
    if (await notices.attempt(async () => (await actions.edit(message, wire), true))) close();
  }

  function grow() {
    input.rows = Math.min(8, input.value.split('\n').length);
    mentions.onInput();
  }

  return { open, close };
}
