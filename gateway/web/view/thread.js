// The thread beside the conversation: a message, its replies, and a composer.

import { composer } from './composer.js';
import { dropZone } from './drop_zone.js';
import { editor } from './editor.js';
import { element, updateList, setText } from './elements.js';
import { messageLine } from './message.js';
import { messageTools } from './message_tools.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {any} handlers those of the conversation
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function threadPanel(store, actions, handlers, ui) {
  let shown = null;
  const lines = messageLine(store, { ...handlers, inThread: true });
  const composing = composer(store, {
    conversation: handlers.conversation,
    composerKey: () => `${shown?.conversation_id}/${shown?.seq}`,
    send: (wire, _, attachments) => store.outbox.send(shown.conversation_id, wire, shown.seq, attachments),
    typing: handlers.typing,
    label: 'Reply', testid: 'thread-composer', drafts: false,
  });
  const editing = editor(store, actions, {
    conversation: handlers.conversation, notices: ui.notices, done: () => composing.focus(),
  });
  const tools = messageTools(store, actions, {
    ...handlers, lineOf: lines.lineOf, edit: editing.open, reply: () => composing.focus(),
  }, ui);
  const first = element('ol', { class: 'messages', testid: 'thread-root' });
  const items = element('ol', { class: 'messages', testid: 'thread-messages', 'aria-label': 'Replies' });
  tools.attach(first);
  tools.attach(items);
  const older = element('button', {
    type: 'button', class: 'link', testid: 'older-replies', onclick: () => store.thread.loadOlder(),
  }, 'Show older replies');
  const problem = element('p', { class: 'error', role: 'alert' });
  const scroll = element('div', { class: 'scroll' }, problem, first, older, items);
  const close = element('button', {
    type: 'button', class: 'close', 'aria-label': 'Close the thread', testid: 'close-thread',
    onclick: () => store.thread.close(),
  }, '×');
  const root = element('aside', { class: 'thread', 'aria-label': 'Thread', testid: 'thread', onkeydown: onKey },
    element('div', { class: 'conversation-head' }, element('h2', {}, 'Thread'), close), scroll, composing.root);
  dropZone(root, composing.files);

  function onKey(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || event.target.value) return; // text in the input stays
    store.thread.close();
  }

  function render(conversation) {
    const open = store.thread.open;
    if (!open && shown && root.contains(document.activeElement)) handlers.back(shown.seq);
    root.hidden = !open;
    if (!open) {
      shown = null;
      return;
    }
    const isNew = shown !== open;
    shown = open;
    if (isNew) composing.show(null);
    setText(problem, open.error);
    const mine = (store.outbox?.inConversation(conversation.id) ?? []).filter((one) => one.reply_to_seq === open.seq);
    const answers = [...store.thread.replies().map(lines.stored), ...mine.map(lines.waiting)];
    const beginning = open.root ? [lines.stored(open.root)] : [];
    lines.mark([...beginning, ...answers]);
    const how = { key: ({ key }) => key, make: lines.make, update: lines.update };
    updateList(first, beginning, how);
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
    updateList(items, answers, how);
    if (isNew || atEnd) scroll.scrollTop = scroll.scrollHeight;
    older.hidden = !open.hasBefore;
    composing.render(conversation);
  }

  return { root, render };
}
