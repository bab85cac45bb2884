// Read and delivered positions, mine and other people's.
//
// receipt events ─▶ Receipts ─▶ Store; views ─▶ Receipts ─▶ receipt commands.

const DELIVERED_AFTER_MS = 200; // one receipt for a burst of messages
const MAX_DELIVERED_AT_ONCE = 20;

export class Receipts {
  #gateway;
  #store;
  #delivered = new Map(); // conversation → seq to confirm as delivered
  #timer = 0;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {import('./store.js').Store} store
   */
  constructor(gateway, store) {
    this.#gateway = gateway;
    this.#store = store;
    gateway.on('receipt.read', (event) => this.receiveRead(event));
    gateway.on('receipt.delivered', (event) => this.#receiveDelivered(event));
    gateway.on('message.created', ({ message }) => this.#queueDelivered(message));
  }

  /** Confirm delivery of the messages that a welcome brought to this device. */
  welcomed(conversations) {
    const waiting = conversations.filter(({ kind, unread }) => kind === 'direct' && unread.unread > 0);
    for (const { id, last_seq } of waiting.slice(0, MAX_DELIVERED_AT_ONCE)) this.#delivered.set(id, last_seq);
    this.#sendDelivered();
  }

  /** Whether an open window may mark the conversation as read to its end. */
  canMarkRead(conversation) {
    const { last_seq, unread, markedUnreadAt } = conversation;
    return last_seq > unread.last_read_seq && last_seq > (markedUnreadAt ?? 0);
  }

  /**
   * Mark everything up to the newest message as read.
   * @param {boolean} explicit the person opened the conversation: this ends a mark as unread
   */
  async markRead(conversation, explicit = false) {
    const seq = conversation.last_seq;
    if (seq <= conversation.unread.last_read_seq) return;
    const fields = { conversation_id: conversation.id, seq, explicit };
    const done = await this.#gateway.request('receipt.read', fields);
    const { unread } = this.#store.conversations.get(conversation.id) ?? { unread: done };
    unread.last_read_seq = Math.max(unread.last_read_seq, done.last_read_seq);
  }

  /** Mark as unread from this message on, until I open the conversation again or a message comes. */
  async markUnread(conversation, seq) {
    const before = conversation.markedUnreadAt;
    conversation.markedUnreadAt = conversation.last_seq;
    const fields = { conversation_id: conversation.id, seq };
    try {
      await this.#gateway.request('receipt.unread', fields);
      conversation.unread = { ...conversation.unread, last_read_seq: seq - 1 };
      this.#store.changed();
    } catch (error) {
      conversation.markedUnreadAt = before;
      throw error;
    }
  }

  async markAllRead() {
    while ((await this.#gateway.request('receipt.read_all')).more);
  }

  /** @returns {Promise<import('../sdk/protocol.js').Readers>} */
  loadReaders(message) {
    const { conversation_id, seq } = message;
    return this.#gateway.request('receipt.readers', { conversation_id, seq });
  }

  /** @returns {import('../sdk/protocol.js').Employee[]} who has read up to it, besides its writer */
  readers(conversation, message) {
    return conversation.participants
      .filter((one) => one.employee.id !== message.sender_id && one.last_read_seq >= message.seq)
      .map((one) => one.employee);
  }

  receiveRead({ conversation_id, employee_id, seq }) {
    const conversation = this.#store.conversations.get(conversation_id);
    const reader = conversation?.participants.find((one) => one.employee.id === employee_id);
    if (reader) reader.last_read_seq = Math.max(reader.last_read_seq, seq);
    this.#store.changed();
  }

  /** Read once whether my newest message was delivered: events report only later deliveries. */
  async loadDelivered(conversation) {
    if (conversation.kind !== 'direct' || conversation.delivered !== undefined) return;
    conversation.delivered = 0;
    const mine = [...conversation.messages.values()].filter(
      (one) => one.sender_id === this.#store.me.id && !one.deleted_at,
    );
    const newest = mine.sort((a, b) => a.seq - b.seq).at(-1);
    if (!newest || this.readers(conversation, newest).length) return;
    const { delivered_count: count } = await this.loadReaders(newest);
    if (count) this.#receiveDelivered({ conversation_id: conversation.id, seq: newest.seq });
  }

  #receiveDelivered({ conversation_id, seq }) {
    const conversation = this.#store.conversations.get(conversation_id);
    if (!conversation) return;
    conversation.delivered = Math.max(conversation.delivered ?? 0, seq);
    this.#store.changed();
  }

  #queueDelivered(message) {
    const conversation = this.#store.conversations.get(message.conversation_id);
    if (conversation?.kind !== 'direct' || message.sender_id === this.#store.me?.id) return;
    this.#delivered.set(conversation.id, message.seq);
    this.#sendDelivered();
  }

  #sendDelivered() {
    if (this.#timer || !this.#delivered.size) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      for (const [conversation_id, seq] of this.#delivered) {
        // When it is lost, the next message confirms it too; only a check mark depends on it.
        this.#gateway.request('receipt.delivered', { conversation_id, seq }).catch(() => {});
      }
      this.#delivered.clear();
    }, DELIVERED_AFTER_MS);
  }
}
