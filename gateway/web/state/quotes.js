// Messages that others answer, and that are not loaded themselves: each is read once.

const MANY = 500; // more than a window shows

export class Quotes {
  #gateway;
  #store;
  #read = new Map(); // `conversation:seq` → message, or null while it is unknown

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
        if (this.#read.has(key)) this.#read.set(key, message);
      });
    }
    gateway.on('reload', () => this.#read.clear());
  }

  /** The message, or null as long as, or because, it cannot be read. */
  of(conversation, seq) {
    const loaded = conversation.messages.get(seq);
    if (loaded) return loaded;
    const key = `${conversation.id}:${seq}`;
    if (!this.#read.has(key)) this.#fetch(conversation.id, seq, key);
    return this.#read.get(key) ?? null;
  }

  async #fetch(conversationId, seq, key) {
    if (this.#read.size >= MANY) this.#read.delete(this.#read.keys().next().value);
    this.#read.set(key, null);
    try {
      const fields = { conversation_id: conversationId, around: seq, limit: 1 };
      const { messages } = await this.#gateway.request('message.history', fields);
      const found = messages.find((message) => message.seq === seq);
      if (found) this.#read.set(key, found);
      this.#store.changed();
    } catch {
      this.#read.delete(key);
    }
  }
}
