// The wallboard: the queues with their waiting calls, and the states of the agents.

import { setAttribute, element, updateList, part, setText } from './elements.js';
import { formatCount, formatDuration } from './format.js';

const STATES = {
  offline: 'Logged out', idle: 'Free', dialling: 'Dialling', ringing: 'Ringing', talking: 'Talking',
  held: 'On hold', wrap_up: 'Wrap-up', paused: 'Paused',
};
const AGENT_COUNTS = [
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
    updateList(queues, shown, { key: (queue) => queue.queue, make: makeQueue, update: updateQueue });
    updateList(agents, wallboard.agents(), {
      key: (agent) => String(agent.employee_id), make: makeAgent, update: updateAgent,
    });
    agents.hidden = !agents.firstElementChild;
  }

  function updateAgent(node, agent) {
    setAttribute(node, 'data-state', agent.state);
    setText(part(node, 'who'), people.nameOf(agent.employee_id));
    setText(part(node, 'state'), [STATES[agent.state] ?? agent.state, agent.reason].filter(Boolean).join(': '));
    setText(part(node, 'since'), agent.since ? formatSince(agent.since) : '');
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
  setAttribute(node, 'data-waiting', queue.waiting > 0);
  setText(part(node, 'name'), queue.queue);
  setText(part(node, 'waiting'), `${formatCount(queue.waiting)} waiting`);
  setText(part(node, 'longest'), queue.longest_since ? formatSince(queue.longest_since) : '');
  const doing = AGENT_COUNTS.filter(([name]) => queue.agents[name]).map(([name, word]) => `${queue.agents[name]} ${word}`);
  setText(part(node, 'agents'), doing.join(' · ') || 'No agents');
  const { answered, offered, service_level: level } = queue.today;
  const inTime = level.value === null ? '' : ` · ${Math.round(level.value * 100)} % in ${level.threshold_s} s`;
  setText(part(node, 'today'), `Today ${answered} of ${offered} answered${inTime}`);
}

function makeAgent(agent) {
  return element('li', { class: 'wall-agent', testid: 'wall-agent', 'data-employee-id': agent.employee_id },
    element('span', { class: 'item-title', 'data-part': 'who' }),
    element('span', { class: 'muted', 'data-part': 'state' }),
    element('span', { class: 'muted wall-since', 'data-part': 'since' }));
}

function formatSince(moment) {
  return formatDuration(Date.now() - Date.parse(moment));
}
