// Calls: a card for each that reaches me, and the list of recent calls.

import { setAttribute, element, updateLink, updateList, part, setText } from './elements.js';
import { OUTCOMES, formatBrief, formatDuration, formatFull } from './format.js';

const DIRECTIONS = { inbound: '↙', outbound: '↗', internal: '↔' };
const LEFT_OUT = {
  legs: ['leg', 'legs'], stints: ['wait in a queue', 'waits in queues'],
  transfers: ['transfer', 'transfers'], parkings: ['parking', 'parkings'],
};
const KINDS = { lead: 'Lead', work_order: 'Work order' };
const DIRECTION_NAMES = { inbound: 'Incoming call', outbound: 'Outgoing call', internal: 'Internal call' };

/**
 * @param {import('../state/calls.js').Calls} calls
 * @param {import('../state/people.js').People} people
 */
export function callCards(calls, people) {
  const cards = element('div', { class: 'cards' });
  const announcement = element('p', { class: 'unseen', role: 'alert' });
  const root = element('section', { class: 'call-cards', 'aria-label': 'My calls' }, announcement, cards);
  let announced = new Set(); // ringing calls that have been scrolled into view

  function render() {
    const ringing = calls.ringing();
    const shown = [...ringing, ...calls.cards().filter((call) => !ringing.includes(call))];
    if (ringing.some((call) => !announced.has(call.id))) root.scrollTop = 0;
    announced = new Set(ringing.map(({ id }) => id));
    updateList(cards, shown, { key: (call) => call.id, make, update });
    setText(announcement, ringing.map((call) => `${callerName(call)} is calling`).join('. '));
    root.hidden = shown.length === 0;
  }

  function make(call) {
    const field = (name, label) => element('div', { 'data-part': `${name}-row` },
      element('dt', {}, label), element('dd', { testid: `call-${name}`, 'data-part': name }));
    const number = element('a', { testid: 'call-number', 'data-part': 'number' });
    return element('article', { class: 'call-card', testid: 'call-card', 'data-call-id': call.id },
      element('div', { class: 'call-head' },
        element('span', { class: 'call-status', testid: 'call-status', 'data-part': 'status' }),
        element('span', { class: 'call-timer', testid: 'call-timer', role: 'timer', 'data-part': 'timer' }),
        element('button', {
          type: 'button', class: 'close', 'aria-label': 'Dismiss this card', testid: 'call-dismiss',
          onclick: () => calls.dismiss(call.id),
        }, '×')),
      element('h3', {}, element('a', { testid: 'call-customer', 'data-part': 'customer' })),
      element('dl', {}, field('company', 'Company'),
        element('div', { 'data-part': 'number-row' }, element('dt', {}, 'Number'), element('dd', {}, number)),
        field('did', 'Dialled'), field('asked', 'Asked for'), field('queue', 'Queue'), field('group', 'Ring group'), field('mailbox', 'Mailbox'), field('room', 'Conference')),
      element('p', { class: 'muted', 'data-part': 'more' }),
      element('ul', {
        class: 'open-work', testid: 'open-work', 'aria-label': 'Open work', 'data-part': 'work',
      }),
      element('ol', {
        class: 'transfers', testid: 'call-transfers', 'aria-label': 'Transfers', 'data-part': 'transfers',
      }),
      element('p', { class: 'muted', testid: 'call-left-out', 'data-part': 'left-out' }),
      element('p', { class: 'call-outcome', testid: 'call-outcome', 'data-part': 'outcome' }));
  }

  function update(node, call) {
    const leg = calls.myLeg(call);
    setAttribute(node, 'data-status', call.status);
    setAttribute(node, 'data-leg', leg?.status);
    setAttribute(node, 'aria-label', `${DIRECTION_NAMES[call.direction]}: ${callerName(call)}`);
    setText(part(node, 'status'), statusText(call, leg));
    setText(part(node, 'timer'), timerText(call));
    setText(part(node, 'customer'), callerName(call));
    updateLink(part(node, 'customer'), call.customer?.url);
    updateRow(node, 'company', call.customer?.company);
    updateRow(node, 'number', call.number);
    if (call.number?.startsWith('+')) setAttribute(part(node, 'number'), 'href', `tel:${call.number}`);
    updateRow(node, 'did', call.did);
    updateRow(node, 'asked', askedText(call, people));
    updateRow(node, 'queue', call.queue);
    updateRow(node, 'group', call.ring_group);
    updateRow(node, 'mailbox', mailboxText(call));
    updateRow(node, 'room', call.room);
    const others = call.customers_found - 1;
    setText(part(node, 'more'), others > 0 ? `and ${others} more customers with this number` : '');
    updateList(part(node, 'work'), call.customer?.open_work ?? [], {
      key: (work) => `${work.kind}-${work.id}`, make: makeWork, update: updateWork,
    });
    const handed = call.transfers.map((one, place) => [String(place), transferText(call, place, people)]);
    updateList(part(node, 'transfers'), handed, {
      key: ([place]) => place, make: () => element('li', {}), update: (item, [, content]) => setText(item, content),
    });
    setText(part(node, 'left-out'), leftOutText(call));
    setText(part(node, 'outcome'), call.status === 'ended' ? outcomeText(call) : '');
  }

  function statusText(call, leg) {
    if (call.status === 'ended') return 'Ended';
    if (leg?.status === 'held') return 'On hold';
    if (leg?.status === 'talking') return 'Talking';
    if (leg?.status === 'ringing') return 'Ringing';
    const parked = parkedNow(call);
    if (parked) return parked.slot ? `Parked in ${parked.slot}` : 'Parked';
    if (call.status === 'talking' && call.answered_by) return `With ${people.nameOf(call.answered_by)}`;
    return { created: 'Starting', waiting: 'Waiting', ringing: 'Ringing', talking: 'Talking' }[call.status];
  }

  function outcomeText(call) {
    const by = call.answered_by ? ` by ${people.nameOf(call.answered_by)}` : '';
    const talked = call.talk_ms === null ? '' : `, talked ${formatDuration(call.talk_ms)}`;
    const waited = call.wait_ms === null ? '' : `, waited ${formatDuration(call.wait_ms)}`;
    const ended = hangUpText(call, people);
    return `${OUTCOMES[call.outcome] ?? call.outcome ?? 'Ended'}${by}${talked}${waited}${ended ? `, ${ended}` : ''}`;
  }

  return { root, render };
}

/**
 * @param {import('../state/calls.js').Calls} calls
 * @param {import('../state/people.js').People} people
 */
export function recentCalls(calls, people) {
  const items = element('ul', { class: 'recent', testid: 'recent-calls' });
  const empty = element('p', { class: 'muted empty' }, 'No calls yet.');
  const problem = element('p', { class: 'error', role: 'alert' });
  const more = element(
    'button', { type: 'button', class: 'link', onclick: () => load(calls.next) }, 'Show older calls',
  );
  const root = element(
    'section', { class: 'list', 'aria-label': 'Recent calls' }, problem, items, empty, more,
  );

  async function load(cursor = null) {
    await calls.loadRecent(cursor).then(
      () => setText(problem, ''),
      (error) => setText(problem, error.message),
    );
    render();
  }

  function render() {
    const recent = calls.recent();
    updateList(items, recent, { key: (call) => call.id, make, update });
    empty.hidden = recent.length > 0 || problem.textContent !== '';
    more.hidden = !calls.next;
  }

  function make(call) {
    return element('li', { class: 'recent-call', testid: 'recent-call', 'data-call-id': call.id },
      element('span', { class: 'direction', role: 'img', 'data-part': 'direction' }),
      element('span', { class: 'item-title', 'data-part': 'who' }),
      element('time', { class: 'muted', 'data-part': 'time' }),
      element('span', { class: 'muted item-last', 'data-part': 'how' }));
  }

  function update(node, call) {
    const [direction, time] = [part(node, 'direction'), part(node, 'time')];
    setText(direction, DIRECTIONS[call.direction]);
    setAttribute(direction, 'aria-label', DIRECTION_NAMES[call.direction]);
    setAttribute(node, 'data-outcome', call.outcome);
    setText(part(node, 'who'), callerName(call));
    setText(time, formatBrief(call.started_at));
    setAttribute(time, 'title', formatFull(call.started_at));
    setText(part(node, 'how'), summary(call));
  }

  function summary(call) {
    const result = call.status === 'ended' ? OUTCOMES[call.outcome] ?? call.outcome ?? 'Ended' : 'Now';
    const by = call.answered_by ? people.nameOf(call.answered_by) : null;
    const talked = call.talk_ms ? formatDuration(call.talk_ms) : null;
    const last = call.transfers.at(-1);
    const on = last ? `transferred ${transferTarget(last, people)}` : null;
    const asked = askedText(call, people);
    const parked = parkedNow(call) ? 'parked' : null;
    const more = [parked, messageText(call), leftOutText(call), hangUpText(call, people)];
    return [result, call.queue ?? call.ring_group, by, asked && `asked for ${asked}`, talked, on, ...more].filter(Boolean).join(' · ');
  }

  return { root, render, load };
}

/** The caller: the customer's name, the caller's name, or the number. */
export function callerName(call) {
  return call.customer?.name ?? call.caller_name ?? call.number ?? 'Unknown caller';
}

/**
 * One transfer as a line of text; while the target rings its result is not known yet.
 * @param {import('../state/people.js').People} people
 */
function transferText(call, place, people) {
  const one = call.transfers[place];
  const over = call.status === 'ended' || place < call.transfers.length - 1;
  const by = one.by ? people.nameOf(one.by) : one.by_extension ?? (one.kind === 'redirect' ? 'Somebody outside the call' : 'Somebody');
  const consulted = one.consult_ms === null ? '' : `, after a consultation of ${formatDuration(one.consult_ms)}`;
  const unanswered = one.answered_at === null && over ? ', not answered' : '';
  return `${by} transferred the call ${transferTarget(one, people)}${consulted}${unanswered}`;
}

/**
 * The target: `to queue sales`, `to Petro Bondar`, `to queue sales, to Petro Bondar`.
 * @param {import('../state/people.js').People} people
 */
function transferTarget(one, people) {
  const who = one.to ? people.nameOf(one.to) : one.to_extension ?? one.to_number;
  const into = one.queue ? [`to queue ${one.queue}`] : [];
  const taken = one.queue && one.answered_at === null ? null : who; // a queue rings several agents
  return [...into, ...(taken ? [`to ${taken}`] : [])].join(', ') || 'to an unknown number';
}

/**
 * Who hung up, unless the outcome says it.
 * @param {import('../state/people.js').People} people
 */
function hangUpText(call, people) {
  if (call.ended_by === 'pbx') return 'ended by the PBX';
  if (call.ended_by === 'customer') return call.outcome === 'abandoned' ? '' : 'the customer hung up';
  if (call.ended_by !== 'agent') return '';
  return `${nameAt(call, call.ended_by_extension, people) ?? 'the other side'} hung up`;
}

/**
 * Whom the caller asked for, when the call reached another telephone.
 * @param {import('../state/people.js').People} people
 */
function askedText(call, people) {
  const asked = call.asked_extension;
  const reached = call.legs.some((leg) => leg.extension === asked && (leg.ringing_at ?? leg.answered_at));
  return !asked || (reached && !call.legs.some((leg) => leg.forwarded_from)) ? null : nameAt(call, asked, people);
}

/**
 * Who has this extension in a call, or the extension itself.
 * @param {import('../state/people.js').People} people
 */
function nameAt(call, extension, people) {
  const leg = call.legs.find((one) => one.extension === extension && one.employee_id);
  return leg ? people.nameOf(leg.employee_id) : extension;
}

/** The talking time while talking, the waiting time before, the time in the slot while parked. */
function timerText(call) {
  if (call.status === 'ended') return call.talk_ms === null ? '' : formatDuration(call.talk_ms);
  const since = parkedNow(call)?.at ?? call.answered_at ?? call.started_at;
  return formatDuration(Date.now() - Date.parse(since));
}

/**
 * Where and since when the call is parked; undefined when it is not, and from an older node.
 * One that knows no parking goes on with the call, and leaves it open.
 */
function parkedNow(call) {
  return call.status !== 'waiting' ? undefined : call.parkings?.find(({ until }) => until === null);
}

/** The mailbox and whether there is a message: `100@default, message left`. */
function mailboxText(call) {
  return [call.mailbox, messageText(call)].filter(Boolean).join(', ');
}

function messageText(call) {
  return { true: 'message left', false: 'no message left' }[call.message_left] ?? '';
}

/** How many parts of the call are not sent, nor from an older node counted: `and 250 more legs`. */
function leftOutText(call) {
  const parts = Object.entries(LEFT_OUT).flatMap(([name, [one, many]]) => {
    const count = call.left_out?.[name] ?? 0;
    return count ? [`${count} more ${count === 1 ? one : many}`] : [];
  });
  return parts.length ? `and ${parts.join(', ')}` : '';
}

function updateRow(node, name, value) {
  part(node, `${name}-row`).hidden = !value;
  setText(part(node, name), value ?? '');
}

function makeWork() {
  return element('li', {}, element('a', { testid: 'work-title', 'data-part': 'title' }),
    element('span', { class: 'tag', 'data-part': 'state' }));
}

function updateWork(node, work) {
  const kind = work.label ?? KINDS[work.kind] ?? work.kind;
  setText(part(node, 'title'), `${kind} ${work.external_id ?? work.id}: ${work.title}`);
  updateLink(part(node, 'title'), work.url);
  setText(part(node, 'state'), work.status);
}
