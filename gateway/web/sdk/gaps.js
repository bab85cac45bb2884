// Events in order, each once: replays, duplicates, and gaps, which are read with message.changes.
//
// client.js ─▶ OrderedEvents ─▶ deliver. An event with a `change` is delivered in the order of changes.

import { Positions } from './positions.js';

const PAGE = 100;
const MAX_PAGES = 5;
const MAX_TRIES = 3;

export class OrderedEvents {
  #positions;
  #deliver;
  #request;
  #filling = new Set();

  /**
   * @param {Record<string, number> | undefined} resume
   * @param {(event: object) => void} deliver
   * @param {(type: string, fields: object) => Promise<any>} request
   */
  constructor(resume, deliver, request) {
    this.#positions = new Positions(resume);
    this.#deliver = deliver;
    this.#request = request;
  }

  /** The positions for hello's `resume`. */
  resume() {
    return this.#positions.resume();
  }

  /** Deliver what a welcome brings: replayed events first, then a reload for each gap. */
  receiveWelcome(welcome) {
    this.#positions.clearHeld();
    for (const events of Object.values(welcome.changes)) {
      // An edit gives a message a new change, so replayed numbers may have holes.
      for (const event of events) if (this.#positions.advance(event)) this.#deliver(event);
    }
    const outdated = new Set(welcome.reload);
    for (const conversation of welcome.conversations) {
      this.#positions.setIfUnknown(conversation);
      // Lower: something was not replayed. Higher: the gateway's database was restored.
      if (this.#positions.change(conversation.id) !== conversation.last_change) {
        outdated.add(conversation.id);
      }
      if (outdated.has(conversation.id)) {
        this.#positions.set(conversation.id, conversation.last_change);
      }
    }
    for (const id of outdated) this.#deliver({ type: 'reload', conversation_id: id });
  }

  /** Start from conversations in a reply. */
  addConversations(conversations) {
    for (const conversation of conversations) this.#positions.setIfUnknown(conversation);
  }

  /** Receive a live event that has a `change`. */
  receive(event) {
    const id = event.conversation_id;
    if (this.#positions.isAhead(event)) {
      if (this.#positions.hold(event)) this.#readMissing(id);
      else this.#reload(id);
      return;
    }
    if (this.#positions.advance(event)) this.#deliver(event);
    this.#release(id);
  }

  /** Read what is missing. Numbers missing there too have been replaced by higher ones. */
  async #readMissing(id) {
    if (this.#filling.has(id)) return;
    this.#filling.add(id);
    try {
      for (let tries = 0; this.#positions.hasHeld(id) && tries < MAX_TRIES; tries += 1) {
        await this.#readAfter(id);
        this.#release(id);
      }
      if (this.#positions.hasHeld(id)) this.#reload(id);
    } catch {
      // A lost connection: the next hello resumes from our position. Any refusal: reload.
      if (this.#positions.hasHeld(id)) this.#reload(id);
    } finally {
      this.#filling.delete(id);
    }
  }

  async #readAfter(id) {
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const fields = { conversation_id: id, after: this.#positions.change(id), limit: PAGE };
      const found = await this.#request('message.changes', fields);
      for (const event of found.events) if (this.#positions.advance(event)) this.#deliver(event);
      if (!found.more) return;
    }
  }

  #release(id) {
    for (const event of this.#positions.release(id)) this.#deliver(event);
  }

  #reload(id) {
    for (const event of this.#positions.release(id, true)) this.#deliver(event);
    this.#deliver({ type: 'reload', conversation_id: id });
  }
}
