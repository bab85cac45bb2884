// Calls: a card for each that reaches me, and the list of recent ones.

import { attribute, element, keyed, part, text } from './elements.js';
import { OUTCOMES, brief, duration, full } from './format.js';

const DIRECTIONS = { inbound: '↙', outbound: '↗', internal: '↔' };
const DIRECTION_NAMES = { inbound: 'Incoming call', outbound: 'Outgoing call', internal: 'Internal call' };

/**
 * @param {import('../state/calls.js').Calls} calls
 * @param {import('../state/people.js').People} people
 */
export function callCards(calls, people) {
  const cards = element('div', { class: 'cards' });
  const said = element('p', { class: 'unseen', role: 'alert' });
  const root = element('section', { class: 'call-cards', 'aria-label': 'My calls' }, said, cards);
  let announced = new Set(); // whose ringing has been brought into view

  function render() {
    const ringing = calls.ringing();
    const shown = [...ringing, ...calls.cards().filter((call) => !ringing.includes(call))];
    if (ringing.some((call) => !announced.has(call.id))) root.scrollTop = 0;
    announced = new Set(ringing.map(({ id }) => id));
    keyed(cards, shown, { key: (call) => call.id, make, update });
    text(said, ringing.map((call) => `${caller(call)} is calling`).join('. '));
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
          type: 'button', class: 'close', 'aria-label': 'Put this card away', testid: 'call-dismiss',
          onclick: () => calls.dismiss(call.id),
        }, '×')),
      element('h3', { testid: 'call-customer', 'data-part': 'customer' }),
      element('dl', {}, field('company', 'Company'),
        element('div', { 'data-part': 'number-row' }, element('dt', {}, 'Number'), element('dd', {}, number)),
        field('queue', 'Queue')),
      element('p', { class: 'muted', 'data-part': 'more' }),
      element('ul', {
        class: 'open-work', testid: 'open-work', 'aria-label': 'Open work', 'data-part': 'work',
      }),
      element('ol', {
        class: 'transfers', testid: 'call-transfers', 'aria-label': 'Transfers', 'data-part': 'transfers',
      }),
      element('p', { class: 'call-outcome', testid: 'call-outcome', 'data-part': 'outcome' }));
  }

  function update(node, call) {
    const leg = calls.myLeg(call);
    attribute(node, 'data-status', call.status);
    attribute(node, 'data-leg', leg?.status);
    attribute(node, 'aria-label', `${DIRECTION_NAMES[call.direction]}: ${caller(call)}`);
    text(part(node, 'status'), status(call, leg));
    text(part(node, 'timer'), timer(call));
    text(part(node, 'customer'), caller(call));
    row(node, 'company', call.customer?.company);
    row(node, 'number', call.number);
    if (call.number?.startsWith('+')) attribute(part(node, 'number'), 'href', `tel:${call.number}`);
    row(node, 'queue', call.queue);
    const others = call.customers_found - 1;
    text(part(node, 'more'), others > 0 ? `and ${others} more with this number` : '');
    keyed(part(node, 'work'), call.customer?.open_work ?? [], {
      key: (work) => `${work.kind}-${work.id}`, make: makeWork, update: updateWork,
    });
    const handed = call.transfers.map((one, place) => [String(place), handedOn(call, place, people)]);
    keyed(part(node, 'transfers'), handed, {
      key: ([place]) => place, make: () => element('li', {}), update: (item, [, said]) => text(item, said),
    });
    text(part(node, 'outcome'), call.status === 'ended' ? outcome(call) : '');
  }

  function status(call, leg) {
    if (call.status === 'ended') return 'Ended';
    if (leg?.status === 'held') return 'On hold';
    if (leg?.status === 'talking') return 'Talking';
    if (leg?.status === 'ringing') return 'Ringing';
    if (call.status === 'talking' && call.answered_by) return `With ${people.name(call.answered_by)}`;
    return { created: 'Starting', waiting: 'Waiting', ringing: 'Ringing', talking: 'Talking' }[call.status];
  }

  function outcome(call) {
    const by = call.answered_by ? ` by ${people.name(call.answered_by)}` : '';
    const talked = call.talk_ms === null ? '' : `, talked ${duration(call.talk_ms)}`;
    const waited = call.wait_ms === null ? '' : `, waited ${duration(call.wait_ms)}`;
    return `${OUTCOMES[call.outcome] ?? call.outcome ?? 'Ended'}${by}${talked}${waited}`;
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
      () => text(problem, ''),
      (error) => text(problem, error.message),
    );
    render();
  }

  function render() {
    const recent = calls.recent();
    keyed(items, recent, { key: (call) => call.id, make, update });
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
    text(direction, DIRECTIONS[call.direction]);
    attribute(direction, 'aria-label', DIRECTION_NAMES[call.direction]);
    attribute(node, 'data-outcome', call.outcome);
    text(part(node, 'who'), caller(call));
    text(time, brief(call.started_at));
    attribute(time, 'title', full(call.started_at));
    text(part(node, 'how'), how(call));
  }

  function how(call) {
    const said = call.status === 'ended' ? OUTCOMES[call.outcome] ?? call.outcome ?? 'Ended' : 'Now';
    const by = call.answered_by ? people.name(call.answered_by) : null;
    const talked = call.talk_ms ? duration(call.talk_ms) : null;
    const last = call.transfers.at(-1);
    const on = last ? `handed on ${target(last, people)}` : null;
    return [said, call.queue, by, talked, on].filter(Boolean).join(' · ');
  }

  return { root, render, load };
}

/** Who calls, as well as is known. */
export function caller(call) {
  return call.customer?.name ?? call.caller_name ?? call.number ?? 'Unknown caller';
}

/** What became of a call that somebody handed on; while it rings there nobody knows. */
function handedOn(call, place, people) {
  const one = call.transfers[place];
  const over = call.status === 'ended' || place < call.transfers.length - 1;
  const by = one.by ? people.name(one.by) : one.by_extension ?? 'Somebody';
  const asked = one.consult_ms === null ? '' : `, after asking for ${duration(one.consult_ms)}`;
  const taken = one.answered_at === null && over ? ', not taken' : '';
  return `${by} handed it on ${target(one, people)}${asked}${taken}`;
}

/** Where to: `into sales`, `to Petro Bondar`, `into sales, to Petro Bondar`. */
function target(one, people) {
  const who = one.to ? people.name(one.to) : one.to_extension ?? one.to_number;
  const into = one.queue ? [`into ${one.queue}`] : [];
  const taken = one.queue && one.answered_at === null ? null : who; // a queue rings many
  return [...into, ...(taken ? [`to ${taken}`] : [])].join(', ') || 'to somebody';
}

/** Talking time while talking, waiting time before. */
function timer(call) {
  if (call.status === 'ended') return call.talk_ms === null ? '' : duration(call.talk_ms);
  return duration(Date.now() - Date.parse(call.answered_at ?? call.started_at));
}

function row(node, name, value) {
  part(node, `${name}-row`).hidden = !value;
  text(part(node, name), value ?? '');
}

function makeWork() {
  return element('li', {}, element('span', { 'data-part': 'title' }),
    element('span', { class: 'tag', 'data-part': 'state' }));
}

function updateWork(node, work) {
  const kind = work.kind === 'lead' ? 'Lead' : 'Work order';
  text(part(node, 'title'), `${kind} ${work.id}: ${work.title}`);
  text(part(node, 'state'), work.status);
}
