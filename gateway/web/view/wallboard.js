// The wallboard: who waits in which queue, and what its agents do.

import { attribute, element, keyed, part, text } from './elements.js';
import { count, duration } from './format.js';

const STATES = {
  offline: 'Logged out', idle: 'Free', dialling: 'Dialling', ringing: 'Ringing', talking: 'Talking',
  held: 'On hold', wrap_up: 'Wrap-up', paused: 'Paused',
};
const COUNTED = [
  ['available', 'free'], ['ringing', 'ringing'], ['talking', 'talking'], ['wrap_up', 'wrap-up'],
  ['paused', 'paused'],
];

/**
 * @param {import('../state/wallboard.js').Wallboard} wallboard
 * @param {import('../state/people.js').People} people
 */
export function wallboardView(wallboard, people) {
  const queues = element('ul', { class: 'wall-queues' });
  const agents = element('ul', { class: 'wall-agents', 'aria-label': 'Agents' });
  const root = element('section', { class: 'wallboard', 'aria-label': 'Queues now', testid: 'wallboard' },
    element('h2', {}, 'Queues now'), queues, agents);

  function render() {
    const shown = wallboard.allowed ? wallboard.queues() : [];
    root.hidden = shown.length === 0;
    if (root.hidden) return;
    keyed(queues, shown, { key: (queue) => queue.queue, make: makeQueue, update: updateQueue });
    keyed(agents, wallboard.agents(), {
      key: (agent) => String(agent.employee_id), make: makeAgent, update: updateAgent,
    });
    agents.hidden = !agents.firstElementChild;
  }

  function updateAgent(node, agent) {
    attribute(node, 'data-state', agent.state);
    text(part(node, 'who'), people.name(agent.employee_id));
    text(part(node, 'state'), [STATES[agent.state] ?? agent.state, agent.reason].filter(Boolean).join(': '));
    text(part(node, 'since'), agent.since ? since(agent.since) : '');
  }

  return { root, render };
}

function makeQueue(queue) {
  return element('li', { class: 'wall-queue', testid: 'wall-queue', 'data-queue': queue.queue },
    element('div', { class: 'wall-head' },
      element('span', { class: 'item-title', 'data-part': 'name' }),
      element('span', { class: 'wall-waiting', 'data-part': 'waiting', testid: 'wall-waiting' }),
      element('span', { class: 'wall-longest', role: 'timer', 'data-part': 'longest' })),
    element('p', { class: 'muted', 'data-part': 'agents', testid: 'wall-counts' }),
    element('p', { class: 'muted', 'data-part': 'today' }));
}

function updateQueue(node, queue) {
  attribute(node, 'data-waiting', queue.waiting > 0);
  text(part(node, 'name'), queue.queue);
  text(part(node, 'waiting'), `${count(queue.waiting)} waiting`);
  text(part(node, 'longest'), queue.longest_since ? since(queue.longest_since) : '');
  const doing = COUNTED.filter(([name]) => queue.agents[name]).map(([name, word]) => `${queue.agents[name]} ${word}`);
  text(part(node, 'agents'), doing.join(' · ') || 'No agents');
  const { answered, offered, service_level: level } = queue.today;
  const inTime = level.value === null ? '' : ` · ${Math.round(level.value * 100)} % in ${level.threshold_s} s`;
  text(part(node, 'today'), `Today ${answered} of ${offered} answered${inTime}`);
}

function makeAgent(agent) {
  return element('li', { class: 'wall-agent', testid: 'wall-agent', 'data-employee-id': agent.employee_id },
    element('span', { class: 'item-title', 'data-part': 'who' }),
    element('span', { class: 'muted', 'data-part': 'state' }),
    element('span', { class: 'muted wall-since', 'data-part': 'since' }));
}

function since(moment) {
  return duration(Date.now() - Date.parse(moment));
}
