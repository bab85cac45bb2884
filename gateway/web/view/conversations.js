// The list of conversations: newest first, with unread badges, last message and presence.

import { attribute, avatar, element, keyed, part, portray, text } from './elements.js';
import { STATUSES, brief, count } from './format.js';

/**
 * @param {import('../store.js').Store} store
 * @param {{selected: () => number | null, reading: () => number | null,
 *   select: (id: number) => void, start: () => void}} actions
 */
export function conversationList(store, actions) {
  const items = element('ul', { class: 'conversations', testid: 'conversation-list' });
  const empty = element('p', { class: 'muted empty' }, 'No conversations yet. Start one!');
  const more = element(
    'button',
    { type: 'button', class: 'link', onclick: () => store.loadMore().catch(() => {}) },
    'Show older conversations',
  );
  const start = element(
    'button',
    { type: 'button', class: 'primary', testid: 'new-conversation', onclick: actions.start },
    'New conversation',
  );
  const root = element(
    'section', { class: 'list', 'aria-label': 'Conversations' }, start, items, empty, more,
  );

  function render() {
    const conversations = store.list();
    const how = { key: (one) => String(one.id), make, update };
    keyed(items, conversations, how);
    empty.hidden = conversations.length > 0 || !store.me;
    more.hidden = !store.next;
  }

  function make(conversation) {
    const title = store.title(conversation);
    return element(
      'li',
      {},
      element(
        'button',
        {
          type: 'button',
          class: 'conversation-item',
          testid: 'conversation-item',
          'data-conversation-id': conversation.id,
          onclick: () => actions.select(conversation.id),
        },
        element(
          'span',
          { class: 'portrait' },
          avatar(title, conversation.id),
          element('span', { class: 'dot', testid: 'presence-dot', 'data-part': 'dot' }),
        ),
        element('span', { class: 'item-title', 'data-part': 'title' }),
        element('time', { class: 'muted', 'data-part': 'time' }),
        element('span', { class: 'muted item-last', testid: 'last-message', 'data-part': 'last' }),
        element('span', { class: 'badge', testid: 'unread-badge', 'data-part': 'badge' }),
      ),
    );
  }

  function update(node, conversation) {
    const partner = store.partner(conversation);
    const title = store.title(conversation);
    const button = node.firstElementChild;
    attribute(button, 'aria-current', actions.selected() === conversation.id ? 'true' : null);
    portray(part(node, 'avatar'), title, partner?.id ?? conversation.id);
    attribute(part(node, 'avatar'), 'data-kind', conversation.kind);
    text(part(node, 'title'), title);
    text(part(node, 'time'), brief(conversation.last_message_at));
    text(part(node, 'last'), lastLine(conversation));
    showPresence(part(node, 'dot'), partner);
    showUnread(part(node, 'badge'), conversation);
  }

  function lastLine(conversation) {
    const typing = store.people.typingIn(conversation.id);
    if (typing.length) return 'typing…';
    const last = conversation.last_message;
    if (!last) return '';
    const said = store.said(last);
    if (last.sender_id === store.me?.id) return `You: ${said}`;
    return conversation.kind === 'direct' ? said : `${store.people.name(last.sender_id)}: ${said}`;
  }

  function showPresence(dot, partner) {
    dot.hidden = !partner;
    if (!partner) return;
    const status = store.people.status(partner.id);
    const degraded = store.people.degraded ? ' (last known)' : '';
    attribute(dot, 'data-status', status);
    attribute(dot, 'title', STATUSES[status] + degraded);
    attribute(dot, 'role', 'img');
    attribute(dot, 'aria-label', STATUSES[status] + degraded);
  }

  function showUnread(badge, conversation) {
    // What is being read this moment would only flash.
    const { unread, mentions } = conversation.unread;
    badge.hidden = unread === 0 || actions.reading() === conversation.id;
    text(badge, mentions ? `@ ${count(unread)}` : count(unread));
    attribute(badge, 'aria-label', `${count(unread)} unread`);
  }

  return { root, render };
}
