// Messages on their way: shown at once, sent in order, kept across reloads until they are stored.

import { GatewayError, newKey } from '../sdk/client.js';

const STORAGE = 'gateway.outbox';
const MAX_TRIES = 5;
const MAX_PUT_OFF = 20; // times that the gateway said when to come back: it is busy, nothing is wrong
const SAID = { // of files, what a person can do
  'attachment.mismatch': 'A file is not what its name says. Discard this, and choose another one.',
  'attachment.not_found': 'A file waited for too long. Discard this, and choose it again.',
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
  #lines = new Map(); // conversation → the promise of its last message: one after the other

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
  of(conversationId) {
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

  /** Try again with the same key: what was stored without our knowing is not stored twice. */
  retry(key) {
    const pending = this.#pending.get(key);
    if (pending?.state !== 'failed') return;
    Object.assign(pending, { state: 'sending', error: '' });
    this.#save();
    this.#queue(pending);
  }

  /** The message is stored, or its writer gave it up. */
  remove(key) {
    if (this.#pending.delete(key)) this.#save();
  }

  #queue(pending) {
    const line = this.#lines.get(pending.conversation_id) ?? Promise.resolve();
    this.#lines.set(pending.conversation_id, line.then(() => this.#deliver(pending)));
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
        const wait = waitFor(error);
        if (error.code === 'request.timeout' && this.#gateway.state.name !== 'live') tries -= 1;
        const most = error.retryAfter === null ? MAX_TRIES : MAX_PUT_OFF;
        if (wait === null || tries >= most) {
          this.#fail(pending, error);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  #fail(pending, error) {
    Object.assign(pending, { state: 'failed', error: SAID[error.code] ?? error.message });
    this.#save();
  }

  #save() {
    const kept = { owner: this.#owner, pending: [...this.#pending.values()] };
    try {
      sessionStorage.setItem(STORAGE, JSON.stringify(kept));
    } catch {
      // Storage is full or forbidden: messages are still sent, only not kept across a reload.
    }
    this.#changed();
  }

  #restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(STORAGE) ?? '{}');
      return kept.owner === this.#owner ? kept.pending : [];
    } catch {
      return [];
    }
  }
}

/** Milliseconds before another try; null when that would not help. */
function waitFor(error) {
  if (!(error instanceof GatewayError)) return null;
  if (error.retryAfter !== null) return error.retryAfter * 1000 + Math.random() * 250;
  return error.code === 'request.timeout' || error.code === 'connection.lost' ? 250 : null;
}
