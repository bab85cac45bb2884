// The JavaScript SDK: one WebSocket that reconnects by itself and misses no event.
//
//   const gateway = connect('wss://crm.example/v1/ws', { token: () => fetchToken() });
//   gateway.on('message.created', ({ message }) => show(message));
//   await gateway.request('message.send', { conversation_id: 17, client_key: newKey(), text: 'hi' });
//
// Events of a conversation arrive in order, each once, also across reconnects. `reload` names a
// conversation that changed more than was replayed: fetch it again. The last `presence.watch` and
// `queue.watch` are repeated on each new connection, and what they show comes as events; topics are
// watched again, too: read what they are about after each `welcome`. `welcome` is hello's reply,
// `state` is how the connection is. docs/protocol.md describes the wire.

import { Backoff } from './backoff.js';
import { describeFile } from './file_description.js';
import { OrderedEvents } from './gaps.js';
import { Listeners } from './listeners.js';
import { SUBPROTOCOL, verdict } from './protocol.js';
import { GatewayError, Requests, closeCodeOf, connectionClosed } from './requests.js';
import { upload } from './upload.js';
import { Watchdog, onNetworkChange } from './watchdog.js';
import { Watches } from './watches.js';

export { GatewayError, describeFile };

const HELLO_MS = 10_000;
const PROBE_MS = 5_000;
const CLOSE_MS = 3_000;
const SILENCE_SLACK_MS = 10_000;
const MAX_KNOWN = 1_000; // events of the CRM whose ids are kept
const NO_TOKEN = 'The token is empty: look at what should have made it.';

/**
 * @typedef {object} Options
 * @property {(why: {refresh: boolean}) => string | Promise<string>} token refresh: a new one
 * @property {{id: string, kind: string}} [device] stays the same across reconnects
 * @property {Record<string, number>} [resume] conversation → last change received before
 */

/**
 * @typedef {object} State
 * @property {'connecting' | 'live' | 'waiting' | 'stopped'} name
 * @property {number} [retryAt] when the next attempt begins, while waiting
 * @property {number} [code] why the last connection ended
 * @property {string} [reason]
 */

/**
 * Connect, and stay connected until `close()` or until the gateway closes for good.
 * @param {string | URL} url
 * @param {Options} options
 */
export function connect(url, options) {
  return new Gateway(url, options);
}

/** A random key for `client_key`; works without a secure context too. */
export function newKey() {
  if (globalThis.crypto?.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // RFC 9562's variant
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export class Gateway {
  #url;
  #options;
  #device;
  #socket = null;
  #listeners = new Listeners();
  #requests = new Requests();
  #watches;
  #ordered;
  #backoff = new Backoff();
  #timer = 0; // the next attempt
  #watchdog = new Watchdog();
  #stopListening;
  #liveSince = 0;
  #helloId = 0;
  #token = '';
  #needsFreshToken = false;
  #bye = null;
  #refusal = null;
  #away = false;
  #known = new Set(); // ids of the CRM's events that came last

  /** @type {State} */
  state = { name: 'connecting' };
  /** @type {import('./protocol.js').Welcome | null} */
  welcome = null;

  constructor(url, options) {
    this.#url = url;
    this.#options = options;
    this.#device = options.device ?? { id: newKey(), kind: 'web' };
    this.#ordered = new OrderedEvents(
      options.resume,
      (/** @type {any} */ event) => this.#listeners.emit(event.type, event),
      (type, fields) => this.request(type, fields),
    );
    this.#watches = new Watches(
      (/** @type {any} */ event) => this.#listeners.emit(event.type, event),
      (type, fields) => {
        const id = this.#requests.nextId();
        this.#send({ ...fields, type, id });
        return id;
      },
    );
    this.#stopListening = onNetworkChange((offline) => this.#checkNow(offline));
    queueMicrotask(() => this.#open()); // after the caller has added its listeners
  }

  /**
   * Listen to events by type: those of the protocol, `welcome`, `reload`, `state`, `refused`.
   * @param {string} type
   * @param {(event: any) => void} listener
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    return this.#listeners.add(type, listener);
  }

  /**
   * Send a command. Without a connection it waits for one; one whose outcome is unknown when the
   * connection breaks is sent again if that is harmless, else rejected with `connection.lost`.
   * @param {string} type
   * @param {object} [fields]
   * @param {{timeoutMs?: number}} [options]
   * @returns {Promise<any>} what the reply carries under `ok`
   * @throws {GatewayError} code, message, path, retryAfter
   */
  async request(type, fields = {}, { timeoutMs } = {}) {
    if (this.state.name === 'stopped') throw connectionClosed();
    const ok = await this.#requests.add(type, fields, timeoutMs);
    if (type === 'conversation.list') this.#ordered.addConversations(ok.conversations);
    if (ok?.conversation) this.#ordered.addConversations([ok.conversation]);
    return ok;
  }

  /** Report whether nobody uses this device; hello repeats it on each new connection. */
  away(away) {
    if (away === this.#away) return;
    this.#away = away;
    this.request('presence.away', { away }).catch(() => {}); // the next hello reports it
  }

  /**
   * Upload a file, to be named in `attachments` of message.send in this conversation.
   * @param {number} conversationId
   * @param {File} file
   * @param {import('./upload.js').Uploading} [options] onProgress, signal
   * @returns {Promise<import('./protocol.js').Attachment>}
   */
  upload(conversationId, file, options = {}) {
    return upload(this, this.#origin(), conversationId, file, options);
  }

  /**
   * A link to a file of a message, valid for some minutes; the URL needs no token.
   * @param {number} attachmentId
   * @returns {Promise<import('./protocol.js').AttachmentLink>}
   */
  async link(attachmentId) {
    const link = await this.request('attachment.get', { attachment_id: attachmentId });
    return { ...link, url: new URL(link.url, this.#origin()).href };
  }

  /** Connect at once, also after the gateway closed for good. */
  reconnect() {
    this.#backoff.reset();
    if (this.state.name === 'waiting' || this.state.name === 'stopped') this.#open();
  }

  /** Leave for good. */
  close() {
    this.#dropSocket();
    this.#stop(1000, 'closed by this client');
    this.#stopListening();
  }

  /** The gateway's address for HTTP. */
  #origin() {
    return new URL(this.#url).origin.replace(/^ws/, 'http');
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#bye = null;
    this.#refusal = null;
    this.#setState({ name: 'connecting' });
    const state = this.state;
    const token = await this.#fetchToken();
    if (this.state !== state || token === null) return; // closed, or called again, meanwhile
    const socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    socket.onopen = () => this.#hello(socket);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#startWatchdog(HELLO_MS);
  }

  /** The token for hello; null when there is none: then the state has been set, and any retry planned. */
  async #fetchToken() {
    const refused = this.#token;
    const refresh = this.#needsFreshToken;
    const state = this.state;
    try {
      const token = await this.#options.token({ refresh });
      if (this.state !== state) return null;
      if (!token) {
        this.#stop(4001, NO_TOKEN);
        return null;
      }
      if (refresh && token === refused) {
        this.#stop(4201, 'There is no newer token.');
        return null;
      }
      this.#needsFreshToken = false;
      this.#token = token;
      return token;
    } catch (error) {
      if (this.state !== state) return null;
      if (error?.code === 'token.none') this.#stop(4001, error.message);
      else this.#retryLater('back_off', null, { reason: `No token: ${error?.message ?? error}` });
      return null;
    }
  }

  #hello(socket) {
    if (socket !== this.#socket) return;
    this.#helloId = this.#requests.nextId();
    const resume = this.#ordered.resume();
    const identity = { token: this.#token, device: this.#device, away: this.#away };
    socket.send(JSON.stringify({ type: 'hello', id: this.#helloId, ...identity, resume }));
  }

  /** The gateway has too many hellos at once: it keeps the connection open until we repeat ours. */
  #retryHello(delay) {
    const socket = this.#socket;
    this.#timer = setTimeout(() => this.#hello(socket), delay);
    this.#startWatchdog(delay + HELLO_MS);
  }

  #welcomed(welcome) {
    this.welcome = welcome;
    this.#liveSince = Date.now();
    this.#startWatchdog(welcome.ping_s * 1500 + SILENCE_SLACK_MS);
    this.#listeners.emit('welcome', welcome);
    this.#ordered.receiveWelcome(welcome);
    this.#setState({ name: 'live' });
    // In this order the last watch that was requested is the last that the gateway receives.
    this.#watches.connected();
    this.#requests.connected((frame) => {
      this.#watches.sent(frame);
      this.#send(frame);
    });
  }

  #receive(data) {
    this.#watchdog.received();
    const received = JSON.parse(data);
    for (const frame of Array.isArray(received) ? received : [received]) this.#dispatch(frame);
  }

  #dispatch(frame) {
    if (frame.id === this.#helloId && frame.ok) this.#welcomed(frame.ok);
    else if (frame.id === this.#helloId && frame.error) this.#helloRefused(frame.error);
    else if (typeof frame.id === 'number') this.#settle(frame);
    else if (frame.error) this.#listeners.emit('refused', frame.error);
    else if (frame.type === 'ping') this.#send({ type: 'pong' });
    else if (frame.type === 'bye') this.#bye = frame;
    else if (frame.type === 'token.expiring') this.#renew();
    else if (typeof frame.change === 'number' && frame.conversation_id) this.#ordered.receive(frame);
    else if (typeof frame.type === 'string') {
      if (frame.type === 'queue.unwatched') this.#watches.unwatched();
      if (frame.type === 'topic.unwatched') this.#watches.topicsUnwatched(frame.topics);
      if (frame.type === 'event.published' && this.#isKnown(frame.event.id)) return;
      this.#listeners.emit(frame.type, frame);
    }
  }

  /** Whether an event of the CRM has come before: after a reconnection one may come again. */
  #isKnown(id) {
    if (this.#known.has(id)) return true;
    this.#known.add(id);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.values().next().value);
    return false;
  }

  #settle(reply) {
    this.#watches.replied(reply);
    this.#requests.settle(reply);
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** Replace the token without a reconnect; if that fails, the gateway closes, and we reconnect. */
  async #renew() {
    try {
      const token = await this.#options.token({ refresh: true });
      if (token === this.#token) return;
      await this.request('token.refresh', { token });
      this.#token = token;
    } catch (error) {
      this.#listeners.emit('refused', { code: error.code ?? 'token.none', message: error.message });
    }
  }

  // --- closing and reconnecting ----------------------------------------------------------------

  /** Hello was refused: for good, then the gateway closes; for the moment, then we try again. */
  #helloRefused(error) {
    this.#listeners.emit('refused', error);
    if (error.code === 'overloaded') return this.#retryHello(error.retry_after * 1000);
    this.#refusal = error;
    if (closeCodeOf(error)) this.#startWatchdog(CLOSE_MS);
    else this.#closed(1006, error.message);
  }

  #closed(code, reason = '') {
    this.#dropSocket();
    const announced = this.#bye?.code ?? closeCodeOf(this.#refusal);
    const cause = code < 4000 && announced ? announced : code; // the bye is trusted when the close frame was lost
    const action = this.#bye?.resume === false ? 'stop' : verdict(cause);
    const text = this.#bye?.reason || reason || this.#refusal?.message || '';
    if (action === 'stop') return this.#stop(cause, text);
    this.#needsFreshToken ||= action === 'refresh';
    const after = this.#refusal?.retry_after;
    const retryIn = this.#bye?.retry_in ?? (after ? [after * 1000, after * 2000] : null);
    this.#retryLater(action, retryIn, { code: cause, reason: text });
  }

  /** Abandon the socket without its close handshake, which never ends on a dead network. */
  #dropSocket() {
    this.#watchdog.stop();
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      if (socket.readyState <= WebSocket.OPEN) socket.close(1000);
    }
    if (this.#liveSince) this.#backoff.connectionEnded(Date.now() - this.#liveSince);
    this.#liveSince = 0;
    this.#requests.disconnected();
    this.#watches.disconnected();
  }

  #retryLater(what, retryIn, ended) {
    const delay = this.#backoff.next(what, retryIn);
    this.#setState({ name: 'waiting', retryAt: Date.now() + delay, ...ended });
    this.#timer = setTimeout(() => this.#open(), delay);
  }

  #stop(code, reason) {
    clearTimeout(this.#timer);
    this.#requests.stop();
    this.#setState({ name: 'stopped', code, reason });
  }

  // --- detecting a dead connection -------------------------------------------------------------

  #startWatchdog(limitMs) {
    this.#watchdog.start(limitMs, () => this.#closed(1006, 'nothing was received'));
  }

  /** The network or the window changed: check now instead of waiting for the timers. */
  #checkNow(offline) {
    if (this.state.name === 'live') this.#probe();
    if (this.state.name !== 'waiting' || offline) return;
    clearTimeout(this.#timer);
    this.#backoff.reset();
    this.#retryLater('now', null, { reason: this.state.reason });
  }

  /** Send a ping; the connection is dead when nothing at all is received after it. */
  #probe() {
    this.#send({ type: 'ping' });
    this.#watchdog.expect(PROBE_MS, () => this.#closed(1006, 'nothing was received'));
  }

  #setState(state) {
    this.state = state;
    this.#listeners.emit('state', state);
  }
}
