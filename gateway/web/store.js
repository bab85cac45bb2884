// What this window knows: people, conversations, messages. gateway ─▶ Store ─▶ views.
//
// The server's word counts: unread numbers are taken as they come, never added up, and whole
// states (unread, presence) are replaced only by higher versions.

import { Outbox } from './outbox.js';
import { People } from './people.js';

const PAGE = 50;
const MAX_KEPT = 300;
const COUNT_LIMIT = 100;
const MENTION = /<@(all|[1-9]\d{0,18})>/g;
const NOTHING_UNREAD = { unread: 0, mentions: 0, last_read_seq: 0, version: 0 };

/**
 * @typedef {import('./protocol.js').Conversation & {
 *   messages: Map<number, import('./protocol.js').Message>,
 *   history: 'none' | 'loading' | 'loaded', hasBefore: boolean}} Known
 */

export class Store {
  /** @type {import('./protocol.js').Employee | null} */
  me = null;
  /** @type {Map<number, Known>} */
  conversations = new Map();
  total = { messages: 0, conversations: 0, mentions: 0 };
  /** @type {string | null} */
  next = null;
  /** @type {Outbox | null} */
  outbox = null;
  #gateway;
  #listeners = [];
  #scheduled = false;
  #refreshing = 0;

  /** @param {import('./client.js').Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
    this.people = new People(gateway, () => this.changed());
    gateway.on('state', () => this.changed());
    gateway.on('welcome', (welcome) => this.#welcomed(welcome));
    gateway.on('reload', ({ conversation_id }) => this.#reload(conversation_id));
    gateway.on('conversation.created', (event) => this.#created(event));
    gateway.on('message.created', ({ message }) => this.#received(message));
    gateway.on('message.updated', ({ message }) => this.#restated(message));
    gateway.on('message.deleted', ({ message }) => this.#restated(message));
    gateway.on('message.reacted', (event) => this.#reacted(event));
    gateway.on('participant.changed', (event) => this.#seated(event));
    gateway.on('conversation.updated', (event) => this.#restyled(event));
    gateway.on('conversation.mine_changed', (event) => this.#minded(event));
    gateway.on('receipt.read', (event) => this.#wasRead(event));
    gateway.on('unread.changed', (event) => this.#countsChanged(event));
    gateway.on('typing.started', (event) => this.people.typing(event));
  }

  /** Call listener after changes, once for all that happen in one turn of the event loop. */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const listener of this.#listeners) listener();
    });
  }

  /** Conversations, the one with the newest message first. */
  list() {
    return [...this.conversations.values()].sort(
      (a, b) => Date.parse(b.last_message_at) - Date.parse(a.last_message_at) || b.id - a.id,
    );
  }

  /** @returns {import('./protocol.js').Message[]} */
  messages(conversation) {
    return [...conversation.messages.values()].sort((a, b) => a.seq - b.seq);
  }

  /** The other one of a direct conversation. */
  partner(conversation) {
    if (conversation.kind !== 'direct') return null;
    const others = conversation.participants.filter((one) => one.employee.id !== this.me?.id);
    return (others[0] ?? conversation.participants[0])?.employee ?? null;
  }

  title(conversation) {
    return conversation.title ?? this.partner(conversation)?.name ?? 'Conversation';
  }

  /**
   * Unread messages outside one conversation. The server counts up to 100, and from there on
   * nothing can be taken away: how many more there are is unknown.
   */
  unreadBesides(id) {
    const { messages } = this.total;
    if (messages >= COUNT_LIMIT) return messages;
    return Math.max(0, messages - (this.conversations.get(id)?.unread.unread ?? 0));
  }

  // --- what a person does ----------------------------------------------------------------------

  async open(employeeId) {
    const fields = { employee_id: employeeId };
    return this.#learn((await this.#gateway.request('conversation.open', fields)).conversation);
  }

  async create(title, employeeIds) {
    const fields = { title, employee_ids: employeeIds };
    return this.#learn((await this.#gateway.request('conversation.create', fields)).conversation);
  }

  /** The next page of the list of conversations. */
  async loadMore() {
    if (!this.next) return;
    const cursor = this.next;
    const page = await this.#gateway.request('conversation.list', { cursor });
    for (const conversation of page.conversations) this.#learn(conversation);
    if (this.next === cursor) this.next = page.next;
  }

  /** Load the newest messages, if they are not there yet. */
  async loadNewest(id) {
    const conversation = this.conversations.get(id);
    if (!conversation || conversation.history !== 'none') return;
    conversation.history = 'loading';
    await this.#loadPage(conversation, {});
  }

  /** Load the page before the oldest message that is there. */
  async loadOlder(id) {
    const conversation = this.conversations.get(id);
    if (conversation?.history !== 'loaded' || !conversation.hasBefore) return;
    conversation.history = 'loading';
    await this.#loadPage(conversation, { before: Math.min(...conversation.messages.keys()) });
  }

  /** The conversation is no longer shown: of a long one, keep nothing. */
  leave(id) {
    const conversation = this.conversations.get(id);
    if (conversation?.history !== 'loaded' || conversation.messages.size <= MAX_KEPT) return;
    Object.assign(conversation, { messages: new Map(), history: 'none' });
  }

  /** Tell that everything up to the newest message has been seen. */
  async read(conversation) {
    const seq = conversation.last_seq;
    if (seq <= conversation.unread.last_read_seq) return;
    const fields = { conversation_id: conversation.id, seq };
    const done = await this.#gateway.request('receipt.read', fields);
    const current = this.conversations.get(conversation.id);
    if (current) current.unread.last_read_seq = Math.max(current.unread.last_read_seq, done.last_read_seq);
  }

  /** What a message says, with names where the text has `<@17>`. */
  said(message) {
    if (message.deleted_at) return 'Message deleted';
    if (message.kind === 'system') return this.#happened(message.attrs ?? {});
    return message.text.replace(MENTION, (token, who) => {
      if (who === 'all') return message.mention_all ? '@all' : token;
      return message.mention_ids?.includes(Number(who)) ? `@${this.people.name(Number(who))}` : token;
    });
  }

  /** What a system message tells of, in words. */
  #happened({ event, by, employee_ids = [], title, role }) {
    const names = employee_ids.map((id) => this.people.name(id)).join(', ');
    const said = {
      joined: `${names} joined`,
      left: `${names} left`,
      removed: `${this.people.name(by)} removed ${names}`,
      renamed: `${this.people.name(by)} named it “${title}”`,
      role_changed: `${names}: ${role}`,
      picture_changed: `${this.people.name(by)} changed the picture`,
      history_changed: `${this.people.name(by)} changed what newcomers may read`,
      closed: `${this.people.name(by)} closed it`,
      reopened: `${this.people.name(by)} opened it again`,
    };
    return said[event] ?? '';
  }

  /** @returns {import('./protocol.js').Employee[]} who has read up to seq, besides its writer */
  readers(conversation, message) {
    return conversation.participants
      .filter((one) => one.employee.id !== message.sender_id && one.last_read_seq >= message.seq)
      .map((one) => one.employee);
  }

  // --- what the gateway says -------------------------------------------------------------------

  #welcomed(welcome) {
    this.me = welcome.user;
    this.next = welcome.next;
    this.total = welcome.unread.total;
    this.people.welcomed(welcome.user);
    for (const conversation of welcome.conversations) this.#learn(conversation, true);
    this.outbox ??= new Outbox(this.#gateway, this.me.id, {
      changed: () => this.changed(),
      stored: (message) => this.#received(message),
    });
    this.changed();
  }

  /** Take a conversation as the server describes it; what is loaded of it stays. */
  #learn(conversation, fresh = false) {
    for (const { employee } of conversation.participants) this.people.learn(employee);
    this.people.take(conversation.presences);
    const known = this.conversations.get(conversation.id);
    const loaded = { messages: new Map(), history: 'none', hasBefore: false };
    const { history: rule, ...described } = conversation; // `history` here is what is loaded
    const merged = { ...loaded, ...known, ...described, rule };
    if (known) {
      const newer = !fresh && known.unread.version > conversation.unread.version;
      if (newer) merged.unread = known.unread;
      if (!fresh && (known.last_message?.seq ?? 0) > (conversation.last_message?.seq ?? 0)) {
        merged.last_message = known.last_message;
        merged.last_message_at = known.last_message_at;
      }
      merged.last_seq = Math.max(known.last_seq, conversation.last_seq);
      merged.participants = conversation.participants.map((one) => furthest(one, known));
    }
    this.conversations.set(conversation.id, merged);
    this.people.watch([...this.conversations.values()]);
    this.changed();
    return merged;
  }

  #created(event) {
    if (this.conversations.has(event.conversation_id)) return;
    this.#learn({
      id: event.conversation_id,
      kind: event.kind,
      title: event.title,
      participants: event.participants,
      participant_count: event.participant_count,
      avatar_url: event.avatar_url,
      closed_at: event.closed_at,
      history: event.history,
      last_seq: 0,
      last_change: event.change,
      last_message: null,
      last_message_at: event.last_message_at,
      unread: { ...NOTHING_UNREAD, conversation_id: event.conversation_id },
      presences: [],
    });
    if (event.change > 1) this.#refresh(); // joined: what was said before is in the list
  }

  /** Someone joined, left, or has another role; who left themselves keeps nothing of it. */
  #seated({ conversation_id, participant, left }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation) return;
    const { employee } = participant;
    this.people.learn(employee);
    if (left && employee.id === this.me?.id) {
      this.conversations.delete(conversation_id);
      this.changed();
      return;
    }
    const known = conversation.participants;
    const others = known.filter((one) => one.employee.id !== employee.id);
    const whole = known.length === conversation.participant_count;
    conversation.participants = left ? others : [...others, furthest(participant, conversation)];
    // Of a long list only the first are here: who else there is, the next page says.
    if (whole) conversation.participant_count = conversation.participants.length;
    else if (left) conversation.participant_count -= 1;
    this.people.watch([...this.conversations.values()]);
    this.changed();
  }

  #restyled({ conversation_id, title, avatar_url, closed_at, history }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation) return;
    Object.assign(conversation, { title, avatar_url, closed_at });
    conversation.rule = history;
    this.changed();
  }

  #minded({ conversation_id, mine }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation || (conversation.mine?.version ?? 0) >= mine.version) return;
    conversation.mine = mine;
    this.changed();
  }

  /** Place a message by its number; the same one may come as event, reply and history. */
  #received(message) {
    if (message.client_key) this.outbox?.remove(message.client_key);
    const conversation = this.conversations.get(message.conversation_id);
    if (!conversation) {
      this.#refresh();
      return;
    }
    this.people.stoppedTyping(conversation.id, message.sender_id);
    if (conversation.history !== 'none') conversation.messages.set(message.seq, message);
    if (!message.deleted_at && message.seq > (conversation.last_message?.seq ?? 0)) {
      conversation.last_message = message;
      conversation.last_message_at = message.created_at;
    }
    conversation.last_seq = Math.max(conversation.last_seq, message.seq);
    // Whoever writes has read what came before: the server moves their position with the message.
    this.#wasRead({ ...message, employee_id: message.sender_id });
  }

  /** Take an edited or deleted message; it may have been sent, too, while we were away. */
  #restated(message) {
    const conversation = this.conversations.get(message.conversation_id);
    if (!conversation || message.seq > conversation.last_seq) this.#received(message);
    else this.#change(conversation, message.seq, () => message);
  }

  #reacted({ conversation_id, seq, reactions }) {
    const conversation = this.conversations.get(conversation_id);
    if (conversation) this.#change(conversation, seq, (known) => ({ ...known, reactions }));
  }

  /** Change a message where it is shown. One that is not loaded stays so: pages have no holes. */
  #change(conversation, seq, make) {
    conversation.late?.push([seq, make]);
    const known = conversation.messages.get(seq);
    if (known) conversation.messages.set(seq, make(known));
    if (conversation.last_message?.seq === seq) {
      conversation.last_message = make(conversation.last_message);
      if (conversation.last_message.deleted_at) this.#lastDeleted(conversation);
    }
    this.changed();
  }

  /** The list shows the newest message that is left: one that is loaded, or what the server says. */
  #lastDeleted(conversation) {
    const left = this.messages(conversation).filter((message) => !message.deleted_at);
    conversation.last_message = left.at(-1) ?? null;
    if (!conversation.last_message) this.#refresh();
  }

  #wasRead({ conversation_id, employee_id, seq }) {
    const conversation = this.conversations.get(conversation_id);
    const reader = conversation?.participants.find((one) => one.employee.id === employee_id);
    if (reader) reader.last_read_seq = Math.max(reader.last_read_seq, seq);
    this.changed();
  }

  #countsChanged({ total, conversations }) {
    this.total = total;
    for (const unread of conversations) {
      const conversation = this.conversations.get(unread.conversation_id);
      if (!conversation) this.#refresh();
      else if (unread.version >= conversation.unread.version) conversation.unread = unread;
    }
    this.changed();
  }

  /** More has changed than was replayed: what is loaded of this conversation is stale. */
  async #reload(id) {
    const conversation = this.conversations.get(id);
    if (!conversation) {
      this.#refresh();
      return;
    }
    const wasShown = conversation.history !== 'none';
    conversation.messages = new Map();
    conversation.history = 'none';
    if (wasShown) await this.loadNewest(id);
  }

  /** Ask for the newest conversations again, once for all reasons of a moment. */
  #refresh() {
    clearTimeout(this.#refreshing);
    this.#refreshing = setTimeout(async () => {
      const page = await this.#gateway.request('conversation.list', {});
      for (const conversation of page.conversations) this.#learn(conversation);
    }, 100);
  }

  async #loadPage(conversation, where) {
    const id = conversation.id;
    const into = conversation.messages;
    conversation.late = []; // what changes now may be older in the page that is on its way
    try {
      const fields = { conversation_id: id, limit: PAGE, ...where };
      const page = await this.#gateway.request('message.history', fields);
      const current = this.conversations.get(id);
      if (current?.messages !== into) return; // it was reloaded, or left, meanwhile
      for (const message of page.messages) {
        into.set(message.seq, message);
        if (message.client_key) this.outbox?.remove(message.client_key);
      }
      for (const [seq, make] of current.late) if (into.has(seq)) into.set(seq, make(into.get(seq)));
      Object.assign(current, { history: 'loaded', hasBefore: page.has_before, late: null });
    } catch (error) {
      const current = this.conversations.get(id);
      if (!current) return; // taken out of it meanwhile
      current.late = null;
      if (current.messages === into) current.history = into.size ? 'loaded' : 'none';
      throw error;
    } finally {
      this.changed();
    }
  }
}

/** A participant, as far as either description says they have read. */
function furthest(participant, known) {
  const id = participant.employee.id;
  const before = known.participants.find((one) => one.employee.id === id);
  const seq = Math.max(participant.last_read_seq, before?.last_read_seq ?? 0);
  return { ...participant, last_read_seq: seq };
}
