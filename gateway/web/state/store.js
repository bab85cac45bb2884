// The state of the page: people, conversations, and through its parts everything in them.
//
// gateway ─▶ Store ─▶ views. Unread counts are shown as the gateway reports them, never computed;
// unread, presence and `mine` (my preferences) are replaced as a whole, by higher versions only.

import { Drafts } from './drafts.js';
import { FileLinks } from './file_links.js';
import { conversationFromEvent, mergeParticipant, mergeConversation } from './conversation_state.js';
import { Outbox } from './outbox.js';
import { People } from './people.js';
import { Quotes } from './quotes.js';
import { Receipts } from './receipts.js';
import { ScheduledMessages } from './scheduled.js';
import { Thread } from './thread.js';
import { Timeline } from './timeline.js';
import { PendingFiles } from './pending_files.js';
import { MessageText } from './message_text.js';

const COUNT_LIMIT = 100;
const REFRESH_AFTER_MS = 100;

/**
 * A conversation with its loaded messages. `receivedChange` and `receivedSeq` are the highest change
 * and the highest seq received; `pendingChanges` are changes received while a page is loaded.
 * @typedef {import('../sdk/protocol.js').Conversation & {
 *   messages: Map<number, import('../sdk/protocol.js').Message>,
 *   loadState: 'none' | 'loading' | 'loaded', hasBefore: boolean, hasAfter: boolean,
 *   receivedChange: number, receivedSeq: number, delivered?: number, markedUnreadAt?: number,
 *   pendingChanges?: any[] | null}} Known
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
  #isNotifying = false;
  #reloadTimer = 0;

  /** @param {import('../sdk/client.js').Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
    const changed = () => this.changed();
    this.people = new People(gateway, changed);
    this.messageText = new MessageText(this.people);
    this.thread = new Thread(gateway, changed);
    this.quotes = new Quotes(gateway, this);
    this.timeline = new Timeline(gateway, this);
    this.receipts = new Receipts(gateway, this);
    this.drafts = new Drafts(gateway, changed);
    this.scheduled = new ScheduledMessages(gateway, changed);
    this.pendingFiles = new PendingFiles(gateway, changed);
    this.fileLinks = new FileLinks(gateway);
    gateway.on('state', changed);
    gateway.on('welcome', (welcome) => this.#welcomed(welcome));
    gateway.on('conversation.created', (event) => this.#created(event));
    gateway.on('participant.changed', (event) => this.#participantChanged(event));
    gateway.on('conversation.updated', (event) => this.#conversationUpdated(event));
    gateway.on('conversation.mine_changed', (event) => this.preferencesChanged(event));
    gateway.on('unread.changed', (event) => this.#countsChanged(event));
    gateway.on('typing.started', (event) => this.people.startedTyping(event));
  }

  /** Call listener after changes, once for all changes of one turn of the event loop. */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  changed() {
    if (this.#isNotifying) return;
    this.#isNotifying = true;
    queueMicrotask(() => {
      this.#isNotifying = false;
      for (const listener of this.#listeners) listener();
    });
  }

  /** Conversations, or archived ones: pinned first, then by their newest message. */
  list(archived = false) {
    const pinned = ({ mine }) => (mine.pinned_at ? Date.parse(mine.pinned_at) : 0);
    return [...this.conversations.values()]
      .filter(({ mine }) => mine.archived === archived)
      .sort((a, b) => pinned(b) - pinned(a)
        || Date.parse(b.last_message_at) - Date.parse(a.last_message_at) || b.id - a.id);
  }

  /** The other person of a direct conversation; null for a group. */
  partner(conversation) {
    if (conversation.kind !== 'direct') return null;
    const others = conversation.participants.filter((one) => one.employee.id !== this.me?.id);
    return (others[0] ?? conversation.participants[0])?.employee ?? null;
  }

  title(conversation) {
    return conversation.title ?? this.partner(conversation)?.name ?? 'Conversation';
  }

  /** My role; `member` when I am not among the first participants, which are all that is loaded. */
  role(conversation) {
    return conversation.participants.find((one) => one.employee.id === this.me?.id)?.role ?? 'member';
  }

  /** Whether I may rename it, add and remove people, delete messages of others. */
  canModerate(conversation) {
    return conversation.kind !== 'direct' && this.role(conversation) !== 'member';
  }

  isMuted({ mine }) {
    return mine.muted_until !== null && Date.parse(mine.muted_until) > Date.now();
  }

  /**
   * Unread messages outside one conversation. The gateway counts up to 100; from there on nothing
   * is subtracted, because the exact number is unknown.
   */
  unreadElsewhere(id) {
    const { messages } = this.total;
    const here = this.conversations.get(id);
    if (messages >= COUNT_LIMIT || !here || here.mine.archived || this.isMuted(here)) return messages;
    return Math.max(0, messages - here.unread.unread);
  }

  /** Load the next page of the list of conversations, or of archived ones. */
  async loadMore(archived = false) {
    const cursor = this.next[archived];
    const page = await this.#gateway.request('conversation.list', { cursor, archived });
    for (const conversation of page.conversations) this.addConversation(conversation);
    if (this.next[archived] === cursor) this.next[archived] = page.next;
    this.changed();
  }

  /** Load one conversation that may be far down in the list; rejected when I am not in it. */
  async load(id) {
    if (this.conversations.has(id)) return true;
    this.addConversation((await this.#gateway.request('conversation.get', { conversation_id: id })).conversation);
    return true;
  }

  /** Load all participants of a conversation, of which only the first are loaded. */
  async loadParticipants(id) {
    const found = [];
    for (let after = null; ;) {
      const page = await this.#gateway.request('conversation.participants', { conversation_id: id, after });
      for (const { employee } of page.participants) this.people.add(employee);
      this.people.receivePresences(page.presences);
      found.push(...page.participants);
      if ((after = page.next) === null) return found;
    }
  }

  /** A message is stored: remove it from the outbox and from the scheduled messages. */
  messageStored({ client_key }) {
    if (!client_key) return;
    this.outbox?.remove(client_key);
    this.scheduled.removeSent(client_key);
  }

  /** Add a conversation as the gateway reports it; loaded messages stay. */
  addConversation(conversation, fresh = false) {
    for (const { employee } of conversation.participants) this.people.add(employee);
    this.people.receivePresences(conversation.presences);
    const known = this.conversations.get(conversation.id);
    const merged = mergeConversation(known, conversation, fresh);
    this.conversations.set(conversation.id, merged);
    this.people.watch([...this.conversations.values()]);
    this.changed();
    return merged;
  }

  /** Receive my preferences for a conversation, from an event or a reply. */
  preferencesChanged({ conversation_id, mine }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation || conversation.mine.version >= mine.version) return;
    // Marked as unread on another device: a window that shows it does not mark it as read.
    if (mine.manual_unread && !conversation.mine.manual_unread) conversation.markedUnreadAt = conversation.last_seq;
    conversation.mine = mine;
    this.changed();
  }

  /** I am no longer in it: remove everything of it. */
  removeConversation(id) {
    if (this.thread.open?.conversation_id === id) this.thread.close();
    this.drafts.remove(id);
    this.pendingFiles.removeConversation(id);
    if (this.conversations.delete(id)) this.changed();
  }

  /** Read the newest conversations again, once for all causes within 100 ms. */
  reloadList() {
    clearTimeout(this.#reloadTimer);
    this.#reloadTimer = setTimeout(async () => {
      const page = await this.#gateway.request('conversation.list', {}).catch(() => null);
      for (const conversation of page?.conversations ?? []) this.addConversation(conversation);
    }, REFRESH_AFTER_MS);
  }

  // --- events ------------------------------------------------------------------------------------

  #welcomed(welcome) {
    this.me = welcome.user;
    this.permissions = new Set(welcome.permissions);
    this.next.false = welcome.next;
    this.total = welcome.unread.total;
    this.pendingFiles.limits = welcome.files ?? null;
    this.people.welcomed(welcome.user);
    for (const conversation of welcome.conversations) this.addConversation(conversation, true);
    this.outbox ??= new Outbox(this.#gateway, this.me.id, {
      changed: () => this.changed(),
      stored: (message) => this.timeline.receive(message),
    });
    this.receipts.welcomed(welcome.conversations);
    this.drafts.load();
    this.scheduled.load().catch(() => {});
    this.changed();
  }

  #created(event) {
    if (this.conversations.has(event.conversation_id)) return;
    this.addConversation(conversationFromEvent(event));
    if (event.change > 1) this.reloadList(); // I joined an existing one: its last message is in the list
  }

  /** Somebody joined, left, or has another role; when I left, the conversation is removed. */
  #participantChanged({ conversation_id, participant, left }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation) return;
    const { employee } = participant;
    this.people.add(employee);
    if (left && employee.id === this.me?.id) {
      this.removeConversation(conversation_id);
      return;
    }
    const known = conversation.participants;
    const others = known.filter((one) => one.employee.id !== employee.id);
    const whole = known.length === conversation.participant_count;
    conversation.participants = left ? others : [...others, mergeParticipant(participant, conversation)];
    // Of a long list only the first are loaded, so the count is kept separately.
    if (whole) conversation.participant_count = conversation.participants.length;
    else if (left) conversation.participant_count -= 1;
    this.people.watch([...this.conversations.values()]);
    this.changed();
  }

  #conversationUpdated({ conversation_id, title, avatar_url, closed_at, history }) {
    const conversation = this.conversations.get(conversation_id);
    if (!conversation) return;
    Object.assign(conversation, { title, avatar_url, closed_at, history });
    this.changed();
  }

  #countsChanged({ total, conversations }) {
    this.total = total;
    for (const unread of conversations) {
      const conversation = this.conversations.get(unread.conversation_id);
      if (!conversation) this.reloadList();
      else if (unread.version >= conversation.unread.version) conversation.unread = unread;
    }
    this.changed();
  }
}
