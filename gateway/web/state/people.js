// People as this window knows them: names, presence, who is typing where.

const MAX_WATCHED = 500; // the server's limit
const WATCH_AFTER_MS = 150; // one command for all that come into view together
const NAMES = 100; // so many people one search names at most

export class People {
  #gateway;
  #changed;
  #byId = new Map();
  #presences = new Map();
  #typing = new Map(); // `conversation:employee` → timer
  #watched = '';
  #wanted = [];
  #timer = 0;
  #introduced = false;
  degraded = false;
  me = null;
  /** Counts up whenever somebody has another name than was known. */
  names = 0;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
    gateway.on('presence.changed', ({ presences, degraded }) => {
      this.degraded = degraded;
      this.take(presences);
    });
  }

  /** A new connection watches nobody yet. */
  welcomed(me) {
    this.me = me;
    this.#introduced = false; // somebody may have joined the company since
    this.learn(me);
    this.#watched = '';
    this.watch([]);
  }

  /** @param {import('../sdk/protocol.js').Employee} employee */
  learn(employee) {
    if (this.#byId.get(employee.id)?.name !== employee.name) this.names += 1;
    this.#byId.set(employee.id, employee);
  }

  /** Ask for names when some of these have none, once a connection: calls bring ids alone. */
  async introduce(ids) {
    if (this.#introduced || ids.every((id) => id === null || this.knows(id))) return;
    this.#introduced = true;
    const found = await this.#gateway
      .request('employee.search', { text: '', limit: NAMES }).catch(() => null);
    for (const employee of found?.employees ?? []) this.learn(employee);
    if (found) this.#changed();
    else this.#introduced = false;
  }

  knows(id) {
    return this.#byId.has(id);
  }

  name(id) {
    if (id === null) return 'System';
    return this.#byId.get(id)?.name ?? `Employee ${id}`;
  }

  /** @returns {import('../sdk/protocol.js').Presence | undefined} */
  presence(id) {
    return this.#presences.get(id);
  }

  status(id) {
    return this.#presences.get(id)?.status ?? 'offline';
  }

  /** @param {import('../sdk/protocol.js').Presence[]} presences */
  take(presences) {
    for (const presence of presences) {
      const known = this.#presences.get(presence.employee_id);
      if (!known || presence.version >= known.version) {
        this.#presences.set(presence.employee_id, presence);
      }
    }
    if (presences.length) this.#changed();
  }

  /** Hear of me and of the people in these conversations. */
  watch(conversations) {
    const ids = conversations.flatMap(({ participants }) => participants.map((p) => p.employee.id));
    // Whoever came into view last comes first: those beyond the limit were looked at long ago.
    const wanted = new Set([this.me?.id, ...ids, ...this.#wanted].filter(Boolean));
    this.#wanted = [...wanted].slice(0, MAX_WATCHED);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#watch(), WATCH_AFTER_MS);
  }

  /** Hear of these people too: they are in the dialog. */
  watchAlso(employees) {
    for (const employee of employees) this.learn(employee);
    this.#wanted.unshift(...employees.map(({ id }) => id));
    this.watch([]);
  }

  /** Choose a status and a text; status null is the automatic one. */
  async choose(status, text) {
    const { presence } = await this.#gateway.request('presence.set', { status, text: text || null });
    this.take([presence]);
  }

  typing({ conversation_id, employee_id, expires_ms }) {
    const key = `${conversation_id}:${employee_id}`;
    clearTimeout(this.#typing.get(key));
    const stop = () => this.stoppedTyping(conversation_id, employee_id);
    this.#typing.set(key, setTimeout(stop, expires_ms));
    this.#changed();
  }

  stoppedTyping(conversationId, employeeId) {
    const key = `${conversationId}:${employeeId}`;
    clearTimeout(this.#typing.get(key));
    if (this.#typing.delete(key)) this.#changed();
  }

  /** Names of those who are typing in this conversation. */
  typingIn(conversationId) {
    const prefix = `${conversationId}:`;
    const keys = [...this.#typing.keys()].filter((key) => key.startsWith(prefix));
    return keys.map((key) => this.name(Number(key.slice(prefix.length))));
  }

  async #watch() {
    const ids = this.#wanted;
    const list = [...ids].sort((a, b) => a - b).join();
    if (list === this.#watched || this.#gateway.state.name !== 'live') return;
    this.#watched = list;
    try {
      this.take((await this.#gateway.request('presence.watch', { employee_ids: ids })).presences);
    } catch {
      this.#watched = ''; // the next change of the list, or the next connection, asks again
    }
  }
}
