// How far each conversation has been taken in: what hello's `resume` says, and what is a gap.

const MAX_RESUME = 1_000; // the server accepts no more in one hello
const MAX_AHEAD = 500;

export class Positions {
  #taken = new Map(); // conversation → last change; the one touched last is last
  #ahead = new Map(); // conversation → Map(change → event that came before its turn)

  /** @param {Record<string, number>} [resume] conversation → last change taken in */
  constructor(resume = {}) {
    for (const [id, change] of Object.entries(resume)) {
      this.#taken.set(Number(id), change);
    }
  }

  /** What hello says: the conversations touched last, as many as the server takes. */
  resume() {
    return Object.fromEntries([...this.#taken].slice(-MAX_RESUME));
  }

  change(id) {
    return this.#taken.get(id);
  }

  /** Start from a conversation as the server described it. */
  set(id, change) {
    this.#taken.delete(id);
    this.#taken.set(id, change);
  }

  /** Start from it unless something is known already. */
  adopt(conversation) {
    if (!this.#taken.has(conversation.id)) this.set(conversation.id, conversation.last_change);
  }

  /** Take an event in whose turn it is, or that is replayed; false when it was seen before. */
  advance(event) {
    const id = event.conversation_id;
    if (event.change <= (this.change(id) ?? 0)) return false;
    this.set(id, event.change);
    return true;
  }

  /** True when something is missing between the last event and this one. */
  isAhead(event) {
    const change = this.change(event.conversation_id);
    return change !== undefined && event.change > change + 1;
  }

  /** Keep an event until its turn; false when too many are kept. */
  keep(event) {
    const id = event.conversation_id;
    const kept = this.#ahead.get(id) ?? new Map();
    this.#ahead.set(id, kept.set(event.change, event));
    return kept.size <= MAX_AHEAD;
  }

  /** Yield kept events in order: those whose turn has come, or all. */
  *release(id, all = false) {
    const kept = this.#ahead.get(id);
    if (!kept) return;
    for (const event of [...kept.values()].sort((a, b) => a.change - b.change)) {
      if (!all && this.isAhead(event)) break;
      kept.delete(event.change);
      if (this.advance(event)) yield event;
    }
    if (kept.size === 0) this.#ahead.delete(id);
  }

  hasKept(id) {
    return this.#ahead.has(id);
  }

  /** A new connection replays what is missing: what was kept is not needed. */
  forgetKept() {
    this.#ahead.clear();
  }
}
