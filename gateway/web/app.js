// The page: signs in, connects, and joins the store with the views.
//
// session ─▶ client ─▶ Store, Calls ─▶ views; the address says what is open: #/conversations/17.

import { watchIdle } from './state/idle.js';
import { Calls } from './state/calls.js';
import { connect } from './sdk/client.js';
import { Deeds } from './state/actions.js';
import { forgetMessage, go, place } from './state/route.js';
import { deviceId, isSignedIn, signOut, takeTokenFromAddress, token } from './state/credentials.js';
import { Store } from './state/store.js';
import { callCards, caller, recentCalls } from './view/calls.js';
import { conversationView } from './view/conversation.js';
import { conversationList } from './view/conversations.js';
import { notices, question } from './view/dialog.js';
import { keepPage } from './view/drop_zone.js';
import { attribute, element } from './view/elements.js';
import { count, names } from './view/format.js';
import { header } from './view/header.js';
import { popover } from './view/popover.js';
import { showSignIn } from './view/sign_in.js';
import { startDialog } from './view/new_conversation.js';
import { tabList } from './view/tabs.js';
import { wallboardView } from './view/wallboard.js';
import { Wallboard } from './state/wallboard.js';

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
  const calls = new Calls(gateway, store.people, () => store.changed());
  const wallboard = new Wallboard(gateway, store.people, () => store.changed());
  const page = layout(gateway, store, calls, wallboard);
  root.replaceChildren(page.root);
  gateway.on('state', ({ name, code }) => {
    const notice = name === 'stopped' && SIGN_IN_AGAIN[code];
    if (!notice) return;
    signOut();
    showSignIn(root, { notice, done: () => location.reload() });
  });
  watchIdle((away) => gateway.away(away));
  store.subscribe(page.render);
  window.addEventListener('hashchange', page.render);
  setInterval(page.tick, 1_000);
  keepPage();
  page.render();
}

function layout(gateway, store, calls, wallboard) {
  const selected = () => place().conversation;
  const leave = () => {
    store.drafts.flush();
    signOut();
    gateway.close();
    location.replace(location.pathname);
  };
  const deeds = new Deeds(gateway, store);
  const ui = { popover: popover(), question: question(), notices: notices() };
  const top = header(gateway, store, leave);
  const cards = callCards(calls, store.people);
  const conversation = conversationView(gateway, store, deeds, {
    selected, select: go, open: (seq) => go(selected(), seq), arrived: forgetMessage,
  }, ui);
  const dialog = startDialog(store, deeds, go);
  const list = conversationList(store, deeds, {
    selected, select: go, reading: conversation.reading, start: () => dialog.show(),
  }, ui);
  const recent = recentCalls(calls, store.people);
  const board = wallboardView(wallboard, store.people);
  recent.root.prepend(board.root);
  const tabs = tabList(list.root, {
    root: recent.root,
    load: () => {
      wallboard.watch();
      recent.load();
    },
  });
  const shell = element('div', { class: 'shell' },
    element('nav', { class: 'side', 'aria-label': 'Conversations and calls' }, tabs.root), conversation.root,
    cards.root);
  const page = element('div', { class: 'page' }, top.root, shell, dialog.root, ui.popover.root,
    ui.question.root, ui.notices.root);

  function render() {
    attribute(shell, 'data-open', selected() ? 'true' : null);
    for (const view of [top, conversation, list, board, recent, cards, dialog]) view.render();
    const unread = store.unreadBesides(conversation.reading()); // what is being read would only flash
    const ringing = calls.ringing();
    tabs.show(unread, ringing.length);
    document.title = titleFor(unread, ringing);
  }

  /** What changes with time alone. */
  function tick() {
    if (gateway.state.name === 'waiting') top.render();
    if (calls.cards().some((call) => call.status !== 'ended')) cards.render();
    if (!recent.root.hidden) board.render();
  }

  return { root: page, render, tick };
}

/** A telephone that rings comes before messages that wait. */
function titleFor(unread, ringing) {
  if (ringing.length) return `☎ ${names(ringing.map(caller))} ${ringing.length > 1 ? 'call' : 'calls'}`;
  return unread ? `(${count(unread)}) ${titleOfPage}` : titleOfPage;
}

start();
