// The open thread: a message and the replies to it, kept live. Timeline ─▶ Thread ─▶ view/thread.js

export class Thread {
  #gateway;
  #changed;
  /**
   * @type {{conversation_id: number, seq: number, root: import('../sdk/protocol.js').Message | null,
   *   messages: Map<number, import('../sdk/protocol.js').Message>, hasBefore: boolean, error: string} | null}
   */
  open = null;
  #changedMeanwhile = false; // an event came while a page was being read

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
  }

  async load(conversationId, seq) {
    const place = { conversation_id: conversationId, seq };
    this.open = { ...place, root: null, messages: new Map(), hasBefore: false, error: '' };
    await this.#load({});
  }

  close() {
    this.open = null;
    this.#changed();
  }

  loadOlder() {
    return this.#load({ before: Math.min(...this.open.messages.keys()) });
  }

  /** @returns {import('../sdk/protocol.js').Message[]} the replies, in order */
  replies() {
    return [...(this.open?.messages.values() ?? [])].sort((a, b) => a.seq - b.seq);
  }

  messageCreated(message) {
    if (!this.#isOpenIn(message) || message.reply_to_seq !== this.open.seq) return;
    this.open.messages.set(message.seq, message);
    this.#changed();
  }

  messageChanged(message) {
    if (!this.#isOpenIn(message)) return;
    const { open } = this;
    if (message.seq === open.seq) open.root = { ...open.root, ...message };
    else if (message.reply_to_seq !== open.seq) return;
    else if (message.deleted_at) open.messages.delete(message.seq);
    else if (open.messages.has(message.seq)) open.messages.set(message.seq, message);
    this.#changed();
  }

  reactionsChanged({ conversation_id, seq, reactions }) {
    if (!this.#isOpenIn({ conversation_id })) return;
    const { open } = this;
    if (seq === open.seq && open.root) open.root = { ...open.root, reactions };
    const known = open.messages.get(seq);
    if (known) open.messages.set(seq, { ...known, reactions });
    this.#changed();
  }

  /** More was missed than was replayed: read the thread again. */
  reload(conversationId) {
    if (this.open?.conversation_id === conversationId) this.load(conversationId, this.open.seq);
  }

  #isOpenIn({ conversation_id }) {
    const here = this.open?.conversation_id === conversation_id;
    if (here) this.#changedMeanwhile = true;
    return here;
  }

  async #load(where) {
    const { open } = this;
    const { conversation_id, seq } = open;
    try {
      for (let again = true; again; again = this.#changedMeanwhile) {
        this.#changedMeanwhile = false;
        const page = await this.#gateway.request('message.thread', { conversation_id, seq, ...where });
        if (this.open !== open) return;
        open.root = page.root;
        for (const message of page.messages) open.messages.set(message.seq, message);
        open.hasBefore = page.has_before;
      }
    } catch (error) {
      open.error = error.message;
    }
    this.#changed();
  }
}
