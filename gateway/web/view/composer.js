// Where a message is written: Enter sends, Shift+Enter makes a new line.

import { element } from './elements.js';

const TYPING_EVERY_MS = 3_000; // as the protocol asks
const MAX_TEXT = 8_000;

/** @param {{send: (text: string) => void, typing: () => void}} actions */
export function composer({ send, typing }) {
  const drafts = new Map(); // conversation → text not sent yet
  let current = null;
  let toldAt = 0;
  const input = element('textarea', {
    rows: 1, maxlength: MAX_TEXT, placeholder: 'Write a message', 'aria-label': 'Message',
    'aria-keyshortcuts': 'Enter', testid: 'composer', oninput: written, onkeydown: pressed,
  });
  const button = element('button', { type: 'submit', class: 'primary', testid: 'send' }, 'Send');
  const root = element('form', { class: 'composer', onsubmit: submit }, input, button);

  function written() {
    grow();
    if (!input.value.trim() || Date.now() - toldAt < TYPING_EVERY_MS) return;
    toldAt = Date.now();
    typing();
  }

  function pressed(event) {
    // While an input method composes a character, Enter chooses it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    submit(event);
  }

  function submit(event) {
    event.preventDefault();
    if (!input.value.trim()) return;
    send(input.value.trim());
    input.value = '';
    toldAt = 0;
    grow();
    input.focus();
  }

  function grow() {
    input.rows = Math.min(6, input.value.split('\n').length);
  }

  /** Change to another conversation: what was written stays with its own. */
  function show(conversationId) {
    if (current !== null) drafts.set(current, input.value);
    current = conversationId;
    input.value = drafts.get(conversationId) ?? '';
    toldAt = 0;
    grow();
    if (matchMedia('(hover: hover)').matches) input.focus(); // no keyboard over a telephone's screen
  }

  return { root, show };
}
