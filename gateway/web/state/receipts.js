// How far whom has come: read and delivered positions, mine and other people's.

const DELIVERED_AFTER_MS = 200; // one receipt for a burst of messages
const MAX_DELIVERED_AT_ONCE = 20;

export class Reading {
  #gateway;
  #store;
  #arrived = new Map(); // conversation → seq that a device of mine now has
  #timer = 0;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {import('./store.js').Store} store
   */
  constructor(gateway, store) {
    this.#gateway = gateway;
    this.#store = store;
    gateway.on('receipt.read', (event) => this.wasRead(event));
    gateway.on('receipt.delivered', (event) => this.#wasDelivered(event));
    gateway.on('message.created', ({ message }) => this.#hasArrived(message));
  }

  /** What waited for this device has now come to it. */
  welcomed(conversations) {
    const waiting = conversations.filter(({ kind, unread }) => kind === 'direct' && unread.unread > 0);
    for (const { id, last_seq } of waiting.slice(0, MAX_DELIVERED_AT_ONCE)) this.#arrived.set(id, last_seq);
    this.#confirm();
  }

  /** Whether an open window may say that the conversation has been read to its end. */
  isDue(conversation) {
    const { last_seq, unread, held } = conversation;
    return last_seq > unread.last_read_seq && last_seq > (held ?? 0);
  }

  /**
   * Tell that everything up to the newest message has been seen.
   * @param {boolean} explicit the person came here: a mark as unread ends
   */
  async read(conversation, explicit = false) {
    const seq = conversation.last_seq;
    if (seq <= conversation.unread.last_read_seq) return;
    const fields = { conversation_id: conversation.id, seq, explicit };
    const done = await this.#gateway.request('receipt.read', fields);
    const { unread } = this.#store.conversations.get(conversation.id) ?? { unread: done };
    unread.last_read_seq = Math.max(unread.last_read_seq, done.last_read_seq);
  }

  /** Unread from this message on, until I come back to the conversation, or it goes on. */
  async markUnread(conversation, seq) {
    const before = conversation.held;
    conversation.held = conversation.last_seq;
    const fields = { conversation_id: conversation.id, seq };
    try {
      await this.#gateway.request('receipt.unread', fields);
      conversation.unread = { ...conversation.unread, last_read_seq: seq - 1 };
      this.#store.changed();
    } catch (error) {
      conversation.held = before;
      throw error;
    }
  }

  async readAll() {
    while ((await this.#gateway.request('receipt.read_all')).more);
  }

  /** @returns {Promise<import('../sdk/protocol.js').Readers>} */
  readersOf(message) {
    const { conversation_id, seq } = message;
    return this.#gateway.request('receipt.readers', { conversation_id, seq });
  }

  /** @returns {import('../sdk/protocol.js').Employee[]} who has read up to it, besides its writer */
  readers(conversation, message) {
    return conversation.participants
      .filter((one) => one.employee.id !== message.sender_id && one.last_read_seq >= message.seq)
      .map((one) => one.employee);
  }

  wasRead({ conversation_id, employee_id, seq }) {
    const conversation = this.#store.conversations.get(conversation_id);
    const reader = conversation?.participants.find((one) => one.employee.id === employee_id);
    if (reader) reader.last_read_seq = Math.max(reader.last_read_seq, seq);
    this.#store.changed();
  }

  /** Ask once whether my newest message has come to the other one: events tell only of what follows. */
  async learnDelivered(conversation) {
    if (conversation.kind !== 'direct' || conversation.delivered !== undefined) return;
    conversation.delivered = 0;
    const mine = [...conversation.messages.values()].filter(
      (one) => one.sender_id === this.#store.me.id && !one.deleted_at,
    );
    const newest = mine.sort((a, b) => a.seq - b.seq).at(-1);
    if (!newest || this.readers(conversation, newest).length) return;
    const { delivered_count: count } = await this.readersOf(newest);
    if (count) this.#wasDelivered({ conversation_id: conversation.id, seq: newest.seq });
  }

  #wasDelivered({ conversation_id, seq }) {
    const conversation = this.#store.conversations.get(conversation_id);
    if (!conversation) return;
    conversation.delivered = Math.max(conversation.delivered ?? 0, seq);
    this.#store.changed();
  }

  #hasArrived(message) {
    const conversation = this.#store.conversations.get(message.conversation_id);
    if (conversation?.kind !== 'direct' || message.sender_id === this.#store.me?.id) return;
    this.#arrived.set(conversation.id, message.seq);
    this.#confirm();
  }

  #confirm() {
    if (this.#timer || !this.#arrived.size) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      for (const [conversation_id, seq] of this.#arrived) {
        // Lost, it is said again with the next message; a mark is all that depends on it.
        this.#gateway.request('receipt.delivered', { conversation_id, seq }).catch(() => {});
      }
      this.#arrived.clear();
    }, DELIVERED_AFTER_MS);
  }
}
