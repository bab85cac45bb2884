// Files that have been chosen and not sent yet, for each place where one writes.
//
// view/tray.js ─▶ Tray ─▶ client.upload. They are uploaded at once, so that sending waits for nothing;
// what is taken away stops at once, and the gateway removes by itself what no message has.

import { describeFile } from '../sdk/client.js';
import { isInlineImage, uploadProblem } from './file_kinds.js';

const AT_ONCE = 3;

/**
 * @typedef {object} Chosen
 * @property {number} id
 * @property {File} file
 * @property {number} conversationId
 * @property {string} name
 * @property {string} content_type
 * @property {number} size
 * @property {'waiting' | 'uploading' | 'ready' | 'failed'} state
 * @property {number} sent bytes
 * @property {string} error
 * @property {string | null} preview a picture of this window's own
 * @property {AbortController} stop
 * @property {import('../sdk/protocol.js').Attachment | null} attachment
 */

export class Tray {
  #gateway;
  #changed;
  #places = new Map(); // place → Chosen[], in the order of choosing
  #lastId = 0;
  /** @type {import('../sdk/protocol.js').FileLimits | null} null: no files here */
  limits = null;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
  }

  /** @returns {Chosen[]} */
  of(place) {
    return this.#places.get(place) ?? [];
  }

  /**
   * Take files in, and begin to upload them.
   * @param {string} place
   * @param {number} conversationId
   * @param {File[]} files
   * @returns {string[]} why some of them are not taken
   */
  add(place, conversationId, files) {
    const problems = [];
    const chosen = [...this.of(place)];
    for (const file of files) {
      const problem = uploadProblem(file, this.limits);
      if (problem) problems.push(problem);
      else if (chosen.length < this.limits.per_message) chosen.push(this.#choose(file, conversationId));
      else problems.push(`“${file.name}” is one too many: at most ${this.limits.per_message} in a message.`);
    }
    this.#places.set(place, chosen);
    this.#next();
    this.#changed();
    return problems;
  }

  remove(place, id) {
    const gone = this.of(place).find((one) => one.id === id);
    if (!gone) return;
    this.#keep(place, this.of(place).filter((one) => one !== gone));
    drop(gone);
    this.#next();
    this.#changed();
  }

  retry(place, id) {
    const one = this.of(place).find((other) => other.id === id);
    if (one?.state !== 'failed') return;
    Object.assign(one, { state: 'waiting', error: '', sent: 0 });
    this.#next();
    this.#changed();
  }

  /** Everything is there, for a message that is sent now; the place is empty then. */
  take(place) {
    const taken = this.of(place);
    this.#keep(place, []);
    for (const one of taken) drop(one);
    this.#changed();
    return taken.map(({ attachment }) => attachment);
  }

  /** Out of a conversation: nothing is sent there any more. */
  forget(conversationId) {
    for (const [place, chosen] of this.#places) {
      for (const one of chosen) {
        if (one.conversationId === conversationId) this.remove(place, one.id);
      }
    }
  }

  #choose(file, conversationId) {
    const said = describeFile(file);
    this.#lastId += 1;
    return {
      id: this.#lastId, file, conversationId, ...said, state: 'waiting', sent: 0, error: '',
      preview: isInlineImage(said) ? URL.createObjectURL(file) : null, stop: new AbortController(), attachment: null,
    };
  }

  #keep(place, chosen) {
    if (chosen.length) this.#places.set(place, chosen);
    else this.#places.delete(place);
  }

  /** Begin with what waits, a few at a time. */
  #next() {
    const all = [...this.#places.values()].flat();
    const free = AT_ONCE - all.filter(({ state }) => state === 'uploading').length;
    const waiting = all.filter(({ state }) => state === 'waiting');
    for (const one of waiting.slice(0, Math.max(0, free))) this.#upload(one);
  }

  /** @param {Chosen} one */
  async #upload(one) {
    one.state = 'uploading';
    const onProgress = (sent) => {
      one.sent = sent;
      this.#changed();
    };
    try {
      const how = { onProgress, signal: one.stop.signal };
      one.attachment = await this.#gateway.upload(one.conversationId, one.file, how);
      one.state = 'ready';
    } catch (error) {
      Object.assign(one, { state: 'failed', error: error.message });
    }
    this.#next();
    this.#changed();
  }
}

/** @param {Chosen} one */
function drop(one) {
  one.stop.abort();
  if (one.preview) URL.revokeObjectURL(one.preview);
}
