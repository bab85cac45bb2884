// Events in their order, each once: replays, duplicates, and gaps that are read back.
//
// client.js ─▶ Ordered ─▶ deliver. An event with a `change` is delivered when its turn comes.

import { Positions } from './positions.js';

const PAGE = 100;
const MAX_PAGES = 5;
const MAX_TRIES = 3;

export class Ordered {
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

  /** What hello says under `resume`. */
  resume() {
    return this.#positions.resume();
  }

  /** Take what hello's reply brings: replays first, then what has to be fetched anew. */
  welcome(welcome) {
    this.#positions.forgetKept();
    for (const events of Object.values(welcome.changes)) {
      // An edit moves a message to a new change, so replayed numbers may have holes.
      for (const event of events) if (this.#positions.advance(event)) this.#deliver(event);
    }
    const anew = new Set(welcome.reload);
    for (const conversation of welcome.conversations) {
      this.#positions.adopt(conversation);
      // Behind: something was not replayed. In front: the server's database was restored.
      if (this.#positions.change(conversation.id) !== conversation.last_change) {
        anew.add(conversation.id);
      }
      if (anew.has(conversation.id)) {
        this.#positions.set(conversation.id, conversation.last_change);
      }
    }
    for (const id of anew) this.#deliver({ type: 'reload', conversation_id: id });
  }

  /** Learn conversations from a reply. */
  adopt(conversations) {
    for (const conversation of conversations) this.#positions.adopt(conversation);
  }

  /** Take a live event that has a `change`. */
  take(event) {
    const id = event.conversation_id;
    if (this.#positions.isAhead(event)) {
      if (this.#positions.keep(event)) this.#fill(id);
      else this.#giveUp(id);
      return;
    }
    if (this.#positions.advance(event)) this.#deliver(event);
    this.#release(id);
  }

  /** Read what is missing. Numbers that are skipped there have been superseded by higher ones. */
  async #fill(id) {
    if (this.#filling.has(id)) return;
    this.#filling.add(id);
    try {
      for (let tries = 0; this.#positions.hasKept(id) && tries < MAX_TRIES; tries += 1) {
        await this.#readAfter(id);
        this.#release(id);
      }
      if (this.#positions.hasKept(id)) this.#giveUp(id);
    } catch {
      // A lost connection: the next hello resumes from our position. Any refusal: fetch anew.
      if (this.#positions.hasKept(id)) this.#giveUp(id);
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

  #giveUp(id) {
    for (const event of this.#positions.release(id, true)) this.#deliver(event);
    this.#deliver({ type: 'reload', conversation_id: id });
  }
}
