// The last change received of each conversation: for hello's `resume`, and to detect gaps.

const MAX_RESUME = 1_000; // the gateway accepts no more in one hello
const MAX_AHEAD = 500;

export class Positions {
  #lastChange = new Map(); // conversation → last change; the one changed last is last
  #held = new Map(); // conversation → Map(change → event that came too early)

  /** @param {Record<string, number>} [resume] conversation → last change received */
  constructor(resume = {}) {
    for (const [id, change] of Object.entries(resume)) {
      this.#lastChange.set(Number(id), change);
    }
  }

  /** The positions for hello: the conversations changed last, as many as the gateway accepts. */
  resume() {
    return Object.fromEntries([...this.#lastChange].slice(-MAX_RESUME));
  }

  change(id) {
    return this.#lastChange.get(id);
  }

  /** Start a conversation from the change that the gateway reported. */
  set(id, change) {
    this.#lastChange.delete(id);
    this.#lastChange.set(id, change);
  }

  /** Start from a conversation unless its position is known. */
  setIfUnknown(conversation) {
    if (!this.#lastChange.has(conversation.id)) this.set(conversation.id, conversation.last_change);
  }

  /** Move the position to an event; false when it is a repetition. */
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

  /** Hold an event until the gap before it is closed; false when too many are held. */
  hold(event) {
    const id = event.conversation_id;
    const kept = this.#held.get(id) ?? new Map();
    this.#held.set(id, kept.set(event.change, event));
    return kept.size <= MAX_AHEAD;
  }

  /** Yield held events in order: those without a gap before them, or all. */
  *release(id, all = false) {
    const kept = this.#held.get(id);
    if (!kept) return;
    for (const event of [...kept.values()].sort((a, b) => a.change - b.change)) {
      if (!all && this.isAhead(event)) break;
      kept.delete(event.change);
      if (this.advance(event)) yield event;
    }
    if (kept.size === 0) this.#held.delete(id);
  }

  hasHeld(id) {
    return this.#held.has(id);
  }

  /** A new connection replays what is missing: held events are not needed. */
  clearHeld() {
    this.#held.clear();
  }
}
