// One conversation: head, messages, who is typing, the composer, and its thread beside it.

import { place } from '../state/route.js';
import { composer } from './composer.js';
import { conversationHead } from './conversation_head.js';
import { dropZone } from './drop_zone.js';
import { editor } from './editor.js';
import { attribute, element, text } from './elements.js';
import { messageFiles } from './files.js';
import { names } from './format.js';
import { messageLine } from './message.js';
import { messageTools } from './message_tools.js';
import { messageList } from './messages.js';
import { scheduleDialog } from './schedule.js';
import { threadPanel } from './thread.js';

const READ_AFTER_MS = 300;

/**
 * @param {import('../sdk/client.js').Gateway} gateway
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{selected: () => number | null, select: (id: number | null) => void,
 *   open: (seq: number) => void, arrived: () => void}} actions
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function conversationView(gateway, store, deeds, actions, ui) {
  let shown = null;
  let readTimer = 0;
  let aimed = null; // the message that the address names, as far as it has been dealt with
  let explicit = false; // the person came here by themselves
  let readOwn = false; // and the receipt that is due says so
  let visited = false;
  const current = () => store.conversations.get(shown);
  const files = messageFiles(store, ui);
  const act = {
    conversation: current,
    files: files.show,
    jump: actions.open,
    thread: (seq) => store.thread.show(shown, seq),
    react: (line, emoji) => ui.notices.attempt(() => deeds.toggle(line, emoji)),
    reply: (line) => writing.answer(line.seq),
  };
  const typed = () => gateway.request('typing.start', { conversation_id: shown }).catch(() => {});
  const schedule = scheduleDialog(store, current, ui);
  const writing = composer(store, {
    conversation: current,
    place: () => String(shown),
    notices: ui.notices,
    send: (wire, replyTo, attachments) => {
      store.outbox.send(shown, wire, replyTo, attachments);
      messages.toEnd();
    },
    typing: typed,
    later: schedule.plan,
  });
  const lines = messageLine(store, act);
  const editing = editor(store, deeds, { conversation: current, notices: ui.notices, done: () => writing.focus() });
  const tools = messageTools(
    store, deeds, { ...act, lineOf: lines.lineOf, edit: editing.open }, ui,
  );
  const messages = messageList(store, lines, { seen: () => tellRead() });
  tools.attach(messages.items);
  const thread = threadPanel(store, deeds, { ...act, typing: typed, back: messages.focus }, ui);
  const head = conversationHead(store, deeds, { current, back: () => actions.select(null), schedule: schedule.show }, ui);
  const typing = element('p', { class: 'typing muted', 'aria-live': 'polite', testid: 'typing' });
  const body = element('div', { class: 'conversation-body' }, messages.root, typing, schedule.notice, writing.root);
  dropZone(body, writing.files);
  const open = element('div', { class: 'conversation-open' }, head.root, body, thread.root);
  const said = element('p', { class: 'muted', testid: 'nothing', role: 'status' });
  const back = element('button', { type: 'button', class: 'link', onclick: () => actions.select(null) }, 'Back to the list');
  const nothing = element('div', { class: 'nothing' }, said, back);
  const root = element('section', { class: 'conversation', 'aria-label': 'Conversation', testid: 'conversation' },
    open, nothing, schedule.root, head.dialogs, files.root);
  for (const event of ['focus', 'blur']) window.addEventListener(event, () => looked());
  document.addEventListener('visibilitychange', () => looked());

  function render() {
    const conversation = store.conversations.get(actions.selected());
    open.hidden = !conversation;
    nothing.hidden = Boolean(conversation);
    if (!conversation) {
      leave();
      return;
    }
    if (shown !== conversation.id) change(conversation.id);
    aim(conversation);
    if (conversation.history === 'none') store.timeline.newest(shown).catch(() => {});
    if (conversation.history === 'loaded') store.reading.learnDelivered(conversation).catch(() => {});
    const writers = store.people.typingIn(shown);
    text(typing, writers.length ? `${names(writers)} ${writers.length > 1 ? 'are' : 'is'} typing…` : '');
    attribute(open, 'data-thread', store.thread.open ? 'true' : null);
    for (const view of [head, schedule, writing, thread]) view.render(conversation);
    messages.render(conversation);
    tellRead();
  }

  /** Nothing is open, or what the address names is not known here. */
  function leave() {
    if (shown !== null) {
      store.timeline.leave(shown);
      store.thread.close();
    }
    shown = null;
    const wanted = actions.selected();
    back.hidden = !wanted;
    if (!wanted) aimed = null;
    if (!wanted || !store.me) text(said, 'Choose a conversation, or start one.');
    else if (aimed !== wanted) look(wanted);
  }

  /** It may stand far down in the list, or be none of mine. */
  async function look(wanted) {
    aimed = wanted;
    text(said, 'Looking for the conversation…');
    const missing = 'There is no such conversation, or you are not in it.';
    const found = await store.find(wanted).catch((error) => (text(said, error.message), null));
    if (found === false) text(said, missing);
    if (found) render();
  }

  function change(id) {
    if (shown !== null) store.timeline.leave(shown);
    shown = id;
    // Coming here ends a mark as unread; a page that is loaded anew with this open does not.
    const conversation = current();
    explicit = visited;
    conversation.held = !visited && conversation.mine.manual_unread ? conversation.last_seq : 0;
    visited = true;
    aimed = null;
    editing.close();
    if (store.thread.open) store.thread.close();
    messages.clear();
    writing.show(id);
  }

  /** Go to the message that the address names; once, then the address is the conversation's. */
  async function aim(conversation) {
    const wanted = place().message;
    if (wanted === null || conversation.id !== place().conversation) return;
    const { id } = conversation;
    actions.arrived();
    messages.show(wanted);
    const found = await ui.notices.attempt(() => store.timeline.around(id, wanted));
    if (shown !== id) return;
    if (found === false) ui.notices.say('This message is not there any more, or not for you.');
    if (found) messages.show(wanted);
    else messages.toEnd();
    render();
  }

  /** Which conversation a person is looking at, to its end, this moment. */
  function reading() {
    const looking = document.visibilityState === 'visible' && document.hasFocus();
    const held = current()?.held >= current()?.last_seq; // marked unread by hand
    return looking && !held && messages.atEnd() ? shown : null;
  }

  function looked() {
    tellRead();
    store.changed();
  }

  /** Say "read" after a moment: one receipt for a burst of messages. */
  function tellRead() {
    const conversation = current();
    if (!conversation || conversation.history !== 'loaded' || gateway.state.name !== 'live') return;
    if (reading() === null) return;
    const own = explicit;
    explicit = false;
    if (!store.reading.isDue(conversation)) return;
    clearTimeout(readTimer);
    readOwn ||= own;
    readTimer = setTimeout(() => {
      const still = current();
      if (still && reading() !== null) store.reading.read(still, readOwn).catch(() => {});
      readOwn = false;
    }, READ_AFTER_MS);
  }

  return { root, render, reading };
}
