// Where a message is written: Enter sends, Shift+Enter makes a new line, what it answers and its
// files stand above.

import { completion } from './completion.js';
import { attribute, element, text } from './elements.js';
import { icon } from './icons.js';
import { fileTray } from './pending_files.js';

const TYPING_EVERY_MS = 3_000; // as the protocol asks
const MAX_TEXT = 8_000;

/**
 * @param {import('../state/store.js').Store} store
 * @param {{conversation: () => any, place: () => string, typing: () => void,
 *   send: (text: string, replyTo: number | null, files: any[]) => void,
 *   later?: (text: string) => Promise<boolean>, notices?: any, label?: string, testid?: string,
 *   drafts?: boolean}} actions
 */
export function composer(store, actions) {
  const { conversation, place, send, typing, later, notices } = actions;
  const { label = 'Message', testid = 'composer', drafts = true } = actions;
  let current = null;
  let replyTo = null;
  let toldAt = 0;
  const prefix = drafts ? '' : 'thread-';
  const input = element('textarea', {
    rows: 1, maxlength: MAX_TEXT, placeholder: 'Write a message', 'aria-label': label, dir: 'auto',
    'aria-keyshortcuts': 'Enter', testid, oninput: written, onkeydown: pressed,
    onpaste: (event) => files.pasted(event),
  });
  const files = fileTray(store, { place, conversation, prefix, focus: () => input.focus() });
  const mentions = completion(store, input, conversation);
  const quoted = element('span', { class: 'quoted', dir: 'auto' });
  const quote = element('p', { class: 'answering', testid: `${prefix}answering` }, quoted,
    element('button', {
      type: 'button', class: 'close', 'aria-label': 'Do not reply to it', testid: `${prefix}stop-answering`,
      onclick: () => answer(null),
    }, '×'));
  const clock = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'Send later', title: 'Send later', testid: 'send-later', onclick: postpone,
  }, icon('clock'));
  const button = element('button', { type: 'submit', class: 'primary', testid: `${prefix}send` }, 'Send');
  const closed = element('p', { class: 'muted closed', testid: `${prefix}closed` }, 'This conversation is closed.');
  const row = element('div', { class: 'composer-row' }, files.clip, files.choice, input, later ? clock : null, button);
  const root = element('form', { class: 'composer', onsubmit: submit }, quote, mentions.root, files.root, row, closed);

  function written() {
    grow();
    mentions.written();
    keep();
    if (!input.value.trim() || Date.now() - toldAt < TYPING_EVERY_MS) return;
    toldAt = Date.now();
    typing();
  }

  function pressed(event) {
    if (mentions.pressed(event)) return;
    if (event.key === 'Escape' && replyTo !== null) answer(null);
    // While an input method composes a character, Enter chooses it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    submit(event);
  }

  function submit(event) {
    event.preventDefault();
    const wire = forSending();
    if (!wire && files.isEmpty()) return;
    const attachments = files.take();
    if (!attachments) return; // why is said beside them
    send(wire, replyTo, attachments);
    empty();
    input.focus();
  }

  async function postpone() {
    if (!files.isEmpty()) return notices.say('Files cannot be sent later: send them now, or remove them.');
    const wire = forSending();
    if (await later(wire)) empty();
    return undefined;
  }

  function forSending() {
    return store.words.forSending(input.value.trim(), mentions.people());
  }

  function empty() {
    input.value = '';
    replyTo = null;
    toldAt = 0;
    if (drafts) store.drafts.clear(current);
    grow();
    showQuote();
  }

  /** Keep what is written as a draft; an answer without words is none. */
  function keep() {
    if (!drafts || current === null) return;
    const wire = store.words.forSending(input.value, mentions.people());
    store.drafts.write(current, wire.trim() ? wire : '', wire.trim() ? replyTo : null);
  }

  function answer(seq) {
    replyTo = seq;
    showQuote();
    keep();
    input.focus();
  }

  function showQuote() {
    quote.hidden = replyTo === null;
    if (replyTo === null) return;
    const message = store.quotes.of(conversation(), replyTo);
    text(quoted, message ? `${store.people.name(message.sender_id)}: ${store.words.said(message)}` : 'A message');
  }

  function grow() {
    input.rows = Math.min(6, input.value.split('\n').length);
  }

  /** Change to another conversation: what was written stays with its own. */
  function show(conversationId) {
    if (drafts) store.drafts.flush();
    current = conversationId;
    restore();
    toldAt = 0;
    files.clear();
    if (matchMedia('(hover: hover)').matches) input.focus(); // no keyboard over a telephone's screen
  }

  function restore() {
    const draft = drafts ? store.drafts.of(current) : { text: '', reply_to_seq: null };
    input.value = store.words.forWriting(draft.text);
    replyTo = draft.text ? draft.reply_to_seq ?? null : null;
    root.dataset.version = String(draft.version ?? 0);
    grow();
    mentions.close();
    showQuote();
  }

  /** Take over what I have written on another device, unless I am writing here. */
  function render() {
    const { closed_at } = conversation();
    row.hidden = Boolean(closed_at);
    files.render();
    closed.hidden = !closed_at;
    attribute(root, 'data-closed', closed_at ? 'true' : null);
    if (replyTo !== null) showQuote();
    if (!drafts || store.drafts.isWriting(current)) return;
    const draft = store.drafts.of(current);
    if (Number(root.dataset.version) >= draft.version) return;
    root.dataset.version = String(draft.version);
    const same = draft.text === store.words.forSending(input.value, mentions.people());
    if (!same) restore();
  }

  return { root, files, show, answer, render, focus: () => input.focus() };
}
