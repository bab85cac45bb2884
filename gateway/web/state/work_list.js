// The work list: events of the CRM that name me, as long as this page is open. Newest first.
//
// event.published ─▶ WorkList ─▶ view/work_list.js. What came while the page was closed is in the CRM.

const MAX_EVENTS = 100;
const MAX_TITLE = 300;

export class WorkList {
  #changed;
  #events = [];
  /** Events that came since the list was shown last. */
  unseen = 0;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#changed = changed;
    gateway.on('event.published', ({ event, addressed }) => addressed && this.#receive(event));
  }

  /** @returns {import('../sdk/protocol.js').PublishedEvent[]} */
  events() {
    return this.#events;
  }

  markSeen() {
    if (!this.unseen) return;
    this.unseen = 0;
    this.#changed();
  }

  #receive(event) {
    this.#events = [event, ...this.#events].slice(0, MAX_EVENTS);
    this.unseen = Math.min(this.unseen + 1, MAX_EVENTS);
    this.#changed();
  }
}

/** What an event says in one line: its title, if that is a text, else its type. */
export function titleOf({ type, payload }) {
  const title = typeof payload.title === 'string' ? payload.title.trim() : '';
  return [...(title || type)].slice(0, MAX_TITLE).join('');
}
