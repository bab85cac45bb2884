// The wallboard as this window knows it: the highest version of each queue and agent.
//
// queue.watch ─▶ Wallboard ─▶ view/wallboard.js. Only for whoever may see statistics.

const PERMISSION = 'stats.view';

export class Wallboard {
  #gateway;
  #people;
  #changed;
  #queues = new Map();
  #agents = new Map();
  #wanted = false;
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
    gateway.on('queue.changed', ({ queues }) => this.#take(queues, []));
    gateway.on('agent.state_changed', ({ agent }) => this.#take([], [agent]));
    gateway.on('queue.unwatched', () => this.#ended());
  }

  /** @returns {import('../sdk/protocol.js').QueueLive[]} */
  queues() {
    return [...this.#queues.values()].sort((a, b) => a.queue.localeCompare(b.queue));
  }

  /** Agents of whom the PBX tells something, or who are on the telephone; busy ones first. */
  agents() {
    const order = ['talking', 'held', 'dialling', 'ringing', 'wrap_up', 'paused', 'idle', 'offline'];
    return [...this.#agents.values()]
      .filter((agent) => agent.queues.length || !['idle', 'offline'].includes(agent.state))
      .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.employee_id - b.employee_id);
  }

  /** Begin to watch, when this is looked at for the first time. */
  async watch() {
    if (!this.allowed || this.#wanted) return;
    this.#wanted = true;
    const tz = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const shown = await this.#gateway
      .request('queue.watch', { queues: 'all', agents: true, ...(tz ? { tz } : {}) })
      .catch(() => null);
    if (!shown) {
      this.#wanted = false;
      return;
    }
    this.#take(shown.queues, shown.agents);
  }

  #welcomed(welcome) {
    const again = this.#wanted; // a new connection watches nothing yet
    this.allowed = welcome.permissions.includes(PERMISSION);
    this.#wanted = false;
    this.#queues.clear();
    this.#agents.clear();
    if (again) this.watch();
    this.#changed();
  }

  #take(queues, agents) {
    if (!this.#wanted) return;
    for (const queue of queues) keep(this.#queues, queue.queue, queue);
    for (const agent of agents) keep(this.#agents, agent.employee_id, agent);
    this.#people.introduce(agents.map((agent) => agent.employee_id));
    this.#changed();
  }

  #ended() {
    this.allowed = this.#wanted = false;
    this.#changed();
  }
}

function keep(known, key, state) {
  const before = known.get(key);
  if (!before || before.version < state.version) known.set(key, state);
}
