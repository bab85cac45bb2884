// Merges what this window knows of a conversation with what the gateway reports.
//
// welcome, reply or event ─▶ mergeConversation ─▶ Store.

const NOTHING_UNREAD = { unread: 0, mentions: 0, last_read_seq: 0, version: 0 };
const DEFAULT_PREFERENCES = {
  archived: false, pinned_at: null, muted_until: null, notify: 'all', manual_unread: false, version: 0,
};

/**
 * Merge a reported conversation into a known one: loaded messages and newer values stay.
 * @param {import('./store.js').Known | undefined} known
 * @param {import('../sdk/protocol.js').Conversation} conversation
 * @param {boolean} fresh true: as of now; false: it may be older than events that were received
 * @returns {import('./store.js').Known}
 */
export function mergeConversation(known, conversation, fresh) {
  const loaded = { messages: new Map(), loadState: 'none', hasBefore: false, hasAfter: false };
  // Events that are replayed after a break may be below last_seq.
  const receivedSeq = known?.receivedSeq ?? conversation.last_seq;
  const receivedChange = Math.max(known?.receivedChange ?? 0, conversation.last_change);
  const merged = { ...loaded, ...known, ...conversation, receivedSeq, receivedChange };
  if (known) keepNewer(merged, known, conversation, fresh);
  return merged;
}

/** The description of a new conversation from its event: nothing read, default preferences. */
export function conversationFromEvent({ conversation_id: id, change, type: _type, ...described }) {
  const unread = { ...NOTHING_UNREAD, conversation_id: id };
  const nothingYet = { last_seq: 0, last_message: null, presences: [], unread, mine: DEFAULT_PREFERENCES };
  return { id, last_change: change, ...described, ...nothingYet };
}

/** A participant with the higher read position of both descriptions. */
export function mergeParticipant(participant, known) {
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
  made.participants = conversation.participants.map((one) => mergeParticipant(one, known));
}
