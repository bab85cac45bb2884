// The page: signs in, connects, and connects the state with the views.
//
// sdk/client.js ─▶ state (Store, Calls, Wallboard, WorkList) ─▶ views. The address names what is open:
// #/conversations/17.

import { watchIdle } from './state/idle.js';
import { Calls } from './state/calls.js';
import { connect } from './sdk/client.js';
import { Actions } from './state/actions.js';
import { removeMessageFromAddress, navigate, currentRoute } from './state/route.js';
import {
  deviceId, endSession, fragment, isOfAnother, isSignedIn, signIn, signInBySession, signInProvider, signOut,
  takeTokenFromAddress, token,
} from './state/credentials.js';
import { Store } from './state/store.js';
import { callCards, callerName, recentCalls } from './view/calls.js';
import { conversationView } from './view/conversation.js';
import { conversationList } from './view/conversations.js';
import { notices, confirmation } from './view/dialog.js';
import { preventFileNavigation } from './view/drop_zone.js';
import { setAttribute, element } from './view/elements.js';
import { formatCount, joinNames } from './view/format.js';
import { header } from './view/header.js';
import { popover } from './view/popover.js';
import { askToChangePerson, showSignIn } from './view/sign_in.js';
import { newConversationDialog } from './view/new_conversation.js';
import { tabList } from './view/tabs.js';
import { wallboardView } from './view/wallboard.js';
import { workListView } from './view/work_list.js';
import { Wallboard } from './state/wallboard.js';
import { WorkList } from './state/work_list.js';

const SOCKET_PATH = 'v1/ws';
const SIGN_IN_AGAIN = { // texts for these of CLOSE_CODES in protocol.js
  4001: 'Your sign-in is no longer valid. Please sign in again.',
  4010: 'This employee is no longer active. Please sign in as somebody else.',
  4201: 'Your sign-in is no longer valid. Please sign in again.',
};
const EMPTY_LINK = 'The token of this link is empty: look at what should have made it.';

const root = document.getElementById('app');
const titleOfPage = document.title;

function socketUrl() {
  const url = new URL(SOCKET_PATH, document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

async function start() {
  const given = takeTokenFromAddress();
  if (given && (!isOfAnother(given) || (await askToChangePerson(root, given)))) signIn(given);
  if (isSignedIn() || (given === null && (await hasSession()))) await show();
  else await showSignIn(root, { notice: given === '' ? EMPTY_LINK : '', done: show });
}

/** Whether this browser has signed in with the provider, in another window or a moment ago. */
async function hasSession() {
  const provider = await signInProvider().catch(() => null); // the sign-in says what is wrong
  return Boolean(provider?.session) && signInBySession().catch(() => false);
}

async function show() {
  const device = { id: await deviceId(), kind: 'web' };
  const gateway = connect(socketUrl(), { token, device });
  const store = new Store(gateway);
  const calls = new Calls(gateway, store.people, () => store.changed());
  const wallboard = new Wallboard(gateway, store.people, () => store.changed());
  const workList = new WorkList(gateway, () => store.changed());
  const page = layout(gateway, store, { calls, wallboard, workList });
  root.replaceChildren(page.root);
  gateway.on('state', ({ name, code }) => {
    const notice = name === 'stopped' && SIGN_IN_AGAIN[code];
    if (!notice) return;
    signOut();
    showSignIn(root, { notice, done: () => location.reload() });
  });
  watchIdle((away) => gateway.away(away));
  store.subscribe(page.render);
  window.addEventListener('hashchange', () => {
    if (fragment().has('token')) location.reload(); // a link that signs in, opened in this window
    else page.render();
  });
  setInterval(page.tick, 1_000);
  preventFileNavigation();
  page.render();
}

/**
 * @param {import('./sdk/client.js').Gateway} gateway
 * @param {Store} store
 * @param {{calls: Calls, wallboard: Wallboard, workList: WorkList}} lists
 */
function layout(gateway, store, { calls, wallboard, workList }) {
  const selected = () => currentRoute().conversation;
  const leave = async () => {
    store.drafts.flush();
    try {
      const next = await endSession();
      signOut();
      gateway.close();
      location.replace(next ?? location.pathname);
    } catch (problem) {
      ui.notices.show(`You are still signed in: ${problem.message}`);
    }
  };
  const actions = new Actions(gateway, store);
  const ui = { popover: popover(), question: confirmation(), notices: notices() };
  const top = header(gateway, store, leave);
  const cards = callCards(calls, store.people);
  const conversation = conversationView(gateway, store, actions, {
    selected, select: navigate, open: (seq) => navigate(selected(), seq), arrived: removeMessageFromAddress,
  }, ui);
  const dialog = newConversationDialog(store, actions, navigate);
  const list = conversationList(store, actions, {
    selected, select: navigate, conversationInView: conversation.conversationInView, start: () => dialog.show(),
  }, ui);
  const recent = recentCalls(calls, store.people);
  const board = wallboardView(wallboard, store.people);
  recent.root.prepend(board.root);
  const work = workListView(workList);
  const tabs = tabList(list.root, {
    root: recent.root,
    load: () => {
      wallboard.watch();
      recent.load();
    },
  }, work);
  const shell = element('div', { class: 'shell' },
    element('nav', { class: 'side', 'aria-label': 'Conversations, calls and events' }, tabs.root), conversation.root,
    cards.root);
  const page = element('div', { class: 'page' }, top.root, shell, dialog.root, ui.popover.root,
    ui.question.root, ui.notices.root);

  function render() {
    setAttribute(shell, 'data-open', selected() ? 'true' : null);
    for (const view of [top, conversation, list, board, recent, work, cards, dialog]) view.render();
    const unread = store.unreadElsewhere(conversation.conversationInView()); // a badge for what is being read would only flash
    const ringing = calls.ringing();
    tabs.show(unread, ringing.length, workList.unseen);
    document.title = titleFor(unread, ringing);
  }

  /** Update what changes due to time alone. */
  function tick() {
    if (gateway.state.name === 'waiting') top.render();
    if (calls.cards().some((call) => call.status !== 'ended')) cards.render();
    if (!recent.root.hidden) board.render();
  }

  return { root: page, render, tick };
}

/** The title of the window: ringing calls come before unread messages. */
function titleFor(unread, ringing) {
  if (ringing.length) return `☎ ${joinNames(ringing.map(callerName))} ${ringing.length > 1 ? 'call' : 'calls'}`;
  return unread ? `(${formatCount(unread)}) ${titleOfPage}` : titleOfPage;
}

start();
