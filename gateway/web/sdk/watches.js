// What the application watches: people, queues and topics, again on each new connection.
//
// client.js ─▶ Watches ─▶ listeners. The gateway forgets a watch when its connection ends. The last
// presence.watch and queue.watch that it accepted, and all topics, are sent again after each welcome,
// and the snapshot in the reply is given out as the events that would have brought it.

const BUSY_MS = 1_000; // how long a repeated watch waits while a newer one has no reply

/** type → whether these fields of a watch name nobody, which ends it. */
const ENDS = {
  'presence.watch': ({ employee_ids }) => employee_ids.length === 0,
  'queue.watch': ({ queues }) => queues.length === 0,
};

const TOPICS = 'topic.watch'; // watches of topics are added to each other
const KINDS = [...Object.keys(ENDS), TOPICS, 'topic.unwatch'];

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
    if (KINDS.includes(type)) this.#unanswered.set(id, { type, fields, again: false });
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
    if (watch.type === 'topic.unwatch') this.topicsUnwatched(watch.fields.topics);
    else if (watch.type === TOPICS) this.#topicsWatched(watch, ok.refused ?? []);
    else this.#accept(watch, ok);
  }

  #accept(watch, ok) {
    if (ENDS[watch.type](watch.fields)) this.#accepted.delete(watch.type);
    else this.#accepted.set(watch.type, watch.fields);
    if (watch.again) for (const event of snapshot(watch.type, ok)) this.#emit(event);
  }

  /** Forget the queues: the gateway sent queue.unwatched. */
  unwatched() {
    this.#accepted.delete('queue.watch');
  }

  /** Forget these topics: the application unwatched them, or the gateway did. */
  topicsUnwatched(topics) {
    const gone = new Set(topics);
    this.#keepTopics(this.#topics().filter((topic) => !gone.has(topic)));
  }

  #topics() {
    return this.#accepted.get(TOPICS)?.topics ?? [];
  }

  #keepTopics(topics) {
    if (topics.length) this.#accepted.set(TOPICS, { topics });
    else this.#accepted.delete(TOPICS);
  }

  /** Topics that may not be read are left out; the application knows, unless we watched again. */
  #topicsWatched({ fields, again }, refused) {
    this.#keepTopics([...new Set([...this.#topics(), ...fields.topics])]);
    this.topicsUnwatched(refused);
    if (again && refused.length) this.#emit({ type: 'topic.unwatched', topics: refused });
  }

  /** Whether this is still the last watch of its kind; of topics, the last one stands for all. */
  #isLast(type, fields) {
    const last = this.#accepted.get(type);
    return type === TOPICS ? last !== undefined : last === fields;
  }

  #watchAgain(type, fields) {
    this.#unanswered.set(this.#send(type, fields), { type, fields, again: true });
  }

  #refused({ type, fields }, { retry_after: seconds }) {
    if (!this.#isLast(type, fields)) return; // a newer one was accepted meanwhile
    if (typeof seconds === 'number') {
      this.#watchLater(type, fields, seconds * 1_000);
      return;
    }
    if (type === TOPICS) this.topicsUnwatched(fields.topics);
    else this.#accepted.delete(type);
    if (type === TOPICS) this.#emit({ type: 'topic.unwatched', topics: fields.topics });
    // As for a permission that is lost while connected.
    if (type === 'queue.watch') this.#emit({ type: 'queue.unwatched' });
  }

  #watchLater(type, fields, delayMs) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isLast(type, fields)) return;
      const isNewer = [...this.#unanswered.values()].some((watch) => watch.type === type);
      if (isNewer) this.#watchLater(type, fields, BUSY_MS);
      else this.#watchAgain(type, this.#accepted.get(type));
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
