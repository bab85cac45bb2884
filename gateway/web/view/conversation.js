// One conversation: messages, who has read them, who is typing, and the composer.

import { composer } from './composer.js';
import { attribute, element, text } from './elements.js';
import { STATUSES, count, names } from './format.js';
import { messageList } from './messages.js';

const READ_AFTER_MS = 300;

/**
 * @param {import('../client.js').Gateway} gateway
 * @param {import('../store.js').Store} store
 * @param {{selected: () => number | null, back: () => void}} actions
 */
export function conversationView(gateway, store, actions) {
  let shown = null;
  let readTimer = 0;
  const elsewhere = element('span', { class: 'badge', testid: 'unread-elsewhere' });
  const back = element(
    'button',
    { type: 'button', class: 'back', 'aria-label': 'Back to the list', onclick: actions.back },
    '‹', elsewhere,
  );
  const title = element('h2', { testid: 'conversation-title' });
  const about = element('p', { class: 'muted', testid: 'conversation-about' });
  const messages = messageList(store, {
    older: () => store.loadOlder(shown).catch(() => {}),
    seen: () => schedule(),
  });
  const typing = element('p', { class: 'typing muted', 'aria-live': 'polite', testid: 'typing' });
  const writing = composer({
    send: (written) => {
      store.outbox.send(shown, written);
      messages.toEnd();
    },
    typing: () => gateway.request('typing.start', { conversation_id: shown }).catch(() => {}),
  });
  const head = element('div', { class: 'conversation-head' }, back,
    element('div', { class: 'head-text' }, title, about));
  const open = element('div', { class: 'conversation-open' }, head, messages.root, typing, writing.root);
  const nothing = element('p', { class: 'muted nothing' }, 'Choose a conversation, or start one.');
  const root = element(
    'section',
    { class: 'conversation', 'aria-label': 'Conversation', testid: 'conversation' },
    open,
    nothing,
  );
  for (const event of ['focus', 'blur']) window.addEventListener(event, () => looked());
  document.addEventListener('visibilitychange', () => looked());

  function render() {
    const conversation = store.conversations.get(actions.selected());
    open.hidden = !conversation;
    nothing.hidden = Boolean(conversation);
    if (!conversation) {
      shown = null;
      return;
    }
    if (shown !== conversation.id) change(conversation.id);
    if (conversation.history === 'none') store.loadNewest(shown).catch(() => {});
    showHead(conversation);
    const writers = store.people.typingIn(shown);
    text(typing, writers.length ? `${names(writers)} ${writers.length > 1 ? 'are' : 'is'} typing…` : '');
    messages.render(conversation);
    schedule();
  }

  function change(id) {
    if (shown !== null) store.leave(shown);
    shown = id;
    messages.clear();
    writing.show(id);
  }

  function showHead(conversation) {
    const [name, said] = [store.title(conversation), describe(conversation)];
    text(title, name);
    attribute(title, 'title', name); // each is cut to one line
    text(about, said);
    attribute(about, 'title', said);
    const unread = store.unreadBesides(shown);
    text(elsewhere, unread ? count(unread) : '');
    elsewhere.hidden = !unread;
    attribute(back, 'aria-label', `Back to the list${unread ? `, ${count(unread)} unread` : ''}`);
  }

  function describe(conversation) {
    const partner = store.partner(conversation);
    if (!partner) {
      const listed = conversation.participants.map(({ employee }) => employee.name);
      const rest = conversation.participant_count - listed.length;
      return listed.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
    }
    const said = store.people.presence(partner.id)?.text;
    return [STATUSES[store.people.status(partner.id)], said, partner.position].filter(Boolean).join(' · ');
  }

  /** Which conversation a person is looking at, to its end, this moment. */
  function reading() {
    const looking = document.visibilityState === 'visible' && document.hasFocus();
    return looking && messages.atEnd() ? shown : null;
  }

  function looked() {
    schedule();
    store.changed();
  }

  /** Say "read" after a moment: one receipt for a burst of messages. */
  function schedule() {
    const conversation = store.conversations.get(shown);
    if (!conversation || reading() === null || gateway.state.name !== 'live') return;
    if (conversation.history !== 'loaded') return;
    if (conversation.last_seq <= conversation.unread.last_read_seq) return;
    clearTimeout(readTimer);
    readTimer = setTimeout(() => {
      const current = store.conversations.get(shown);
      if (current && reading() !== null) store.read(current).catch(() => {});
    }, READ_AFTER_MS);
  }

  return { root, render, reading };
}
