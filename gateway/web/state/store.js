// What this window knows: people, conversations, and through its parts everything in them.
//
// gateway ─▶ Store ─▶ views. The server's word counts: unread numbers are taken as they come, never
// added up, and whole states (unread, presence, mine) are replaced only by higher versions.

import { Drafts } from './drafts.js';
import { Links } from './file_links.js';
import { fromEvent, furthest, merged } from './conversation_state.js';
import { Outbox } from './outbox.js';
import { People } from './people.js';
import { Quotes } from './quotes.js';
import { Reading } from './receipts.js';
import { Scheduled } from './scheduled.js';
import { Thread } from './thread.js';
import { Timeline } from './timeline.js';
import { Tray } from './pending_files.js';
import { Words } from './message_text.js';

const COUNT_LIMIT = 100;
const REFRESH_AFTER_MS = 100;

/**
 * @typedef {import('../sdk/protocol.js').Conversation & {
 *   messages: Map<number, import('../sdk/protocol.js').Message>, rule: 'all' | 'joined',
 *   history: 'none' | 'loading' | 'loaded', hasBefore: boolean, hasAfter: boolean,
 *   seen: number, reached: number}} Known
 */

export class Store {
  /** @type {import('../sdk/protocol.js').Employee | null} */
  me = null;
  /** @type {Set<string>} */
  permissions = new Set();
  /** @type {Map<number, Known>} */
  conversations = new Map();
  total = { messages: 0, conversations: 0, mentions: 0 };
  /** Cursors of the next pages of the list, and of the list of archived ones. */
  next = { false: null, true: null };
  /** @type {Outbox | null} */
  outbox = null;
  #gateway;
  #listeners = [];
  #scheduled = false;
  #refreshing = 0;

  /** @param {import('../sdk/client.js').Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
    const changed = () => this.changed();
    this.people = new People(gateway, changed);
    this.words = new Words(this.people);
    this.thread = new Thread(gateway, changed);
    this.quotes = new Quotes(gateway, this);
    this.timeline = new Timeline(gateway, this);
    this.reading = new Reading(gateway, this);
    this.drafts = new Drafts(gateway, changed);
    this.scheduled = new Scheduled(gateway, changed);
    this.tray = new Tray(gateway, changed);
    this.links = new Links(gateway);
    gateway.on('state', changed);
    gateway.on('welcome', (welcome) => this.#welcomed(welcome));
    gateway.on('conversation.created', (event) => this.#created(event));
    gateway.on('participant.changed', (event) => this.#seated(event));
    gateway.on('conversation.updated', (event) => this.#restyled(event));
    gateway.on('conversation.mine_changed', (event) => this.minded(event));
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

  /** Pinned conversations first, then the one with the newest message; or those put away. */
  list(archived = false) {
    const pinned = ({ mine }) => (mine.pinned_at ? Date.parse(mine.pinned_at) : 0);
    return [...this.conversations.values()]
      .filter(({ mine }) => mine.archived === archived)
      .sort((a, b) => pinned(b) - pinned(a)
        || Date.parse(b.last_message_at) - Date.parse(a.last_message_at) || b.id - a.id);
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

  /** My role in it, as far as it is known: of a long list only the first participants are here. */
  role(conversation) {
    return conversation.participants.find((one) => one.employee.id === this.me?.id)?.role ?? 'member';
  }

  /** Whether I may rename it, take people in and out, delete what others wrote. */
  moderates(conversation) {
    return conversation.kind !== 'direct' && this.role(conversation) !== 'member';
  }

  isMuted({ mine }) {
    return mine.muted_until !== null && Date.parse(mine.muted_until) > Date.now();
  }

  /**
   * Unread messages outside one conversation. The server counts up to 100, and from there on
   * nothing can be taken away: how many more there are is unknown.
   */
  unreadBesides(id) {
    const { messages } = this.total;
    const here = this.conversations.get(id);
    if (messages >= COUNT_LIMIT || !here || here.mine.archived || this.isMuted(here)) return messages;
    return Math.max(0, messages - here.unread.unread);
  }

  /** The next page of the list of conversations, or of those put away. */
  async loadMore(archived = false) {
    const cursor = this.next[archived];
    const page = await this.#gateway.request('conversation.list', { cursor, archived });
    for (const conversation of page.conversations) this.learn(conversation);
    if (this.next[archived] === cursor) this.next[archived] = page.next;
    this.changed();
  }

  /** Have a conversation here that may stand far down in the list; refused when it is not mine. */
  async find(id) {
    if (this.conversations.has(id)) return true;
    this.learn((await this.#gateway.request('conversation.get', { conversation_id: id })).conversation);
    return true;
  }

  /** Everybody in a conversation, of which it lists the first only. */
  async everybodyIn(id) {
    const found = [];
    for (let after = null; ;) {
      const page = await this.#gateway.request('conversation.participants', { conversation_id: id, after });
      for (const { employee } of page.participants) this.people.learn(employee);
      this.people.take(page.presences);
      found.push(...page.participants);
      if ((after = page.next) === null) return found;
    }
  }

  /** A message is stored: what was kept of it until then is not needed. */
  stored({ client_key }) {
    if (!client_key) return;
    this.outbox?.remove(client_key);
    this.scheduled.sent(client_key);
  }

  /** Take a conversation as the server describes it; what is loaded of it stays. */
  learn(conversation, fresh = false) {
    for (const { employee } of conversation.participants) this.people.learn(employee);
    this.people.take(conversation.presences);
    const known = this.conversations.get(conversation.id);
    const made = merged(known, conversation, fresh);
    this.conversations.set(conversation.id, made);
    this.people.watch([...this.conversations.values()]);
    this.changed();
    return made;
  }

  /** Take what only I see of a conversation, from an event or a reply. */
  minded({ conversation_id, mine }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation || conversation.mine.version >= mine.version) return;
    // Marked by hand on another device: a window that is open here leaves it so.
    if (mine.manual_unread && !conversation.mine.manual_unread) conversation.held = conversation.last_seq;
    conversation.mine = mine;
    this.changed();
  }

  /** Out of it: nothing of it stays here. */
  forget(id) {
    if (this.thread.open?.conversation_id === id) this.thread.close();
    this.drafts.forget(id);
    this.tray.forget(id);
    if (this.conversations.delete(id)) this.changed();
  }

  /** Ask for the newest conversations again, once for all reasons of a moment. */
  refresh() {
    clearTimeout(this.#refreshing);
    this.#refreshing = setTimeout(async () => {
      const page = await this.#gateway.request('conversation.list', {}).catch(() => null);
      for (const conversation of page?.conversations ?? []) this.learn(conversation);
    }, REFRESH_AFTER_MS);
  }

  // --- what the gateway says -------------------------------------------------------------------

  #welcomed(welcome) {
    this.me = welcome.user;
    this.permissions = new Set(welcome.permissions);
    this.next.false = welcome.next;
    this.total = welcome.unread.total;
    this.tray.limits = welcome.files ?? null;
    this.people.welcomed(welcome.user);
    for (const conversation of welcome.conversations) this.learn(conversation, true);
    this.outbox ??= new Outbox(this.#gateway, this.me.id, {
      changed: () => this.changed(),
      stored: (message) => this.timeline.received(message),
    });
    this.reading.welcomed(welcome.conversations);
    this.drafts.welcomed();
    this.scheduled.load().catch(() => {});
    this.changed();
  }

  #created(event) {
    if (this.conversations.has(event.conversation_id)) return;
    this.learn(fromEvent(event));
    if (event.change > 1) this.refresh(); // joined: what was said before is in the list
  }

  /** Someone joined, left, or has another role; who left themselves keeps nothing of it. */
  #seated({ conversation_id, participant, left }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation) return;
    const { employee } = participant;
    this.people.learn(employee);
    if (left && employee.id === this.me?.id) {
      this.forget(conversation_id);
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
    Object.assign(conversation, { title, avatar_url, closed_at, rule: history });
    this.changed();
  }

  #countsChanged({ total, conversations }) {
    this.total = total;
    for (const unread of conversations) {
      const conversation = this.conversations.get(unread.conversation_id);
      if (!conversation) this.refresh();
      else if (unread.version >= conversation.unread.version) conversation.unread = unread;
    }
    this.changed();
  }
}
