// Messages that are quoted by replies and are not loaded themselves: each is read once.

const MAX_QUOTES = 500; // more than a window shows

export class Quotes {
  #gateway;
  #store;
  #messages = new Map(); // `conversation:seq` → message; null while it is being read

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {import('./store.js').Store} store
   */
  constructor(gateway, store) {
    this.#gateway = gateway;
    this.#store = store;
    for (const type of ['message.updated', 'message.deleted']) {
      gateway.on(type, ({ message }) => {
        const key = `${message.conversation_id}:${message.seq}`;
        if (this.#messages.has(key)) this.#messages.set(key, message);
      });
    }
    gateway.on('reload', () => this.#messages.clear());
  }

  /** The quoted message; null while it is being read, or when it cannot be read. */
  get(conversation, seq) {
    const loaded = conversation.messages.get(seq);
    if (loaded) return loaded;
    const key = `${conversation.id}:${seq}`;
    if (!this.#messages.has(key)) this.#fetch(conversation.id, seq, key);
    return this.#messages.get(key) ?? null;
  }

  async #fetch(conversationId, seq, key) {
    if (this.#messages.size >= MAX_QUOTES) this.#messages.delete(this.#messages.keys().next().value);
    this.#messages.set(key, null);
    try {
      const fields = { conversation_id: conversationId, around: seq, limit: 1 };
      const { messages } = await this.#gateway.request('message.history', fields);
      const found = messages.find((message) => message.seq === seq);
      if (found) this.#messages.set(key, found);
      this.#store.changed();
    } catch {
      this.#messages.delete(key);
    }
  }
}
