// Requests without a reply: each waits for it, also across a reconnect when repeating it is safe.

import { REPEATABLE } from './protocol.js';

/** Commands that are useless a moment later: they never wait for a connection. */
const NEVER_WAIT = new Set(['typing.start', 'token.refresh']);

const MAX_WAITING = 500;
const TIMEOUT_MS = 30_000;

/** A refusal by the gateway, or by this SDK (`connection.lost`, `request.timeout` …). */
export class GatewayError extends Error {
  /** @param {{code: string, message: string, path?: string | null, retry_after?: number | null}} refusal */
  constructor(refusal) {
    super(refusal.message);
    this.name = 'GatewayError';
    /** One of ERRORS in protocol.js, or one of the SDK's own. */
    this.code = refusal.code;
    this.path = refusal.path ?? null;
    /** Seconds after which to try again; null when that would not help. */
    this.retryAfter = refusal.retry_after ?? null;
  }
}

export class Requests {
  #lastId = 0;
  #waiting = new Map(); // id → request, not sent on this connection yet
  #sent = new Map();
  #send = null; // sends a frame; null without a live connection

  /**
   * Send a command now, or as soon as there is a connection.
   * @param {string} type
   * @param {object} fields
   * @param {number} [timeoutMs]
   * @returns {Promise<any>} what the reply carries under `ok`
   */
  add(type, fields, timeoutMs = TIMEOUT_MS) {
    if (!this.#send && NEVER_WAIT.has(type)) return Promise.reject(connectionLost());
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(clientError('request.too_many', 'Too many requests wait for a connection.'));
    }
    return new Promise((resolve, reject) => {
      const id = this.nextId();
      const frame = { ...fields, type, id };
      const timer = setTimeout(() => this.#expire(id), timeoutMs);
      this.#waiting.set(id, { id, frame, resolve, reject, timer });
      this.#flush();
    });
  }

  /** An id for a frame that this class does not keep, such as hello. */
  nextId() {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Send requests through `send` from now on; those that waited go first, in their order. */
  connected(send) {
    this.#send = send;
    this.#flush();
  }

  /** The connection is lost: what may be repeated waits for the next one, the rest is rejected. */
  disconnected() {
    this.#send = null;
    const repeated = [...this.#sent.values()].filter((request) => repeatable(request.frame));
    const unrepeatable = [...this.#sent.values()].filter((request) => !repeatable(request.frame));
    this.#sent.clear();
    this.#waiting = new Map([...repeated, ...this.#waiting.values()].map((one) => [one.id, one]));
    for (const request of unrepeatable) finish(request, request.reject, connectionLost());
  }

  /** Reject everything: no reply will come any more. */
  stop() {
    this.#send = null;
    const all = [...this.#sent.values(), ...this.#waiting.values()];
    this.#sent.clear();
    this.#waiting.clear();
    const error = connectionClosed();
    for (const request of all) finish(request, request.reject, error);
  }

  /** Hand a reply to its request. */
  settle(reply) {
    const request = this.#sent.get(reply.id);
    if (!request) return;
    this.#sent.delete(reply.id);
    if (reply.error) finish(request, request.reject, new GatewayError(reply.error));
    else finish(request, request.resolve, reply.ok);
  }

  #flush() {
    if (!this.#send) return;
    for (const request of this.#waiting.values()) {
      this.#waiting.delete(request.id);
      this.#sent.set(request.id, request);
      this.#send(request.frame);
    }
  }

  #expire(id) {
    const request = this.#sent.get(id) ?? this.#waiting.get(id);
    this.#sent.delete(id);
    this.#waiting.delete(id);
    request?.reject(clientError('request.timeout', 'The gateway did not reply in time.'));
  }
}

/** The close code for the same reason as a refused hello; null when trying again may help. */
export function closeCodeOf(refusal) {
  if (!refusal) return null;
  if (refusal.code === 'token.expired') return 4201;
  if (/^(token|origin|permission)\./.test(refusal.code)) return 4001;
  return refusal.code === 'employee.disabled' ? 4010 : null;
}

function repeatable(frame) {
  return REPEATABLE.has(frame.type);
}

function finish(request, settle, value) {
  clearTimeout(request.timer);
  settle(value);
}

function clientError(code, message) {
  return new GatewayError({ code, message });
}

export function connectionClosed() {
  return clientError('connection.closed', 'The connection has been closed for good.');
}

function connectionLost() {
  return clientError('connection.lost', 'The connection was lost before a reply came.');
}
