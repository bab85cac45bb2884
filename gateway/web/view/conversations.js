// The list of conversations: pinned ones first, then the newest; the archive, and the search.

import { setAttribute, avatar, element, updateList, part, updateAvatar, setText } from './elements.js';
import { searchBox } from './search.js';
import { STATUSES, formatBrief, formatCount } from './format.js';
import { showIcons } from './icons.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{selected: () => number | null, conversationInView: () => number | null,
 *   select: (id: number, seq?: number) => void, start: () => void}} handlers
 * @param {{popover: any, notices: any}} ui
 */
export function conversationList(store, actions, handlers, { popover, notices }) {
  let archive = false; // show archived conversations
  let archiveLoaded = false; // the archive is loaded when it is first shown
  const items = element('ul', { class: 'conversations', testid: 'conversation-list' });
  const empty = element('p', { class: 'muted empty' });
  const more = element('button', {
    type: 'button', class: 'link', testid: 'more-conversations',
    onclick: () => notices.attempt(() => store.loadMore(archive)),
  }, 'Show older conversations');
  const start = element(
    'button',
    { type: 'button', class: 'primary', testid: 'new-conversation', onclick: handlers.start },
    'New conversation',
  );
  const menu = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'List actions', 'aria-haspopup': 'menu',
    testid: 'list-menu', onclick: ({ currentTarget }) => open(currentTarget),
  }, '⋯');
  const find = searchBox(store, actions, { select: handlers.select }, notices);
  const heading = element('p', { class: 'row archive', testid: 'archive-heading' }, 'Archive',
    element('button', {
      type: 'button', class: 'link', testid: 'leave-archive', onclick: () => toggle(false),
    }, 'Back to the list'));
  const all = element('div', { class: 'all' }, heading, items, empty, more);
  const root = element('section', { class: 'list', 'aria-label': 'Conversations' },
    element('div', { class: 'row list-head' }, start, menu), find.root, all);

  function open(anchor) {
    popover.open(anchor, { label: 'List actions', items: [
      { name: 'Mark all as read', testid: 'read-all', act: () => notices.attempt(() => store.receipts.markAllRead()) },
      { name: archive ? 'Back to the list' : 'Show the archive', testid: 'show-archive', act: () => toggle(!archive) },
    ] });
  }

  function toggle(on) {
    archive = on;
    if (on && !archiveLoaded) notices.attempt(() => store.loadMore(true)).then(() => render());
    archiveLoaded ||= on;
    render();
  }

  function render() {
    const conversations = store.list(archive);
    updateList(items, conversations, { key: (one) => String(one.id), make, update });
    find.render();
    all.hidden = find.isSearching();
    heading.hidden = !archive;
    empty.hidden = conversations.length > 0 || !store.me;
    setText(empty, archive ? 'No archived conversations.' : 'No conversations yet.');
    more.hidden = !store.next[archive];
  }

  function make(conversation) {
    return element('li', {},
      element('button', {
        type: 'button', class: 'conversation-item', testid: 'conversation-item',
        'data-conversation-id': conversation.id, onclick: () => handlers.select(conversation.id),
      },
      element('span', { class: 'portrait' }, avatar('', conversation.id),
        element('span', { class: 'dot', testid: 'presence-dot', 'data-part': 'dot' })),
      element('span', { class: 'item-title', 'data-part': 'title', dir: 'auto' }),
      element('span', { class: 'muted item-time' },
        element('span', { 'data-part': 'marks', testid: 'item-marks', role: 'img' }),
        element('time', { 'data-part': 'time' })),
      element('span', { class: 'muted item-last', testid: 'last-message', 'data-part': 'last', dir: 'auto' }),
      element('span', { class: 'badge', testid: 'unread-badge', 'data-part': 'badge' })));
  }

  function update(node, conversation) {
    const partner = store.partner(conversation);
    const title = store.title(conversation);
    const button = node.firstElementChild;
    setAttribute(button, 'aria-current', handlers.selected() === conversation.id ? 'true' : null);
    const url = conversation.avatar_url ?? partner?.avatar_url;
    updateAvatar(part(node, 'avatar'), title, partner?.id ?? conversation.id, url);
    setAttribute(part(node, 'avatar'), 'data-kind', conversation.kind);
    setText(part(node, 'title'), title);
    setText(part(node, 'time'), formatBrief(conversation.last_message_at));
    showLast(part(node, 'last'), conversation);
    showMarks(part(node, 'marks'), conversation);
    showPresence(part(node, 'dot'), partner);
    showUnread(part(node, 'badge'), conversation);
  }

  function showLast(node, conversation) {
    const typing = store.people.typingIn(conversation.id);
    const draft = handlers.selected() === conversation.id ? '' : store.drafts.get(conversation.id).text;
    setAttribute(node, 'data-draft', draft && !typing.length ? 'true' : null);
    if (typing.length) setText(node, conversation.kind === 'direct' ? 'typing…' : `${typing[0]} is typing…`);
    else setText(node, draft ? `Draft: ${store.messageText.toEditable(draft)}` : lastLine(conversation));
  }

  function lastLine(conversation) {
    const last = conversation.last_message;
    if (!last) return '';
    const content = store.messageText.plainText(last);
    if (last.kind === 'system') return content;
    if (last.sender_id === store.me?.id) return `You: ${content}`;
    return conversation.kind === 'direct' ? content : `${store.people.nameOf(last.sender_id)}: ${content}`;
  }

  function showMarks(node, conversation) {
    const { mine, closed_at: closed } = conversation;
    const marks = [mine.pinned_at && 'pinned', store.isMuted(conversation) && 'muted', closed && 'closed'];
    showIcons(node, marks.filter(Boolean));
  }

  function showPresence(dot, partner) {
    dot.hidden = !partner;
    if (!partner) return;
    const status = store.people.statusOf(partner.id);
    const degraded = store.people.degraded ? ' (last known)' : '';
    setAttribute(dot, 'data-status', status);
    setAttribute(dot, 'title', STATUSES[status] + degraded);
    setAttribute(dot, 'role', 'img');
    setAttribute(dot, 'aria-label', STATUSES[status] + degraded);
  }

  function showUnread(badge, conversation) {
    // A badge for what is being read would only flash.
    const { unread, mentions } = conversation.unread;
    const { manual_unread: marked } = conversation.mine;
    badge.hidden = (unread === 0 && !marked) || handlers.conversationInView() === conversation.id;
    const quiet = store.isMuted(conversation) && !mentions;
    setAttribute(badge, 'data-quiet', quiet ? 'true' : null);
    setText(badge, unread === 0 ? '•' : mentions ? `@ ${formatCount(unread)}` : formatCount(unread));
    const mentioned = mentions ? `, ${formatCount(mentions)} mention you` : '';
    setAttribute(badge, 'aria-label', unread === 0 ? 'marked unread' : `${formatCount(unread)} unread${mentioned}`);
  }

  return { root, render };
}
