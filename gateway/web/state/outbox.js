// Outgoing messages: shown at once, sent in order, kept across page reloads until they are stored.
//
// composer ─▶ Outbox ─▶ message.send; its reply ─▶ Timeline.

import { GatewayError, newKey } from '../sdk/client.js';

const STORAGE = 'gateway.outbox';
const MAX_TRIES = 5;
const MAX_BUSY_TRIES = 20; // refusals with retry_after: the gateway is busy, the message is not wrong
const ERROR_TEXTS = { // codes of file errors → what a person can do
  'attachment.mismatch': 'The content of a file does not match its type. Discard the message and choose another file.',
  'attachment.not_found': 'A file has expired. Discard the message and choose the file again.',
};

/**
 * @typedef {object} Pending
 * @property {string} client_key
 * @property {number} conversation_id
 * @property {string} text
 * @property {number | null} reply_to_seq
 * @property {import('../sdk/protocol.js').Attachment[]} attachments uploaded already
 * @property {string} created_at
 * @property {'sending' | 'failed'} state
 * @property {string} error
 */

export class Outbox {
  #gateway;
  #changed;
  #stored;
  #owner;
  #pending = new Map(); // client_key → Pending, in the order of writing
  #queues = new Map(); // conversation → promise of its last message: they are sent one after another

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {number} employeeId
   * @param {{changed: () => void, stored: (message: import('../sdk/protocol.js').Message) => void}} hooks
   */
  constructor(gateway, employeeId, { changed, stored }) {
    this.#gateway = gateway;
    this.#changed = changed;
    this.#stored = stored;
    this.#owner = employeeId;
    for (const pending of this.#restore()) {
      this.#pending.set(pending.client_key, pending);
      if (pending.state === 'sending') this.#queue(pending);
    }
  }

  /** @returns {Pending[]} */
  inConversation(conversationId) {
    return [...this.#pending.values()].filter((one) => one.conversation_id === conversationId);
  }

  /** @param {import('../sdk/protocol.js').Attachment[]} attachments */
  send(conversationId, text, replyTo = null, attachments = []) {
    const pending = {
      client_key: newKey(),
      conversation_id: conversationId,
      text,
      reply_to_seq: replyTo,
      attachments,
      created_at: new Date().toISOString(),
      state: 'sending',
      error: '',
    };
    this.#pending.set(pending.client_key, pending);
    this.#save();
    this.#queue(pending);
  }

  /** Try again with the same key: a message that was stored already is not stored twice. */
  retry(key) {
    const pending = this.#pending.get(key);
    if (pending?.state !== 'failed') return;
    Object.assign(pending, { state: 'sending', error: '' });
    this.#save();
    this.#queue(pending);
  }

  /** The message is stored, or its sender discarded it. */
  remove(key) {
    if (this.#pending.delete(key)) this.#save();
  }

  #queue(pending) {
    const previous = this.#queues.get(pending.conversation_id) ?? Promise.resolve();
    this.#queues.set(pending.conversation_id, previous.then(() => this.#deliver(pending)));
  }

  async #deliver(pending) {
    const { conversation_id, client_key, text, reply_to_seq = null } = pending;
    const ids = (pending.attachments ?? []).map(({ attachment_id }) => attachment_id);
    for (let tries = 1; this.#pending.has(client_key); tries += 1) {
      try {
        const fields = { conversation_id, client_key, text, reply_to_seq, attachments: ids.length ? ids : null };
        this.#stored((await this.#gateway.request('message.send', fields)).message);
        return;
      } catch (error) {
        const wait = retryDelay(error);
        if (error.code === 'request.timeout' && this.#gateway.state.name !== 'live') tries -= 1;
        const most = error.retryAfter === null ? MAX_TRIES : MAX_BUSY_TRIES;
        if (wait === null || tries >= most) {
          this.#fail(pending, error);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  #fail(pending, error) {
    Object.assign(pending, { state: 'failed', error: ERROR_TEXTS[error.code] ?? error.message });
    this.#save();
  }

  #save() {
    const saved = { owner: this.#owner, pending: [...this.#pending.values()] };
    try {
      sessionStorage.setItem(STORAGE, JSON.stringify(saved));
    } catch {
      // Storage is full or forbidden: messages are sent, but not kept across a reload.
    }
    this.#changed();
  }

  #restore() {
    try {
      const saved = JSON.parse(sessionStorage.getItem(STORAGE) ?? '{}');
      return saved.owner === this.#owner ? saved.pending : [];
    } catch {
      return [];
    }
  }
}

/** Milliseconds before another try; null when that would not help. */
function retryDelay(error) {
  if (!(error instanceof GatewayError)) return null;
  if (error.retryAfter !== null) return error.retryAfter * 1000 + Math.random() * 250;
  return error.code === 'request.timeout' || error.code === 'connection.lost' ? 250 : null;
}
