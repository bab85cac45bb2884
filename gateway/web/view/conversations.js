// The list of conversations: pinned ones first, then the newest; the archive, and the search above it.

import { attribute, avatar, element, keyed, part, portray, text } from './elements.js';
import { finder } from './search.js';
import { STATUSES, brief, count } from './format.js';
import { showIcons } from './icons.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{selected: () => number | null, reading: () => number | null,
 *   select: (id: number, seq?: number) => void, start: () => void}} actions
 * @param {{popover: any, notices: any}} ui
 */
export function conversationList(store, deeds, actions, { popover, notices }) {
  let archive = false; // show what has been put away
  let asked = false; // the archive is read when it is first looked at
  const items = element('ul', { class: 'conversations', testid: 'conversation-list' });
  const empty = element('p', { class: 'muted empty' });
  const more = element('button', {
    type: 'button', class: 'link', testid: 'more-conversations',
    onclick: () => notices.attempt(() => store.loadMore(archive)),
  }, 'Show older conversations');
  const start = element(
    'button',
    { type: 'button', class: 'primary', testid: 'new-conversation', onclick: actions.start },
    'New conversation',
  );
  const menu = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'What to do with the list', 'aria-haspopup': 'menu',
    testid: 'list-menu', onclick: ({ currentTarget }) => open(currentTarget),
  }, '⋯');
  const find = finder(store, deeds, { select: actions.select }, notices);
  const heading = element('p', { class: 'row archive', testid: 'archive-heading' }, 'Archive',
    element('button', {
      type: 'button', class: 'link', testid: 'leave-archive', onclick: () => toggle(false),
    }, 'Back to the list'));
  const all = element('div', { class: 'all' }, heading, items, empty, more);
  const root = element('section', { class: 'list', 'aria-label': 'Conversations' },
    element('div', { class: 'row list-head' }, start, menu), find.root, all);

  function open(anchor) {
    popover.open(anchor, { label: 'What to do with the list', items: [
      { name: 'Mark everything as read', testid: 'read-all', act: () => notices.attempt(() => store.reading.readAll()) },
      { name: archive ? 'Back to the list' : 'Show the archive', testid: 'show-archive', act: () => toggle(!archive) },
    ] });
  }

  function toggle(on) {
    archive = on;
    if (on && !asked) notices.attempt(() => store.loadMore(true)).then(() => render());
    asked ||= on;
    render();
  }

  function render() {
    const conversations = store.list(archive);
    keyed(items, conversations, { key: (one) => String(one.id), make, update });
    find.render();
    all.hidden = find.isSearching();
    heading.hidden = !archive;
    empty.hidden = conversations.length > 0 || !store.me;
    text(empty, archive ? 'Nothing is archived.' : 'No conversations yet. Start one!');
    more.hidden = !store.next[archive];
  }

  function make(conversation) {
    return element('li', {},
      element('button', {
        type: 'button', class: 'conversation-item', testid: 'conversation-item',
        'data-conversation-id': conversation.id, onclick: () => actions.select(conversation.id),
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
    attribute(button, 'aria-current', actions.selected() === conversation.id ? 'true' : null);
    const url = conversation.avatar_url ?? partner?.avatar_url;
    portray(part(node, 'avatar'), title, partner?.id ?? conversation.id, url);
    attribute(part(node, 'avatar'), 'data-kind', conversation.kind);
    text(part(node, 'title'), title);
    text(part(node, 'time'), brief(conversation.last_message_at));
    showLast(part(node, 'last'), conversation);
    showMarks(part(node, 'marks'), conversation);
    showPresence(part(node, 'dot'), partner);
    showUnread(part(node, 'badge'), conversation);
  }

  function showLast(node, conversation) {
    const typing = store.people.typingIn(conversation.id);
    const draft = actions.selected() === conversation.id ? '' : store.drafts.of(conversation.id).text;
    attribute(node, 'data-draft', draft && !typing.length ? 'true' : null);
    if (typing.length) text(node, conversation.kind === 'direct' ? 'typing…' : `${typing[0]} is typing…`);
    else text(node, draft ? `Draft: ${store.words.forWriting(draft)}` : lastLine(conversation));
  }

  function lastLine(conversation) {
    const last = conversation.last_message;
    if (!last) return '';
    const said = store.words.said(last);
    if (last.kind === 'system') return said;
    if (last.sender_id === store.me?.id) return `You: ${said}`;
    return conversation.kind === 'direct' ? said : `${store.people.name(last.sender_id)}: ${said}`;
  }

  function showMarks(node, conversation) {
    const { mine, closed_at: closed } = conversation;
    const marks = [mine.pinned_at && 'pinned', store.isMuted(conversation) && 'muted', closed && 'closed'];
    showIcons(node, marks.filter(Boolean));
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
    const { manual_unread: marked } = conversation.mine;
    badge.hidden = (unread === 0 && !marked) || actions.reading() === conversation.id;
    const quiet = store.isMuted(conversation) && !mentions;
    attribute(badge, 'data-quiet', quiet ? 'true' : null);
    text(badge, unread === 0 ? '•' : mentions ? `@ ${count(unread)}` : count(unread));
    const mentioned = mentions ? `, ${count(mentions)} mention you` : '';
    attribute(badge, 'aria-label', unread === 0 ? 'marked unread' : `${count(unread)} unread${mentioned}`);
  }

  return { root, render };
}
