// Calls: the highest version of each that this window received, and which of them have a card.

const PAGE = 30;
const MAX_CALLS = 500;
const MAX_ENDED_CARDS = 5;

export class Calls {
  #gateway;
  #people;
  #changed;
  #byId = new Map();
  #cards = new Set(); // ids in the order in which they rang
  #dismissed = new Set();
  #me = 0;
  /** @type {string | null} */
  next = null;

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
    for (const type of ['call.offered', 'call.updated', 'call.ended', 'call.revised']) {
      gateway.on(type, ({ call }) => this.#receive(call, true));
    }
  }

  /** @returns {import('../sdk/protocol.js').Call[]} */
  cards() {
    return [...this.#cards].map((id) => this.#byId.get(id));
  }

  /** Calls that ring at my telephone; not those that I make. */
  ringing() {
    return this.cards().filter(
      (call) => call.direction !== 'outbound' && this.myLeg(call)?.status === 'ringing',
    );
  }

  /** All calls that are known here, newest first. */
  recent() {
    const calls = [...this.#byId.values()];
    return calls.sort((a, b) => Date.parse(b.started_at) - Date.parse(a.started_at));
  }

  dismiss(id) {
    this.#cards.delete(id);
    this.#dismissed.add(id);
    this.#changed();
  }

  /** My own leg of a call: one that has not ended, else the last; null when I have none. */
  myLeg(call) {
    const mine = call.legs.filter((leg) => leg.employee_id === this.#me);
    return mine.find((leg) => leg.status !== 'ended') ?? mine.at(-1) ?? null;
  }

  async loadRecent(cursor = null) {
    const fields = cursor ? { limit: PAGE, cursor } : { limit: PAGE };
    const page = await this.#gateway.request('call.list', fields);
    this.next = page.next;
    for (const call of page.calls) this.#receive(call, false);
  }

  #welcomed(welcome) {
    this.#me = welcome.user.id;
    for (const call of welcome.calls) this.#receive(call, true);
    const live = new Set(welcome.calls.map(({ id }) => id));
    const ended = this.cards().some((call) => call.status !== 'ended' && !live.has(call.id));
    if (ended) this.#readMissedEnds(live);
  }

  /** Calls ended while we were disconnected: read how, and remove cards of unknown ones. */
  async #readMissedEnds(live) {
    await this.loadRecent().catch(() => {});
    for (const call of this.cards()) {
      if (call.status !== 'ended' && !live.has(call.id)) this.dismiss(call.id);
    }
  }

  #receive(call, withCard) {
    // A card appears when a call reaches me, and stays until I dismiss it.
    const showCard = withCard && call.status !== 'ended' && !this.#dismissed.has(call.id);
    const known = this.#byId.get(call.id);
    if (!known || known.version < call.version) this.#byId.set(call.id, call);
    if (showCard) this.#cards.add(call.id);
    this.#people.loadNames([call.answered_by, ...call.transfers.flatMap(({ by, to }) => [by, to])]);
    this.#trim();
    this.#changed();
  }

  /** A window may stay open for weeks: forget old calls. */
  #trim() {
    const ended = this.cards().filter((call) => call.status === 'ended');
    for (const call of ended.slice(0, -MAX_ENDED_CARDS)) this.#cards.delete(call.id);
    if (this.#byId.size <= MAX_CALLS) return;
    const kept = this.recent().slice(0, MAX_CALLS - PAGE);
    this.#byId = new Map([...kept, ...this.cards()].map((call) => [call.id, call]));
    this.#dismissed = new Set([...this.#dismissed].filter((id) => this.#byId.has(id)));
  }
}
