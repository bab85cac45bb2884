// The wallboard: the highest version of each queue and agent that this window received.
//
// queue.watch ─▶ Wallboard ─▶ view/wallboard.js. Only for people with the permission stats.view.

const PERMISSION = 'stats.view';

export class Wallboard {
  #gateway;
  #people;
  #changed;
  #queues = new Map();
  #agents = new Map();
  #watching = false;
  allowed = false;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {import('./people.js').People} people
   * @param {() => void} changed
   */
  constructor(gateway, people, changed) {
    this.#gateway = gateway;
    this.#people = people;
    this.#changed = changed;
    gateway.on('welcome', (welcome) => this.#welcomed(welcome));
    gateway.on('queue.changed', ({ queues }) => this.#receive(queues, []));
    gateway.on('agent.state_changed', ({ agent }) => this.#receive([], [agent]));
    gateway.on('queue.unwatched', () => this.#ended());
  }

  /** @returns {import('../sdk/protocol.js').QueueLive[]} */
  queues() {
    return [...this.#queues.values()].sort((a, b) => a.queue.localeCompare(b.queue));
  }

  /** Agents that the PBX reports in a queue, or who are on the telephone; busy ones first. */
  agents() {
    const order = ['talking', 'held', 'dialling', 'ringing', 'wrap_up', 'paused', 'idle', 'offline'];
    return [...this.#agents.values()]
      .filter((agent) => agent.queues.length || !['idle', 'offline'].includes(agent.state))
      .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.employee_id - b.employee_id);
  }

  /** Begin to watch, when the wallboard is shown for the first time. */
  async watch() {
    if (!this.allowed || this.#watching) return;
    this.#watching = true;
    const tz = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const shown = await this.#gateway
      .request('queue.watch', { queues: 'all', agents: true, ...(tz ? { tz } : {}) })
      .catch(() => null);
    if (!shown) {
      this.#watching = false;
      return;
    }
    this.#receive(shown.queues, shown.agents);
  }

  #welcomed(welcome) {
    this.allowed = welcome.permissions.includes(PERMISSION);
    if (!this.allowed) this.#watching = false;
    this.#queues.clear(); // the SDK repeats the watch, and its snapshot comes as events
    this.#agents.clear();
    this.#changed();
  }

  #receive(queues, agents) {
    if (!this.#watching) return;
    for (const queue of queues) keepNewest(this.#queues, queue.queue, queue);
    for (const agent of agents) keepNewest(this.#agents, agent.employee_id, agent);
    this.#people.loadNames(agents.map((agent) => agent.employee_id));
    this.#changed();
  }

  #ended() {
    this.allowed = this.#watching = false;
    this.#changed();
  }
}

function keepNewest(known, key, state) {
  const before = known.get(key);
  if (!before || before.version < state.version) known.set(key, state);
}
