// The head of a conversation: its name, who is in it, and the menu of what can be done with it.

import { conversationDetails } from './details.js';
import { attribute, avatar, element, part, portray, text } from './elements.js';
import { STATUSES, count, moment } from './format.js';
import { showIcons } from './icons.js';

const HOUR_MS = 3_600_000;
const FOR_GOOD = new Date('2100-01-01T00:00:00Z');
const LEVELS = { all: 'Notify me of everything', mentions: 'Notify me of mentions', none: 'Notify me of nothing' };

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{current: () => any, back: () => void, schedule: () => void}} actions
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function conversationHead(store, deeds, { current, back, schedule }, { popover, question, notices }) {
  const details = conversationDetails(store, deeds, current);
  const elsewhere = element('span', { class: 'badge', testid: 'unread-elsewhere' });
  const backButton = element('button', {
    type: 'button', class: 'back', 'aria-label': 'Back to the list', onclick: back,
  }, '‹', elsewhere);
  const title = element('h2', { testid: 'conversation-title', dir: 'auto' });
  const about = element('p', { class: 'muted', testid: 'conversation-about', dir: 'auto' });
  const picture = element('span', { class: 'portrait' }, avatar('', 0));
  const state = element('span', { class: 'marks', testid: 'conversation-marks', role: 'img' });
  const menu = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'What to do with this conversation', 'aria-haspopup': 'menu',
    testid: 'conversation-menu', onclick: ({ currentTarget }) => open(currentTarget),
  }, '⋯');
  const root = element('div', { class: 'conversation-head' }, backButton, picture,
    element('div', { class: 'head-text' }, title, about), state, menu);

  function render(conversation) {
    const [name, said] = [store.title(conversation), describe(conversation)];
    text(title, name);
    attribute(title, 'title', name); // each is cut to one line
    text(about, said);
    attribute(about, 'title', said);
    const partner = store.partner(conversation);
    const url = conversation.avatar_url ?? partner?.avatar_url;
    portray(part(picture, 'avatar'), name, partner?.id ?? conversation.id, url);
    attribute(part(picture, 'avatar'), 'data-kind', conversation.kind);
    showMarks(conversation);
    const unread = store.unreadBesides(conversation.id);
    text(elsewhere, unread ? count(unread) : '');
    elsewhere.hidden = !unread;
    attribute(backButton, 'aria-label', `Back to the list${unread ? `, ${count(unread)} unread` : ''}`);
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
    const said = store.people.presence(partner.id)?.text;
    return [STATUSES[store.people.status(partner.id)], said, partner.position].filter(Boolean).join(' · ');
  }

  function open(anchor) {
    const conversation = current();
    const { mine } = conversation;
    const group = conversation.kind !== 'direct';
    const closed = Boolean(conversation.closed_at);
    const act = (work) => () => notices.attempt(work);
    const mute = (name, until, testid) => ({ name, testid, act: act(() => deeds.mute(conversation, until)) });
    const muted = store.isMuted(conversation);
    const forGood = Date.parse(mine.muted_until) >= FOR_GOOD.getTime();
    const until = forGood ? 'muted for good' : `muted until ${moment(mine.muted_until)}`;
    popover.open(anchor, { label: 'What to do with this conversation', items: [
      group && { name: 'Members and settings…', testid: 'details', act: () => details.show() },
      { name: 'Scheduled messages…', testid: 'scheduled', act: schedule },
      {
        name: mine.pinned_at ? 'Unpin' : 'Pin on top', testid: 'pin', apart: group,
        act: act(() => deeds.setPinned(conversation, !mine.pinned_at)),
      },
      {
        name: mine.archived ? 'Bring back from the archive' : 'Archive', testid: 'archive',
        act: act(() => deeds.setArchived(conversation, !mine.archived)),
      },
      ...(muted ? [{ ...mute(`Unmute (${until})`, null, 'unmute'), apart: true }] : [
        { ...mute('Mute for 1 hour', new Date(Date.now() + HOUR_MS), 'mute-1h'), apart: true },
        mute('Mute for 8 hours', new Date(Date.now() + 8 * HOUR_MS), 'mute-8h'),
        mute('Mute for good', FOR_GOOD, 'mute-for-good'),
      ]),
      ...Object.entries(LEVELS).map(([level, name], index) => ({
        name, testid: `notify-${level}`, checked: mine.notify === level, apart: index === 0,
        act: act(() => deeds.notify(conversation, level)),
      })),
      store.moderates(conversation) && {
        name: closed ? 'Open again' : 'Close', testid: 'close', apart: true,
        act: act(() => deeds.setClosed(conversation, !closed)),
      },
      group && { name: 'Leave…', testid: 'leave', danger: true, act: () => leave(conversation) },
    ].filter(Boolean) });
  }

  async function leave(conversation) {
    const sure = await question.ask(`Leave “${store.title(conversation)}”?`, 'Leave');
    if (!sure) return;
    await notices.attempt(async () => {
      await deeds.leave(conversation);
      back();
    });
  }

  return { root, render, dialogs: details.root };
}
