// The search box: loaded conversations, and people and messages from the gateway.

import { avatar, element, updateList, part, updateAvatar, setText } from './elements.js';
import { formatBrief } from './format.js';
import { showIcons } from './icons.js';

const SEARCH_AFTER_MS = 250;
const MAX_PEOPLE = 5;

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{select: (id: number, seq?: number) => void}} handlers
 * @param {{attempt: (work: () => Promise<any>) => Promise<any>}} notices
 */
export function searchBox(store, actions, { select }, notices) {
  let found = { people: [], messages: [], next: null, wanted: null };
  let timer = 0;
  let turn = 0; // replies to an older query are dropped
  const box = element('input', {
    type: 'search', placeholder: 'Search messages and people', 'aria-label': 'Search messages and people',
    maxlength: 200, testid: 'search', oninput: onInput, onkeydown: onKey,
  });
  const group = (name, testid) => {
    const list = element('ul', { class: 'conversations', testid });
    return { list, root: element('section', {}, element('h3', { class: 'muted' }, name), list) };
  };
  const conversations = group('Conversations', 'found-conversations');
  const people = group('People', 'found-people');
  const messages = group('Messages', 'found-messages');
  const more = element('button', {
    type: 'button', class: 'link', testid: 'more-found', onclick: () => search(found.next),
  }, 'Show older messages');
  const nothing = element('p', { class: 'muted empty', role: 'status', testid: 'found-nothing' });
  const results = element('div', { class: 'found' }, conversations.root, people.root, messages.root, more, nothing);
  const root = element('search', { class: 'find' }, box, results);

  const query = () => box.value.trim();

  function onInput() {
    clearTimeout(timer);
    store.changed();
    if (query()) timer = setTimeout(() => search(), SEARCH_AFTER_MS);
  }

  function onKey(event) {
    if (event.key !== 'Escape' || !box.value) return;
    event.preventDefault();
    box.value = '';
    onInput();
  }

  async function search(cursor = null) {
    turn += 1;
    const [wanted, mine] = [query(), turn];
    await notices.attempt(async () => {
      const [who, page] = await Promise.all([
        cursor ? found.people : actions.searchPeople(wanted, MAX_PEOPLE), actions.searchMessages(wanted, cursor),
      ]);
      if (mine !== turn) return;
      const before = cursor ? found.messages : [];
      found = { people: who, messages: [...before, ...page.messages], next: page.next, wanted: wanted };
      store.changed();
    });
  }

  function render() {
    results.hidden = !isSearching();
    if (results.hidden) return;
    const key = ({ id }) => String(id);
    const fits = (one) => store.title(one).toLowerCase().includes(query().toLowerCase());
    const known = [...store.conversations.values()].filter(fits);
    show(conversations, known, {
      key, make: makeRow('found-conversation', ({ id }) => select(id)), update: showConversation,
    });
    const others = found.people.filter(({ id }) => id !== store.me?.id);
    show(people, others, { key, make: makeRow('found-person', openDirect), update: showPerson });
    const hit = ({ message }) => select(message.conversation_id, message.seq);
    show(messages, found.messages, {
      key: ({ message }) => `${message.conversation_id}-${message.seq}`,
      make: makeRow('found-message', hit),
      update: showMessage,
    });
    more.hidden = !found.next;
    const none = found.wanted === query() && !known.length && !found.people.length && !found.messages.length;
    setText(nothing, none ? 'No results' : '');
  }

  function show({ list, root: section }, items, how) {
    updateList(list, items, how);
    section.hidden = !items.length;
  }

  function makeRow(testid, act) {
    return (item) => element('li', {}, element('button', {
      type: 'button', class: 'conversation-item', testid, onclick: () => act(item),
    }, avatar('', 0), element('span', { class: 'item-title', 'data-part': 'title', dir: 'auto' }),
    element('span', { class: 'muted item-time' },
      element('span', { class: 'clip', role: 'img', hidden: '', testid: 'clip', 'data-part': 'clip' }), ' ',
      element('time', { 'data-part': 'time' })),
    element('span', { class: 'muted item-last', 'data-part': 'last', dir: 'auto' })));
  }

  function showConversation(node, one) {
    const partner = store.partner(one);
    updateAvatar(part(node, 'avatar'), store.title(one), partner?.id ?? one.id, one.avatar_url ?? partner?.avatar_url);
    part(node, 'avatar').dataset.kind = one.kind;
    setText(part(node, 'title'), store.title(one));
    setText(part(node, 'last'), one.kind === 'direct' ? partner?.position ?? '' : `${one.participant_count} members`);
  }

  function showPerson(node, one) {
    updateAvatar(part(node, 'avatar'), one.name, one.id, one.avatar_url);
    setText(part(node, 'title'), one.name);
    setText(part(node, 'last'), [one.position, one.department].filter(Boolean).join(' · '));
  }

  function showMessage(node, { message, snippet, matches }) {
    const conversation = store.conversations.get(message.conversation_id);
    const where = conversation ? store.title(conversation) : 'A conversation';
    const who = store.people.nameOf(message.sender_id);
    updateAvatar(part(node, 'avatar'), who, message.sender_id ?? 0);
    setText(part(node, 'title'), conversation?.kind === 'direct' ? who : `${who} in ${where}`);
    setText(part(node, 'time'), formatBrief(message.created_at));
    showIcons(part(node, 'clip'), message.attachments?.length ? ['attachment'] : []);
    part(node, 'last').replaceChildren(...marked(snippet, matches));
  }

  async function openDirect({ id }) {
    const conversation = await notices.attempt(() => actions.open(id));
    if (!conversation) return;
    box.value = '';
    select(conversation.id);
    store.changed();
  }

  function isSearching() {
    return query() !== '';
  }

  return { root, render, isSearching };
}

/** The snippet with its matches marked; positions are code points, not UTF-16 units. */
function marked(snippet, matches) {
  const letters = [...snippet];
  const pieces = [];
  let end = 0;
  for (const match of matches) {
    pieces.push(letters.slice(end, match.start).join(''));
    pieces.push(element('mark', {}, letters.slice(match.start, match.end).join('')));
    end = match.end;
  }
  return [...pieces, letters.slice(end).join('')];
}
