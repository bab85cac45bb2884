// The thread beside the conversation: a message, what answers it, and a composer for one more.

import { composer } from './composer.js';
import { dropZone } from './drop_zone.js';
import { editor } from './editor.js';
import { element, keyed, text } from './elements.js';
import { messageLine } from './message.js';
import { messageTools } from './message_tools.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {any} actions those of the conversation
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function threadPanel(store, deeds, actions, ui) {
  let shown = null;
  const lines = messageLine(store, { ...actions, inThread: true });
  const writing = composer(store, {
    conversation: actions.conversation,
    place: () => `${shown?.conversation_id}/${shown?.seq}`,
    send: (wire, _, attachments) => store.outbox.send(shown.conversation_id, wire, shown.seq, attachments),
    typing: actions.typing,
    label: 'Reply', testid: 'thread-composer', drafts: false,
  });
  const editing = editor(store, deeds, {
    conversation: actions.conversation, notices: ui.notices, done: () => writing.focus(),
  });
  const tools = messageTools(store, deeds, {
    ...actions, lineOf: lines.lineOf, edit: editing.open, reply: () => writing.focus(),
  }, ui);
  const first = element('ol', { class: 'messages', testid: 'thread-root' });
  const items = element('ol', { class: 'messages', testid: 'thread-messages', 'aria-label': 'Replies' });
  tools.attach(first);
  tools.attach(items);
  const older = element('button', {
    type: 'button', class: 'link', testid: 'older-replies', onclick: () => store.thread.older(),
  }, 'Show older replies');
  const problem = element('p', { class: 'error', role: 'alert' });
  const scroll = element('div', { class: 'scroll' }, problem, first, older, items);
  const close = element('button', {
    type: 'button', class: 'close', 'aria-label': 'Close the thread', testid: 'close-thread',
    onclick: () => store.thread.close(),
  }, '×');
  const root = element('aside', { class: 'thread', 'aria-label': 'Thread', testid: 'thread', onkeydown: pressed },
    element('div', { class: 'conversation-head' }, element('h2', {}, 'Thread'), close), scroll, writing.root);
  dropZone(root, writing.files);

  function pressed(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || event.target.value) return; // what is written stays
    store.thread.close();
  }

  function render(conversation) {
    const open = store.thread.open;
    if (!open && shown && root.contains(document.activeElement)) actions.back(shown.seq);
    root.hidden = !open;
    if (!open) {
      shown = null;
      return;
    }
    const isNew = shown !== open;
    shown = open;
    if (isNew) writing.show(null);
    text(problem, open.error);
    const mine = (store.outbox?.of(conversation.id) ?? []).filter((one) => one.reply_to_seq === open.seq);
    const answers = [...store.thread.answers().map(lines.stored), ...mine.map(lines.waiting)];
    const beginning = open.root ? [lines.stored(open.root)] : [];
    lines.mark([...beginning, ...answers]);
    const how = { key: ({ key }) => key, make: lines.make, update: lines.update };
    keyed(first, beginning, how);
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
    keyed(items, answers, how);
    if (isNew || atEnd) scroll.scrollTop = scroll.scrollHeight;
    older.hidden = !open.hasBefore;
    writing.render(conversation);
  }

  return { root, render };
}
