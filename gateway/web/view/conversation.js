// One conversation: head, messages, who is typing, the composer, and the thread beside it.

import { currentRoute } from '../state/route.js';
import { composer } from './composer.js';
import { conversationHead } from './conversation_head.js';
import { dropZone } from './drop_zone.js';
import { editor } from './editor.js';
import { setAttribute, element, setText } from './elements.js';
import { messageFiles } from './files.js';
import { joinNames } from './format.js';
import { messageLine } from './message.js';
import { messageTools } from './message_tools.js';
import { messageList } from './messages.js';
import { scheduleDialog } from './schedule.js';
import { threadPanel } from './thread.js';

const READ_AFTER_MS = 300;

/**
 * @param {import('../sdk/client.js').Gateway} gateway
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{selected: () => number | null, select: (id: number | null) => void,
 *   open: (seq: number) => void, arrived: () => void}} handlers
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function conversationView(gateway, store, actions, handlers, ui) {
  let shown = null;
  let readTimer = 0;
  let handledRoute = null; // the conversation in the address that has been looked up
  let explicit = false; // the person opened the conversation
  let readExplicitly = false; // and the receipt that is planned reports it
  let visited = false;
  const current = () => store.conversations.get(shown);
  const files = messageFiles(store, ui);
  const messageHandlers = {
    conversation: current,
    files: files.show,
    jump: handlers.open,
    thread: (seq) => store.thread.load(shown, seq),
    react: (line, emoji) => ui.notices.attempt(() => actions.toggleReaction(line, emoji)),
    reply: (line) => composing.setReply(line.seq),
  };
  const sendTyping = () => gateway.request('typing.start', { conversation_id: shown }).catch(() => {});
  const schedule = scheduleDialog(store, current, ui);
  const composing = composer(store, {
    conversation: current,
    composerKey: () => String(shown),
    notices: ui.notices,
    send: (wire, replyTo, attachments) => {
      store.outbox.send(shown, wire, replyTo, attachments);
      messages.showNewest();
    },
    typing: sendTyping,
    later: schedule.askForTime,
  });
  const lines = messageLine(store, messageHandlers);
  const editing = editor(store, actions, { conversation: current, notices: ui.notices, done: () => composing.focus() });
  const tools = messageTools(
    store, actions, { ...messageHandlers, lineOf: lines.lineOf, edit: editing.open }, ui,
  );
  const messages = messageList(store, lines, { seen: () => markReadSoon() });
  tools.attach(messages.items);
  const thread = threadPanel(store, actions, { ...messageHandlers, typing: sendTyping, back: messages.focus }, ui);
  const head = conversationHead(store, actions, { current, back: () => handlers.select(null), schedule: schedule.show }, ui);
  const typing = element('p', { class: 'typing muted', 'aria-live': 'polite', testid: 'typing' });
  const body = element('div', { class: 'conversation-body' }, messages.root, typing, schedule.notice, composing.root);
  dropZone(body, composing.files);
  const open = element('div', { class: 'conversation-open' }, head.root, body, thread.root);
  const status = element('p', { class: 'muted', testid: 'nothing', role: 'status' });
  const back = element('button', { type: 'button', class: 'link', onclick: () => handlers.select(null) }, 'Back to the list');
  const placeholder = element('div', { class: 'nothing' }, status, back);
  const root = element('section', { class: 'conversation', 'aria-label': 'Conversation', testid: 'conversation' },
    open, placeholder, schedule.root, head.dialogs, files.root);
  for (const event of ['focus', 'blur']) window.addEventListener(event, () => onFocusChange());
  document.addEventListener('visibilitychange', () => onFocusChange());

  function render() {
    const conversation = store.conversations.get(handlers.selected());
    open.hidden = !conversation;
    placeholder.hidden = Boolean(conversation);
    if (!conversation) {
      leave();
      return;
    }
    if (shown !== conversation.id) switchTo(conversation.id);
    jumpToRouteMessage(conversation);
    if (conversation.loadState === 'none') store.timeline.loadNewest(shown).catch(() => {});
    if (conversation.loadState === 'loaded') store.receipts.loadDelivered(conversation).catch(() => {});
    const writers = store.people.typingIn(shown);
    setText(typing, writers.length ? `${joinNames(writers)} ${writers.length > 1 ? 'are' : 'is'} typing…` : '');
    setAttribute(open, 'data-thread', store.thread.open ? 'true' : null);
    for (const view of [head, schedule, composing, thread]) view.render(conversation);
    messages.render(conversation);
    markReadSoon();
  }

  /** No conversation is open, or the one in the address is not loaded. */
  function leave() {
    if (shown !== null) {
      store.timeline.unloadLarge(shown);
      store.thread.close();
    }
    shown = null;
    const wanted = handlers.selected();
    back.hidden = !wanted;
    if (!wanted) handledRoute = null;
    if (!wanted || !store.me) setText(status, 'Select a conversation, or start a new one.');
    else if (handledRoute !== wanted) loadConversation(wanted);
  }

  /** Load the conversation in the address; I may not be in it. */
  async function loadConversation(wanted) {
    handledRoute = wanted;
    setText(status, 'Loading the conversation…');
    const missing = 'This conversation does not exist, or you are not a member.';
    const found = await store.load(wanted).catch((error) => (setText(status, error.message), null));
    if (found === false) setText(status, missing);
    if (found) render();
  }

  function switchTo(id) {
    if (shown !== null) store.timeline.unloadLarge(shown);
    shown = id;
    // Opening a conversation ends a mark as unread; a page that is loaded with it open does not.
    const conversation = current();
    explicit = visited;
    conversation.markedUnreadAt = !visited && conversation.mine.manual_unread ? conversation.last_seq : 0;
    visited = true;
    handledRoute = null;
    editing.close();
    if (store.thread.open) store.thread.close();
    messages.clear();
    composing.show(id);
  }

  /** Show the message in the address, once; then the address names only the conversation. */
  async function jumpToRouteMessage(conversation) {
    const wanted = currentRoute().message;
    if (wanted === null || conversation.id !== currentRoute().conversation) return;
    const { id } = conversation;
    handlers.arrived();
    messages.show(wanted);
    const found = await ui.notices.attempt(() => store.timeline.loadAround(id, wanted));
    if (shown !== id) return;
    if (found === false) ui.notices.show('This message does not exist, or you cannot read it.');
    if (found) messages.show(wanted);
    else messages.showNewest();
    render();
  }

  /** The conversation whose end a person has in view now; null: none. */
  function conversationInView() {
    const looking = document.visibilityState === 'visible' && document.hasFocus();
    const held = current()?.markedUnreadAt >= current()?.last_seq; // marked as unread by the person
    return looking && !held && messages.atEnd() ? shown : null;
  }

  function onFocusChange() {
    markReadSoon();
    store.changed();
  }

  /** Mark as read after a moment: one receipt for a burst of messages. */
  function markReadSoon() {
    const conversation = current();
    if (!conversation || conversation.loadState !== 'loaded' || gateway.state.name !== 'live') return;
    if (conversationInView() === null) return;
    const own = explicit;
    explicit = false;
    if (!store.receipts.canMarkRead(conversation)) return;
    clearTimeout(readTimer);
    readExplicitly ||= own;
    readTimer = setTimeout(() => {
      const still = current();
      if (still && conversationInView() !== null) store.receipts.markRead(still, readExplicitly).catch(() => {});
      readExplicitly = false;
    }, READ_AFTER_MS);
  }

  return { root, render, conversationInView };
}
