// The head of a conversation: its name, its members, and its menu.

import { conversationDetails } from './details.js';
import { setAttribute, avatar, element, part, updateAvatar, setText } from './elements.js';
import { STATUSES, formatCount, formatMoment } from './format.js';
import { showIcons } from './icons.js';

const HOUR_MS = 3_600_000;
const FOR_GOOD = new Date('2100-01-01T00:00:00Z');
const LEVELS = { all: 'Notify me of all messages', mentions: 'Notify me of mentions only', none: 'Do not notify me' };

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{current: () => any, back: () => void, schedule: () => void}} handlers
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function conversationHead(store, actions, { current, back, schedule }, { popover, question, notices }) {
  const details = conversationDetails(store, actions, current);
  const elsewhere = element('span', { class: 'badge', testid: 'unread-elsewhere' });
  const backButton = element('button', {
    type: 'button', class: 'back', 'aria-label': 'Back to the list', onclick: back,
  }, '‹', elsewhere);
  const title = element('h2', { testid: 'conversation-title', dir: 'auto' });
  const about = element('p', { class: 'muted', testid: 'conversation-about', dir: 'auto' });
  const picture = element('span', { class: 'portrait' }, avatar('', 0));
  const state = element('span', { class: 'marks', testid: 'conversation-marks', role: 'img' });
  const menu = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'Conversation actions', 'aria-haspopup': 'menu',
    testid: 'conversation-menu', onclick: ({ currentTarget }) => open(currentTarget),
  }, '⋯');
  const root = element('div', { class: 'conversation-head' }, backButton, picture,
    element('div', { class: 'head-text' }, title, about), state, menu);

  function render(conversation) {
    const [name, description] = [store.title(conversation), describe(conversation)];
    setText(title, name);
    setAttribute(title, 'title', name); // each is cut to one line
    setText(about, description);
    setAttribute(about, 'title', description);
    const partner = store.partner(conversation);
    const url = conversation.avatar_url ?? partner?.avatar_url;
    updateAvatar(part(picture, 'avatar'), name, partner?.id ?? conversation.id, url);
    setAttribute(part(picture, 'avatar'), 'data-kind', conversation.kind);
    showMarks(conversation);
    const unread = store.unreadElsewhere(conversation.id);
    setText(elsewhere, unread ? formatCount(unread) : '');
    elsewhere.hidden = !unread;
    setAttribute(backButton, 'aria-label', `Back to the list${unread ? `, ${formatCount(unread)} unread` : ''}`);
    details.render(conversation);
  }

  function showMarks(conversation) {
    const { mine } = conversation;
    const marks = [mine.pinned_at && 'pinned', mine.archived && 'archived', store.isMuted(conversation) && 'muted'];
    showIcons(state, marks.filter(Boolean));
  }

  function describe(conversation) {
    const partner = store.partner(conversation);
    if (!partner) {
      const listed = conversation.participants.map(({ employee }) => employee.name);
      const rest = conversation.participant_count - listed.length;
      const closed = conversation.closed_at ? 'Closed · ' : '';
      return closed + listed.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
    }
    const statusText = store.people.presenceOf(partner.id)?.text;
    return [STATUSES[store.people.statusOf(partner.id)], statusText, partner.position].filter(Boolean).join(' · ');
  }

  function open(anchor) {
    const conversation = current();
    const { mine } = conversation;
    const group = conversation.kind !== 'direct';
    const closed = Boolean(conversation.closed_at);
    const act = (work) => () => notices.attempt(work);
    const mute = (name, until, testid) => ({ name, testid, act: act(() => actions.mute(conversation, until)) });
    const muted = store.isMuted(conversation);
    const forGood = Date.parse(mine.muted_until) >= FOR_GOOD.getTime();
    const until = forGood ? 'muted permanently' : `muted until ${formatMoment(mine.muted_until)}`;
    popover.open(anchor, { label: 'Conversation actions', items: [
      group && { name: 'Members and settings…', testid: 'details', act: () => details.show() },
      { name: 'Scheduled messages…', testid: 'scheduled', act: schedule },
      {
        name: mine.pinned_at ? 'Unpin' : 'Pin', testid: 'pin', apart: group,
        act: act(() => actions.setPinned(conversation, !mine.pinned_at)),
      },
      {
        name: mine.archived ? 'Unarchive' : 'Archive', testid: 'archive',
        act: act(() => actions.setArchived(conversation, !mine.archived)),
      },
      ...(muted ? [{ ...mute(`Unmute (${until})`, null, 'unmute'), apart: true }] : [
        { ...mute('Mute for 1 hour', new Date(Date.now() + HOUR_MS), 'mute-1h'), apart: true },
        mute('Mute for 8 hours', new Date(Date.now() + 8 * HOUR_MS), 'mute-8h'),
        mute('Mute permanently', FOR_GOOD, 'mute-for-good'),
      ]),
      ...Object.entries(LEVELS).map(([level, name], index) => ({
        name, testid: `notify-${level}`, checked: mine.notify === level, apart: index === 0,
        act: act(() => actions.notify(conversation, level)),
      })),
      store.canModerate(conversation) && {
        name: closed ? 'Reopen' : 'Close', testid: 'close', apart: true,
        act: act(() => actions.setClosed(conversation, !closed)),
      },
      group && { name: 'Leave…', testid: 'leave', danger: true, act: () => leave(conversation) },
    ].filter(Boolean) });
  }

  async function leave(conversation) {
    const sure = await question.ask(`Leave “${store.title(conversation)}”?`, 'Leave');
    if (!sure) return;
    await notices.attempt(async () => {
      await actions.leave(conversation);
      back();
    });
  }

  return { root, render, dialogs: details.root };
}
