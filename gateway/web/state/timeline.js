// The messages of conversations: pages in both directions, jumps, and what becomes of them live.
//
// Pages have no holes: while a window of the past is loaded, newer messages are not put into it.

const PAGE = 50;
const MAX_KEPT = 300;

export class Timeline {
  #gateway;
  #store;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {import('./store.js').Store} store
   */
  constructor(gateway, store) {
    this.#gateway = gateway;
    this.#store = store;
    gateway.on('message.created', (event) => this.#created(event));
    gateway.on('message.updated', (event) => this.#restated(event));
    gateway.on('message.deleted', (event) => this.#restated(event));
    gateway.on('message.reacted', (event) => this.#reacted(event));
    gateway.on('reload', ({ conversation_id }) => this.#reload(conversation_id));
  }

  /** @returns {import('../sdk/protocol.js').Message[]} */
  messages(conversation) {
    return [...conversation.messages.values()].sort((a, b) => a.seq - b.seq);
  }

  /** Load the newest messages, if there are none yet. */
  async newest(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.history !== 'none') return;
    Object.assign(conversation, { history: 'loading', hasAfter: false });
    await this.#loadPage(conversation, {});
  }

  /** Load the page before the oldest message that is there. */
  async older(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.history !== 'loaded' || !conversation.hasBefore) return;
    conversation.history = 'loading';
    await this.#loadPage(conversation, { before: Math.min(...conversation.messages.keys()) });
  }

  /** Load the page after the newest message that is there, in a window of the past. */
  async newer(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.history !== 'loaded' || !conversation.hasAfter) return;
    conversation.history = 'loading';
    await this.#loadPage(conversation, { after: Math.max(...conversation.messages.keys()) });
  }

  /** Have this message and its neighbours loaded; false when there is no such message for me. */
  async around(id, seq) {
    const conversation = this.#store.conversations.get(id);
    if (conversation.messages.has(seq)) return true;
    this.#forget(conversation);
    Object.assign(conversation, { history: 'loading', hasAfter: true });
    await this.#loadPage(conversation, { around: seq });
    return conversation.messages.has(seq);
  }

  /** Leave a window of the past for the newest messages. */
  async toEnd(id) {
    const conversation = this.#store.conversations.get(id);
    if (!conversation?.hasAfter) return;
    this.#forget(conversation);
    await this.newest(id);
  }

  /** The conversation is no longer shown: of a long one, or of its past, keep nothing. */
  leave(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.history !== 'loaded') return;
    if (conversation.hasAfter || conversation.messages.size > MAX_KEPT) this.#forget(conversation);
  }

  /** Place a message by its number; the same one may come as event, reply and history. */
  received(message) {
    this.#store.stored(message);
    const conversation = this.#store.conversations.get(message.conversation_id);
    if (!conversation) {
      this.#store.refresh();
      return;
    }
    this.#store.people.stoppedTyping(conversation.id, message.sender_id);
    this.#place(conversation, message);
    const { last_message: last } = conversation;
    if (!message.deleted_at && message.seq > (last?.seq ?? 0)) {
      conversation.last_message = message;
      conversation.last_message_at = message.created_at;
      // Archived is up to its newest message: another one brings it back without being told.
      const isNews = message.kind !== 'system' && message.seq > conversation.last_seq;
      if (conversation.mine.archived && isNews) {
        conversation.mine = { ...conversation.mine, archived: false };
      }
    }
    conversation.last_seq = Math.max(conversation.last_seq, message.seq);
    conversation.reached = Math.max(conversation.reached, message.seq);
    // Whoever writes has read what came before: the server moves their position with the message.
    this.#store.reading.wasRead({ ...message, employee_id: message.sender_id });
    this.#store.changed();
  }

  /** Take the whole state of a message from a reply. */
  restate(message) {
    const conversation = this.#store.conversations.get(message.conversation_id);
    if (conversation) this.#change(conversation, message.seq, (known) => later(known, message));
  }

  /** Take a message's reactions from a reply or an event. */
  react({ conversation_id, seq, reactions }) {
    const conversation = this.#store.conversations.get(conversation_id);
    if (conversation) this.#change(conversation, seq, (known) => ({ ...known, reactions }));
  }

  #created(event) {
    const { message } = event;
    const conversation = this.#heard(event);
    if (conversation && message.reply_to_seq) this.#answered(conversation, event, 1);
    this.received(message);
    this.#store.thread.created(message);
  }

  /** Take an edited or deleted message; it may have been sent, too, while we were away. */
  #restated(event) {
    const { message } = event;
    const conversation = this.#heard(event);
    const isNew = !conversation || message.seq > conversation.reached;
    const sign = Number(isNew) - Number(Boolean(message.deleted_at));
    if (conversation && message.reply_to_seq && sign) this.#answered(conversation, event, sign);
    if (isNew) this.received(message);
    else this.#change(conversation, message.seq, (known) => later(known, message));
    this.#store.thread.restated(message);
  }

  #reacted(event) {
    this.#heard(event);
    this.react(event);
    this.#store.thread.reacted(event);
  }

  #heard({ conversation_id, change }) {
    const conversation = this.#store.conversations.get(conversation_id);
    if (conversation) conversation.seen = Math.max(conversation.seen, change);
    return conversation;
  }

  /** One answer more or less, unless the message was read after that. */
  #answered(conversation, { change, message }, by) {
    this.#change(conversation, message.reply_to_seq, (known) => {
      if (change <= (known.asOf ?? 0)) return known;
      return { ...known, reply_count: Math.max(0, known.reply_count + by) };
    });
  }

  #place(conversation, message) {
    if (conversation.history === 'none') return;
    const known = conversation.messages.get(message.seq);
    const marked = { ...message, asOf: conversation.seen };
    if (known) conversation.messages.set(message.seq, later(known, marked));
    else if (!conversation.hasAfter) conversation.messages.set(message.seq, marked);
    else conversation.late?.push({ seq: message.seq, created: marked });
  }

  /** Change a message where it is shown. One that is not loaded stays so: pages have no holes. */
  #change(conversation, seq, make) {
    conversation.late?.push({ seq, make });
    const known = conversation.messages.get(seq);
    if (known) conversation.messages.set(seq, make(known));
    if (conversation.last_message?.seq === seq) {
      conversation.last_message = make(conversation.last_message);
      if (conversation.last_message.deleted_at) this.#lastDeleted(conversation);
    }
    this.#store.changed();
  }

  /** The list shows the newest message that is left: one that is loaded, or what the server says. */
  #lastDeleted(conversation) {
    const whole = conversation.history === 'loaded' && !conversation.hasAfter;
    const left = whole ? this.messages(conversation) : [];
    conversation.last_message = left.filter((one) => !one.deleted_at).at(-1) ?? null;
    if (!conversation.last_message) this.#store.refresh();
  }

  /** More has changed than was replayed: what is loaded of this conversation is stale. */
  async #reload(id) {
    const conversation = this.#store.conversations.get(id);
    if (!conversation) {
      this.#store.refresh();
      return;
    }
    const wasShown = conversation.history !== 'none';
    this.#forget(conversation);
    this.#store.thread.reload(id);
    if (wasShown) await this.newest(id);
  }

  #forget(conversation) {
    Object.assign(conversation, { messages: new Map(), history: 'none', hasBefore: false, hasAfter: false });
  }

  async #loadPage(conversation, where) {
    const id = conversation.id;
    const into = conversation.messages;
    conversation.late = []; // what changes now may be older in the page that is on its way
    this.#store.changed();
    try {
      const fields = { conversation_id: id, limit: PAGE, ...where };
      const page = await this.#gateway.request('message.history', fields);
      const current = this.#store.conversations.get(id);
      if (current?.messages !== into) return; // it was reloaded, or left, meanwhile
      this.#take(current, page, where);
    } catch (error) {
      const current = this.#store.conversations.get(id);
      if (!current) return; // taken out of it meanwhile
      current.late = null;
      if (current.messages === into) current.history = into.size ? 'loaded' : 'none';
      throw error;
    } finally {
      this.#store.changed();
    }
  }

  #take(conversation, page, where) {
    const { messages: into, late } = conversation;
    const asOf = page.messages.reduce((most, { change }) => Math.max(most, change), conversation.seen);
    for (const message of page.messages) {
      into.set(message.seq, { ...message, asOf });
      if (!page.has_after) conversation.reached = Math.max(conversation.reached, message.seq);
      this.#store.stored(message);
    }
    const hasBefore = 'after' in where ? conversation.hasBefore : page.has_before;
    const hasAfter = 'before' in where ? conversation.hasAfter : page.has_after;
    Object.assign(conversation, { history: 'loaded', hasBefore, hasAfter, late: null });
    for (const { seq, make, created } of late) {
      if (make && into.has(seq)) into.set(seq, make(into.get(seq)));
      if (created && !into.has(seq) && !hasAfter) into.set(seq, created);
    }
  }
}

/** The later of two states of one message; reactions are told apart from it. */
function later(known, message) {
  return message.change >= known.change ? { ...known, ...message } : known;
}
