// The page: signs in, connects, and joins the store with the views.
//
// session ─▶ client ─▶ Store, Calls ─▶ views; the fragment says what is open: #conversation=17.

import { Calls } from './calls.js';
import { connect } from './client.js';
import { deviceId, fragment, isSignedIn, signOut, takeTokenFromAddress, token } from './session.js';
import { Store } from './store.js';
import { callCards, caller, recentCalls } from './view/calls.js';
import { conversationView } from './view/conversation.js';
import { conversationList } from './view/conversations.js';
import { attribute, element, text } from './view/elements.js';
import { count, names } from './view/format.js';
import { header } from './view/header.js';
import { showSignIn } from './view/sign_in.js';
import { startDialog } from './view/start.js';

const SOCKET_PATH = 'v1/ws';
const SIGN_IN_AGAIN = { // what to say after these of CLOSE_CODES in protocol.js
  4001: 'This sign-in link is not valid any more. Please choose again.',
  4010: 'This employee can no longer sign in. Please choose again.',
  4201: 'This sign-in link is not valid any more. Please choose again.',
};

const root = document.getElementById('app');
const titleOfPage = document.title;

function socketUrl() {
  const url = new URL(SOCKET_PATH, document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

async function start() {
  takeTokenFromAddress();
  if (isSignedIn()) await show();
  else await showSignIn(root, { done: show });
}

async function show() {
  const device = { id: await deviceId(), kind: 'web' };
  const gateway = connect(socketUrl(), { token, device });
  const store = new Store(gateway);
  const calls = new Calls(gateway, () => store.changed());
  const page = layout(gateway, store, calls);
  root.replaceChildren(page.root);
  gateway.on('state', ({ name, code }) => {
    const notice = name === 'stopped' && SIGN_IN_AGAIN[code];
    if (!notice) return;
    signOut();
    showSignIn(root, { notice, done: () => location.reload() });
  });
  store.subscribe(page.render);
  window.addEventListener('hashchange', page.render);
  setInterval(page.tick, 1_000);
  page.render();
}

function layout(gateway, store, calls) {
  const selected = () => Number(fragment().get('conversation')) || null;
  const select = (id) => {
    location.hash = id === null ? '' : `conversation=${id}`;
  };
  const leave = () => {
    signOut();
    gateway.close();
    location.replace(location.pathname);
  };
  const top = header(gateway, store, leave);
  const cards = callCards(calls, store.people);
  const conversation = conversationView(gateway, store, { selected, back: () => select(null) });
  const dialog = startDialog(store, select);
  const list = conversationList(store, {
    selected, select, reading: conversation.reading, start: () => dialog.show(),
  });
  const recent = recentCalls(calls, store.people);
  const tabs = tabList(list.root, recent);
  const shell = element('div', { class: 'shell' },
    element('nav', { class: 'side', 'aria-label': 'Conversations and calls' }, tabs.root), conversation.root,
    cards.root);
  const page = element('div', { class: 'page' }, top.root, shell, dialog.root);

  function render() {
    attribute(shell, 'data-open', store.conversations.has(selected()) ? 'true' : null);
    for (const view of [top, conversation, list, recent, cards, dialog]) view.render();
    const unread = store.unreadBesides(conversation.reading()); // what is being read would only flash
    const ringing = calls.ringing();
    tabs.show(unread, ringing.length);
    document.title = titleFor(unread, ringing);
  }

  /** What changes with time alone. */
  function tick() {
    if (gateway.state.name === 'waiting') top.render();
    if (calls.cards().some((call) => call.status !== 'ended')) cards.render();
  }

  return { root: page, render, tick };
}

/** A telephone that rings comes before messages that wait. */
function titleFor(unread, ringing) {
  if (ringing.length) return `☎ ${names(ringing.map(caller))} ${ringing.length > 1 ? 'call' : 'calls'}`;
  return unread ? `(${count(unread)}) ${titleOfPage}` : titleOfPage;
}

/** Two tabs, with the keys that tabs have. */
function tabList(conversations, recent) {
  const badge = element('span', { class: 'badge', testid: 'total-unread' });
  const bell = element('span', { class: 'badge ringing', testid: 'ringing' });
  const panels = [conversations, recent.root];
  const tabs = [
    element('button', { type: 'button', testid: 'tab-chats' }, 'Chats ', badge),
    element('button', { type: 'button', testid: 'tab-calls' }, 'Calls ', bell),
  ];
  tabs.forEach((tab, index) => {
    panels[index].id = `panel-${index}`;
    attribute(panels[index], 'role', 'tabpanel');
    attribute(tab, 'role', 'tab');
    attribute(tab, 'aria-controls', `panel-${index}`);
    tab.addEventListener('click', () => choose(index));
    tab.addEventListener('keydown', ({ key }) => {
      if (key === 'ArrowLeft' || key === 'ArrowRight') choose(1 - index).focus();
    });
  });

  function choose(chosen) {
    tabs.forEach((tab, index) => {
      attribute(tab, 'aria-selected', String(index === chosen));
      attribute(tab, 'tabindex', index === chosen ? 0 : -1);
      panels[index].hidden = index !== chosen;
    });
    if (chosen === 1) recent.load();
    return tabs[chosen];
  }

  function show(unread, ringing) {
    text(badge, unread ? count(unread) : '');
    badge.hidden = !unread;
    text(bell, ringing ? String(ringing) : '');
    attribute(bell, 'aria-label', `${ringing} ringing`);
    bell.hidden = !ringing;
  }

  const bar = element('div', { role: 'tablist', class: 'tabs', 'aria-label': 'Lists' }, ...tabs);
  choose(0);
  return { root: element('div', { class: 'tabbed' }, bar, ...panels), show };
}

start();
