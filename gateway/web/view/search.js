// The search box: conversations here, people and messages from the server; a hit leads to its place.

import { avatar, element, keyed, part, portray, text } from './elements.js';
import { brief } from './format.js';
import { showIcons } from './icons.js';

const SEARCH_AFTER_MS = 250;
const MAX_PEOPLE = 5;

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{select: (id: number, seq?: number) => void}} actions
 * @param {{attempt: (work: () => Promise<any>) => Promise<any>}} notices
 */
export function finder(store, deeds, { select }, notices) {
  let found = { people: [], messages: [], next: null, wanted: null };
  let timer = 0;
  let turn = 0; // answers to what is no longer asked are dropped
  const box = element('input', {
    type: 'search', placeholder: 'Search messages and people', 'aria-label': 'Search messages and people',
    maxlength: 200, testid: 'search', oninput: wait, onkeydown: pressed,
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

  const wanted = () => box.value.trim();

  function wait() {
    clearTimeout(timer);
    store.changed();
    if (wanted()) timer = setTimeout(() => search(), SEARCH_AFTER_MS);
  }

  function pressed(event) {
    if (event.key !== 'Escape' || !box.value) return;
    event.preventDefault();
    box.value = '';
    wait();
  }

  async function search(cursor = null) {
    turn += 1;
    const [asked, mine] = [wanted(), turn];
    await notices.attempt(async () => {
      const [who, page] = await Promise.all([
        cursor ? found.people : deeds.searchPeople(asked, MAX_PEOPLE), deeds.searchMessages(asked, cursor),
      ]);
      if (mine !== turn) return;
      const before = cursor ? found.messages : [];
      found = { people: who, messages: [...before, ...page.messages], next: page.next, wanted: asked };
      store.changed();
    });
  }

  function render() {
    results.hidden = !isSearching();
    if (results.hidden) return;
    const key = ({ id }) => String(id);
    const fits = (one) => store.title(one).toLowerCase().includes(wanted().toLowerCase());
    const known = [...store.conversations.values()].filter(fits);
    show(conversations, known, {
      key, make: makeRow('found-conversation', ({ id }) => select(id)), update: showConversation,
    });
    const others = found.people.filter(({ id }) => id !== store.me?.id);
    show(people, others, { key, make: makeRow('found-person', talk), update: showPerson });
    const hit = ({ message }) => select(message.conversation_id, message.seq);
    show(messages, found.messages, {
      key: ({ message }) => `${message.conversation_id}-${message.seq}`,
      make: makeRow('found-message', hit),
      update: showMessage,
    });
    more.hidden = !found.next;
    const none = found.wanted === wanted() && !known.length && !found.people.length && !found.messages.length;
    text(nothing, none ? 'Nothing found' : '');
  }

  function show({ list, root: section }, items, how) {
    keyed(list, items, how);
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
    portray(part(node, 'avatar'), store.title(one), partner?.id ?? one.id, one.avatar_url ?? partner?.avatar_url);
    part(node, 'avatar').dataset.kind = one.kind;
    text(part(node, 'title'), store.title(one));
    text(part(node, 'last'), one.kind === 'direct' ? partner?.position ?? '' : `${one.participant_count} members`);
  }

  function showPerson(node, one) {
    portray(part(node, 'avatar'), one.name, one.id, one.avatar_url);
    text(part(node, 'title'), one.name);
    text(part(node, 'last'), [one.position, one.department].filter(Boolean).join(' · '));
  }

  function showMessage(node, { message, snippet, matches }) {
    const conversation = store.conversations.get(message.conversation_id);
    const where = conversation ? store.title(conversation) : 'A conversation';
    const who = store.people.name(message.sender_id);
    portray(part(node, 'avatar'), who, message.sender_id ?? 0);
    text(part(node, 'title'), conversation?.kind === 'direct' ? who : `${who} in ${where}`);
    text(part(node, 'time'), brief(message.created_at));
    showIcons(part(node, 'clip'), message.attachments?.length ? ['attachment'] : []);
    part(node, 'last').replaceChildren(...marked(snippet, matches));
  }

  async function talk({ id }) {
    const conversation = await notices.attempt(() => deeds.open(id));
    if (!conversation) return;
    box.value = '';
    select(conversation.id);
    store.changed();
  }

  function isSearching() {
    return wanted() !== '';
  }

  return { root, render, isSearching };
}

/** The snippet with its matches, which are counted in code points; all of it as text. */
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
