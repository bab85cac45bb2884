// One conversation from two descriptions: what this window knows, and what the server now says.

const NOTHING_UNREAD = { unread: 0, mentions: 0, last_read_seq: 0, version: 0 };
const NOTHING_MINE = {
  archived: false, pinned_at: null, muted_until: null, notify: 'all', manual_unread: false, version: 0,
};

/**
 * Take a conversation as the server describes it; what is loaded of it, and what is newer, stays.
 * @param {import('./store.js').Known | undefined} known
 * @param {import('../sdk/protocol.js').Conversation} conversation
 * @param {boolean} fresh true: as of now, false: it may be older than events that have come
 * @returns {import('./store.js').Known}
 */
export function merged(known, conversation, fresh) {
  const loaded = { messages: new Map(), history: 'none', hasBefore: false, hasAfter: false, seen: 0 };
  const { history: rule, ...described } = conversation; // `history` here is what is loaded
  // How far events and pages have come: what is told again after a break may lie behind last_seq.
  const reached = known?.reached ?? conversation.last_seq;
  const made = { ...loaded, ...known, ...described, rule, reached };
  made.seen = Math.max(made.seen, conversation.last_change);
  if (known) keepNewer(made, known, conversation, fresh);
  return made;
}

/** A conversation that one is in from this moment, as its event describes it. */
export function fromEvent({ conversation_id: id, change, type: _type, ...described }) {
  const unread = { ...NOTHING_UNREAD, conversation_id: id };
  const nothingYet = { last_seq: 0, last_message: null, presences: [], unread, mine: NOTHING_MINE };
  return { id, last_change: change, ...described, ...nothingYet };
}

/** A participant, as far as either description says they have read. */
export function furthest(participant, known) {
  const id = participant.employee.id;
  const before = known.participants.find((one) => one.employee.id === id);
  const seq = Math.max(participant.last_read_seq, before?.last_read_seq ?? 0);
  return { ...participant, last_read_seq: seq };
}

function keepNewer(made, known, conversation, fresh) {
  if (!fresh && known.unread.version > conversation.unread.version) made.unread = known.unread;
  if (known.mine.version > conversation.mine.version) made.mine = known.mine;
  if (!fresh && (known.last_message?.seq ?? 0) > (conversation.last_message?.seq ?? 0)) {
    made.last_message = known.last_message;
    made.last_message_at = known.last_message_at;
  }
  made.last_seq = Math.max(known.last_seq, conversation.last_seq);
  made.participants = conversation.participants.map((one) => furthest(one, known));
}
