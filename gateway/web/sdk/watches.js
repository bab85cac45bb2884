// What the application watches: presence.watch and queue.watch, repeated on each new connection.
//
// client.js ─▶ Watches ─▶ listeners. The gateway forgets a watch when its connection ends. The last
// watch of each kind that it accepted is sent again after each welcome, and the snapshot in the reply
// is given out as the events that would have brought it.

const BUSY_MS = 1_000; // how long a repeated watch waits while a newer one has no reply

/** type → whether these fields of a watch name nobody, which ends it. */
const ENDS = {
  'presence.watch': ({ employee_ids }) => employee_ids.length === 0,
  'queue.watch': ({ queues }) => queues.length === 0,
};

export class Watches {
  #emit;
  #send;
  #accepted = new Map(); // type → fields
  #unanswered = new Map(); // id → {type, fields, again: sent by us, not by the application}
  #timers = new Set();

  /**
   * @param {(event: {type: string}) => void} emit
   * @param {(type: string, fields: object) => number} send sends a command, returns its id
   */
  constructor(emit, send) {
    this.#emit = emit;
    this.#send = send;
  }

  /** Note that a command was sent, if it is a watch. */
  sent({ id, type, ...fields }) {
    if (type in ENDS) this.#unanswered.set(id, { type, fields, again: false });
  }

  /** Watch again what was watched on the connection before. */
  connected() {
    for (const [type, fields] of this.#accepted) this.#watchAgain(type, fields);
  }

  /** Expect no more replies to what was sent. */
  disconnected() {
    this.#unanswered.clear();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Take the reply to a watch; replies to other commands are ignored. */
  replied({ id, ok, error }) {
    const watch = this.#unanswered.get(id);
    if (!this.#unanswered.delete(id)) return;
    if (error) {
      if (watch.again) this.#refused(watch, error);
      return;
    }
    if (ENDS[watch.type](watch.fields)) this.#accepted.delete(watch.type);
    else this.#accepted.set(watch.type, watch.fields);
    if (watch.again) for (const event of snapshot(watch.type, ok)) this.#emit(event);
  }

  /** Forget the queues: the gateway sent queue.unwatched. */
  unwatched() {
    this.#accepted.delete('queue.watch');
  }

  #watchAgain(type, fields) {
    this.#unanswered.set(this.#send(type, fields), { type, fields, again: true });
  }

  #refused({ type, fields }, { retry_after: seconds }) {
    if (this.#accepted.get(type) !== fields) return; // a newer one was accepted meanwhile
    if (typeof seconds === 'number') {
      this.#watchLater(type, fields, seconds * 1_000);
      return;
    }
    this.#accepted.delete(type);
    // As for a permission that is lost while connected.
    if (type === 'queue.watch') this.#emit({ type: 'queue.unwatched' });
  }

  #watchLater(type, fields, delayMs) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#accepted.get(type) !== fields) return;
      const isNewer = [...this.#unanswered.values()].some((watch) => watch.type === type);
      if (isNewer) this.#watchLater(type, fields, BUSY_MS);
      else this.#watchAgain(type, fields);
    }, delayMs);
    this.#timers.add(timer);
  }
}

function snapshot(type, ok) {
  if (type === 'presence.watch') {
    return [{ type: 'presence.changed', presences: ok.presences, degraded: ok.degraded ?? false }];
  }
  const queues = ok.queues.length ? [{ type: 'queue.changed', queues: ok.queues }] : [];
  return [...queues, ...(ok.agents ?? []).map((agent) => ({ type: 'agent.state_changed', agent }))];
}
