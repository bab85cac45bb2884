// The composer of a message: Enter sends, Shift+Enter makes a new line. The quoted message and the
// files are shown above it.

import { completion } from './completion.js';
import { setAttribute, element, setText } from './elements.js';
import { icon } from './icons.js';
import { pendingFilesBar } from './pending_files.js';

const TYPING_EVERY_MS = 3_000; // as the protocol asks
const MAX_TEXT = 8_000;

/**
 * @param {import('../state/store.js').Store} store
 * @param {{conversation: () => any, composerKey: () => string, typing: () => void,
 *   send: (text: string, replyTo: number | null, files: any[]) => void,
 *   later?: (text: string) => Promise<boolean>, notices?: any, label?: string, testid?: string,
 *   drafts?: boolean}} options
 */
export function composer(store, options) {
  const { conversation, composerKey, send, typing, later, notices } = options;
  const { label = 'Message', testid = 'composer', drafts = true } = options;
  let current = null;
  let replyTo = null;
  let typingSentAt = 0;
  const prefix = drafts ? '' : 'thread-';
  const input = element('textarea', {
    rows: 1, maxlength: MAX_TEXT, placeholder: 'Write a message', 'aria-label': label, dir: 'auto',
    'aria-keyshortcuts': 'Enter', testid, oninput: onInput, onkeydown: onKey,
    onpaste: (event) => files.onPaste(event),
  });
  const files = pendingFilesBar(store, { composerKey, conversation, prefix, focus: () => input.focus() });
  const mentions = completion(store, input, conversation);
  const quoted = element('span', { class: 'quoted', dir: 'auto' });
  const quote = element('p', { class: 'answering', testid: `${prefix}answering` }, quoted,
    element('button', {
      type: 'button', class: 'close', 'aria-label': 'Cancel the reply', testid: `${prefix}stop-answering`,
      onclick: () => setReply(null),
    }, '×'));
  const clock = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'Send later', title: 'Send later', testid: 'send-later', onclick: postpone,
  }, icon('clock'));
  const button = element('button', { type: 'submit', class: 'primary', testid: `${prefix}send` }, 'Send');
  const closed = element('p', { class: 'muted closed', testid: `${prefix}closed` }, 'This conversation is closed.');
  const row = element('div', { class: 'composer-row' }, files.clip, files.choice, input, later ? clock : null, button);
  const root = element('form', { class: 'composer', onsubmit: submit }, quote, mentions.root, files.root, row, closed);

  function onInput() {
    grow();
    mentions.onInput();
    saveDraft();
    if (!input.value.trim() || Date.now() - typingSentAt < TYPING_EVERY_MS) return;
    typingSentAt = Date.now();
    typing();
  }

  function onKey(event) {
    if (mentions.handleKey(event)) return;
    if (event.key === 'Escape' && replyTo !== null) setReply(null);
    // While an input method composes a character, Enter selects it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    submit(event);
  }

  function submit(event) {
    event.preventDefault();
    const wire = wireText();
    if (!wire && files.isEmpty()) return;
    const attachments = files.takeAttachments();
    if (!attachments) return; // the reason is shown beside the files
    send(wire, replyTo, attachments);
    clear();
    input.focus();
  }

  async function postpone() {
    if (!files.isEmpty()) return notices.show('Files cannot be scheduled. Send them now, or remove them.');
    const wire = wireText();
    if (await later(wire)) clear();
    return undefined;
  }

  function wireText() {
    return store.messageText.toWire(input.value.trim(), mentions.people());
  }

  function clear() {
    input.value = '';
    replyTo = null;
    typingSentAt = 0;
    if (drafts) store.drafts.clear(current);
    grow();
    showQuote();
  }

  /** Save the text as a draft; a reply without text is not a draft. */
  function saveDraft() {
    if (!drafts || current === null) return;
    const wire = store.messageText.toWire(input.value, mentions.people());
    store.drafts.write(current, wire.trim() ? wire : '', wire.trim() ? replyTo : null);
  }

  function setReply(seq) {
    replyTo = seq;
    showQuote();
    saveDraft();
    input.focus();
  }

  function showQuote() {
    quote.hidden = replyTo === null;
    if (replyTo === null) return;
    const message = store.quotes.get(conversation(), replyTo);
    setText(quoted, message ? `${store.people.nameOf(message.sender_id)}: ${store.messageText.plainText(message)}` : 'A message');
  }

  function grow() {
    input.rows = Math.min(6, input.value.split('\n').length);
  }

  /** Switch to another conversation; the text stays with the one before, as a draft. */
  function show(conversationId) {
    if (drafts) store.drafts.flush();
    current = conversationId;
    restore();
    typingSentAt = 0;
    files.clear();
    if (matchMedia('(hover: hover)').matches) input.focus(); // on a phone the keyboard would cover the screen
  }

  function restore() {
    const draft = drafts ? store.drafts.get(current) : { text: '', reply_to_seq: null };
    input.value = store.messageText.toEditable(draft.text);
    replyTo = draft.text ? draft.reply_to_seq ?? null : null;
    root.dataset.version = String(draft.version ?? 0);
    grow();
    mentions.close();
    showQuote();
  }

  /** Show a draft that was changed on another device, unless I am typing here. */
  function render() {
    const { closed_at } = conversation();
    row.hidden = Boolean(closed_at);
    files.render();
    closed.hidden = !closed_at;
    setAttribute(root, 'data-closed', closed_at ? 'true' : null);
    if (replyTo !== null) showQuote();
    if (!drafts || store.drafts.isUnsaved(current)) return;
    const draft = store.drafts.get(current);
    if (Number(root.dataset.version) >= draft.version) return;
    root.dataset.version = String(draft.version);
    const same = draft.text === store.messageText.toWire(input.value, mentions.people());
    if (!same) restore();
  }

  return { root, files, show, setReply, render, focus: () => input.focus() };
}
