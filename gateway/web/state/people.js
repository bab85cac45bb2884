// People: names, presence, and who is typing in which conversation.

const MAX_WATCHED = 500; // the gateway's limit
const WATCH_AFTER_MS = 150; // one command for all who come into view together
const MAX_NAMES = 100; // the most that one search returns

export class People {
  #gateway;
  #changed;
  #byId = new Map();
  #presences = new Map();
  #typing = new Map(); // `conversation:employee` → timer
  #watched = '';
  #toWatch = [];
  #timer = 0;
  #namesLoaded = false;
  degraded = false;
  me = null;
  /** Grows whenever a name changes. */
  namesVersion = 0;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
    gateway.on('presence.changed', ({ presences, degraded }) => {
      this.degraded = degraded;
      this.receivePresences(presences);
    });
  }

  /** Receive who I am; the SDK repeats the watch on the new connection. */
  welcomed(me) {
    this.me = me;
    this.#namesLoaded = false; // there may be new employees
    this.add(me);
    this.watch([]);
  }

  /** @param {import('../sdk/protocol.js').Employee} employee */
  add(employee) {
    if (this.#byId.get(employee.id)?.name !== employee.name) this.namesVersion += 1;
    this.#byId.set(employee.id, employee);
  }

  /** Load names when one of these is unknown, once per connection: calls have ids only. */
  async loadNames(ids) {
    if (this.#namesLoaded || ids.every((id) => id === null || this.isKnown(id))) return;
    this.#namesLoaded = true;
    const found = await this.#gateway
      .request('employee.search', { text: '', limit: MAX_NAMES }).catch(() => null);
    for (const employee of found?.employees ?? []) this.add(employee);
    if (found) this.#changed();
    else this.#namesLoaded = false;
  }

  isKnown(id) {
    return this.#byId.has(id);
  }

  nameOf(id) {
    if (id === null) return 'System';
    return this.#byId.get(id)?.name ?? `Employee ${id}`;
  }

  /** @returns {import('../sdk/protocol.js').Presence | undefined} */
  presenceOf(id) {
    return this.#presences.get(id);
  }

  statusOf(id) {
    return this.#presences.get(id)?.status ?? 'offline';
  }

  /** @param {import('../sdk/protocol.js').Presence[]} presences */
  receivePresences(presences) {
    for (const presence of presences) {
      const known = this.#presences.get(presence.employee_id);
      if (!known || presence.version >= known.version) {
        this.#presences.set(presence.employee_id, presence);
      }
    }
    if (presences.length) this.#changed();
  }

  /** Watch the presence of me and of the people in these conversations. */
  watch(conversations) {
    const ids = conversations.flatMap(({ participants }) => participants.map((p) => p.employee.id));
    // Who came into view last comes first: beyond the limit are those seen longest ago.
    const wanted = new Set([this.me?.id, ...ids, ...this.#toWatch].filter(Boolean));
    this.#toWatch = [...wanted].slice(0, MAX_WATCHED);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#sendWatch(), WATCH_AFTER_MS);
  }

  /** Watch the presence of these people too: a dialog shows them. */
  watchAlso(employees) {
    for (const employee of employees) this.add(employee);
    this.#toWatch.unshift(...employees.map(({ id }) => id));
    this.watch([]);
  }

  /** Set my status and its text; status null is the automatic one. */
  async setStatus(status, text) {
    const { presence } = await this.#gateway.request('presence.set', { status, text: text || null });
    this.receivePresences([presence]);
  }

  startedTyping({ conversation_id, employee_id, expires_ms }) {
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

  /** Names of the people who are typing in this conversation. */
  typingIn(conversationId) {
    const prefix = `${conversationId}:`;
    const keys = [...this.#typing.keys()].filter((key) => key.startsWith(prefix));
    return keys.map((key) => this.nameOf(Number(key.slice(prefix.length))));
  }

  async #sendWatch() {
    const ids = this.#toWatch;
    const list = [...ids].sort((a, b) => a - b).join();
    if (list === this.#watched || this.#gateway.state.name !== 'live') return;
    this.#watched = list;
    try {
      this.receivePresences((await this.#gateway.request('presence.watch', { employee_ids: ids })).presences);
    } catch {
      this.#watched = ''; // the next change of the list tries again
    }
  }
}
