// The messages of conversations: pages in both directions, jumps, and live changes.
//
// Pages have no holes: while a part of the past is loaded, new messages are not inserted into it.

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
    gateway.on('message.updated', (event) => this.#messageChanged(event));
    gateway.on('message.deleted', (event) => this.#messageChanged(event));
    gateway.on('message.reacted', (event) => this.#reactionsChanged(event));
    gateway.on('reload', ({ conversation_id }) => this.#reload(conversation_id));
  }

  /** @returns {import('../sdk/protocol.js').Message[]} */
  messages(conversation) {
    return [...conversation.messages.values()].sort((a, b) => a.seq - b.seq);
  }

  /** Load the newest messages, if none are loaded. */
  async loadNewest(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.loadState !== 'none') return;
    Object.assign(conversation, { loadState: 'loading', hasAfter: false });
    await this.#loadPage(conversation, {});
  }

  /** Load the page before the oldest loaded message. */
  async loadOlder(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.loadState !== 'loaded' || !conversation.hasBefore) return;
    conversation.loadState = 'loading';
    await this.#loadPage(conversation, { before: Math.min(...conversation.messages.keys()) });
  }

  /** Load the page after the newest loaded message, in a part of the past. */
  async loadNewer(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.loadState !== 'loaded' || !conversation.hasAfter) return;
    conversation.loadState = 'loading';
    await this.#loadPage(conversation, { after: Math.max(...conversation.messages.keys()) });
  }

  /** Load this message and those around it; false when I cannot read such a message. */
  async loadAround(id, seq) {
    const conversation = this.#store.conversations.get(id);
    if (conversation.messages.has(seq)) return true;
    this.#unload(conversation);
    Object.assign(conversation, { loadState: 'loading', hasAfter: true });
    await this.#loadPage(conversation, { around: seq });
    return conversation.messages.has(seq);
  }

  /** Replace a loaded part of the past by the newest messages. */
  async returnToNewest(id) {
    const conversation = this.#store.conversations.get(id);
    if (!conversation?.hasAfter) return;
    this.#unload(conversation);
    await this.loadNewest(id);
  }

  /** The conversation is no longer shown: unload many messages, or a part of the past. */
  unloadLarge(id) {
    const conversation = this.#store.conversations.get(id);
    if (conversation?.loadState !== 'loaded') return;
    if (conversation.hasAfter || conversation.messages.size > MAX_KEPT) this.#unload(conversation);
  }

  /** Insert a message by its seq; the same one may come as event, reply and history. */
  receive(message) {
    this.#store.messageStored(message);
    const conversation = this.#store.conversations.get(message.conversation_id);
    if (!conversation) {
      this.#store.reloadList();
      return;
    }
    this.#store.people.stoppedTyping(conversation.id, message.sender_id);
    this.#insert(conversation, message);
    const { last_message: last } = conversation;
    if (!message.deleted_at && message.seq > (last?.seq ?? 0)) {
      conversation.last_message = message;
      conversation.last_message_at = message.created_at;
      // A new message ends archiving; the gateway sends no event for that.
      const isNews = message.kind !== 'system' && message.seq > conversation.last_seq;
      if (conversation.mine.archived && isNews) {
        conversation.mine = { ...conversation.mine, archived: false };
      }
    }
    conversation.last_seq = Math.max(conversation.last_seq, message.seq);
    conversation.receivedSeq = Math.max(conversation.receivedSeq, message.seq);
    // A sender has read what came before: the gateway moves their position with the message.
    this.#store.receipts.receiveRead({ ...message, employee_id: message.sender_id });
    this.#store.changed();
  }

  /** Receive the whole state of a message from a reply. */
  updateMessage(message) {
    const conversation = this.#store.conversations.get(message.conversation_id);
    if (conversation) this.#change(conversation, message.seq, (known) => newerOf(known, message));
  }

  /** Receive a message's reactions from a reply or an event. */
  updateReactions({ conversation_id, seq, reactions }) {
    const conversation = this.#store.conversations.get(conversation_id);
    if (conversation) this.#change(conversation, seq, (known) => ({ ...known, reactions }));
  }

  #created(event) {
    const { message } = event;
    const conversation = this.#noteChange(event);
    if (conversation && message.reply_to_seq) this.#changeReplyCount(conversation, event, 1);
    this.receive(message);
    this.#store.thread.messageCreated(message);
  }

  /** Receive an edited or deleted message; it may have been sent while we were disconnected, too. */
  #messageChanged(event) {
    const { message } = event;
    const conversation = this.#noteChange(event);
    const isNew = !conversation || message.seq > conversation.receivedSeq;
    const sign = Number(isNew) - Number(Boolean(message.deleted_at));
    if (conversation && message.reply_to_seq && sign) this.#changeReplyCount(conversation, event, sign);
    if (isNew) this.receive(message);
    else this.#change(conversation, message.seq, (known) => newerOf(known, message));
    this.#store.thread.messageChanged(message);
  }

  #reactionsChanged(event) {
    this.#noteChange(event);
    this.updateReactions(event);
    this.#store.thread.reactionsChanged(event);
  }

  #noteChange({ conversation_id, change }) {
    const conversation = this.#store.conversations.get(conversation_id);
    if (conversation) conversation.receivedChange = Math.max(conversation.receivedChange, change);
    return conversation;
  }

  /** Change the number of replies, unless the message was read after this change. */
  #changeReplyCount(conversation, { change, message }, by) {
    this.#change(conversation, message.reply_to_seq, (known) => {
      if (change <= (known.asOf ?? 0)) return known;
      return { ...known, reply_count: Math.max(0, known.reply_count + by) };
    });
  }

  #insert(conversation, message) {
    if (conversation.loadState === 'none') return;
    const known = conversation.messages.get(message.seq);
    const marked = { ...message, asOf: conversation.receivedChange };
    if (known) conversation.messages.set(message.seq, newerOf(known, marked));
    else if (!conversation.hasAfter) conversation.messages.set(message.seq, marked);
    else conversation.pendingChanges?.push({ seq: message.seq, created: marked });
  }

  /** Change a loaded message. One that is not loaded is not inserted: pages have no holes. */
  #change(conversation, seq, make) {
    conversation.pendingChanges?.push({ seq, make });
    const known = conversation.messages.get(seq);
    if (known) conversation.messages.set(seq, make(known));
    if (conversation.last_message?.seq === seq) {
      conversation.last_message = make(conversation.last_message);
      if (conversation.last_message.deleted_at) this.#lastDeleted(conversation);
    }
    this.#store.changed();
  }

  /** The list shows the newest message that is left: a loaded one, or what the gateway reports. */
  #lastDeleted(conversation) {
    const whole = conversation.loadState === 'loaded' && !conversation.hasAfter;
    const left = whole ? this.messages(conversation) : [];
    conversation.last_message = left.filter((one) => !one.deleted_at).at(-1) ?? null;
    if (!conversation.last_message) this.#store.reloadList();
  }

  /** More was missed than was replayed: what is loaded of this conversation is stale. */
  async #reload(id) {
    const conversation = this.#store.conversations.get(id);
    if (!conversation) {
      this.#store.reloadList();
      return;
    }
    const wasShown = conversation.loadState !== 'none';
    this.#unload(conversation);
    this.#store.thread.reload(id);
    if (wasShown) await this.loadNewest(id);
  }

  #unload(conversation) {
    Object.assign(conversation, { messages: new Map(), loadState: 'none', hasBefore: false, hasAfter: false });
  }

  async #loadPage(conversation, where) {
    const id = conversation.id;
    const into = conversation.messages;
    conversation.pendingChanges = []; // changes received while the page is read may be newer than it
    this.#store.changed();
    try {
      const fields = { conversation_id: id, limit: PAGE, ...where };
      const page = await this.#gateway.request('message.history', fields);
      const current = this.#store.conversations.get(id);
      if (current?.messages !== into) return; // it was reloaded or unloaded meanwhile
      this.#insertPage(current, page, where);
    } catch (error) {
      const current = this.#store.conversations.get(id);
      if (!current) return; // I was removed from it meanwhile
      current.pendingChanges = null;
      if (current.messages === into) current.loadState = into.size ? 'loaded' : 'none';
      throw error;
    } finally {
      this.#store.changed();
    }
  }

  #insertPage(conversation, page, where) {
    const { messages: into, pendingChanges } = conversation;
    const asOf = Math.max(conversation.receivedChange, ...page.messages.map(({ change }) => change));
    for (const message of page.messages) {
      into.set(message.seq, { ...message, asOf });
      if (!page.has_after) conversation.receivedSeq = Math.max(conversation.receivedSeq, message.seq);
      this.#store.messageStored(message);
    }
    const hasBefore = 'after' in where ? conversation.hasBefore : page.has_before;
    const hasAfter = 'before' in where ? conversation.hasAfter : page.has_after;
    Object.assign(conversation, { loadState: 'loaded', hasBefore, hasAfter, pendingChanges: null });
    for (const { seq, make, created } of pendingChanges) {
      if (make && into.has(seq)) into.set(seq, make(into.get(seq)));
      if (created && !into.has(seq) && !hasAfter) into.set(seq, created);
    }
  }
}

/** The newer of two states of one message; reactions have events of their own. */
function newerOf(known, message) {
  return message.change >= known.change ? { ...known, ...message } : known;
}
