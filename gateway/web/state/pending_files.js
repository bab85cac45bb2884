// Files that were chosen and are not sent yet, for each composer.
//
// view/pending_files.js ─▶ PendingFiles ─▶ gateway.upload. Uploads begin at once, so that sending need
// not wait. Removing a file aborts its upload; the gateway deletes files that belong to no message.

import { describeFile } from '../sdk/client.js';
import { isInlineImage, uploadProblem } from './file_kinds.js';

const AT_ONCE = 3;

/**
 * @typedef {object} PendingFile
 * @property {number} id
 * @property {File} file
 * @property {number} conversationId
 * @property {string} name
 * @property {string} content_type
 * @property {number} size
 * @property {'waiting' | 'uploading' | 'ready' | 'failed'} state
 * @property {number} sent bytes
 * @property {string} error
 * @property {string | null} preview an object URL of this window
 * @property {AbortController} stop
 * @property {import('../sdk/protocol.js').Attachment | null} attachment
 */

export class PendingFiles {
  #gateway;
  #changed;
  #byComposer = new Map(); // composerKey → PendingFile[], in the order of choosing
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

  /** @returns {PendingFile[]} */
  get(composerKey) {
    return this.#byComposer.get(composerKey) ?? [];
  }

  /**
   * Add files, and begin to upload them.
   * @param {string} composerKey
   * @param {number} conversationId
   * @param {File[]} files
   * @returns {string[]} why some of them were not added
   */
  add(composerKey, conversationId, files) {
    const problems = [];
    const chosen = [...this.get(composerKey)];
    for (const file of files) {
      const problem = uploadProblem(file, this.limits);
      if (problem) problems.push(problem);
      else if (chosen.length < this.limits.per_message) chosen.push(this.#create(file, conversationId));
      else problems.push(`“${file.name}” was not added: a message can have at most ${this.limits.per_message} files.`);
    }
    this.#byComposer.set(composerKey, chosen);
    this.#uploadNext();
    this.#changed();
    return problems;
  }

  remove(composerKey, id) {
    const gone = this.get(composerKey).find((one) => one.id === id);
    if (!gone) return;
    this.#set(composerKey, this.get(composerKey).filter((one) => one !== gone));
    release(gone);
    this.#uploadNext();
    this.#changed();
  }

  retry(composerKey, id) {
    const one = this.get(composerKey).find((other) => other.id === id);
    if (one?.state !== 'failed') return;
    Object.assign(one, { state: 'waiting', error: '', sent: 0 });
    this.#uploadNext();
    this.#changed();
  }

  /** Remove and return all files of a composer, for a message that is sent now. */
  takeAttachments(composerKey) {
    const taken = this.get(composerKey);
    this.#set(composerKey, []);
    for (const one of taken) release(one);
    this.#changed();
    return taken.map(({ attachment }) => attachment);
  }

  /** Remove all files of a conversation that I left. */
  removeConversation(conversationId) {
    for (const [composerKey, chosen] of this.#byComposer) {
      for (const one of chosen) {
        if (one.conversationId === conversationId) this.remove(composerKey, one.id);
      }
    }
  }

  #create(file, conversationId) {
    const description = describeFile(file);
    this.#lastId += 1;
    return {
      id: this.#lastId, file, conversationId, ...description, state: 'waiting', sent: 0, error: '',
      preview: isInlineImage(description) ? URL.createObjectURL(file) : null, stop: new AbortController(), attachment: null,
    };
  }

  #set(composerKey, chosen) {
    if (chosen.length) this.#byComposer.set(composerKey, chosen);
    else this.#byComposer.delete(composerKey);
  }

  /** Start waiting uploads, AT_ONCE at a time. */
  #uploadNext() {
    const all = [...this.#byComposer.values()].flat();
    const free = AT_ONCE - all.filter(({ state }) => state === 'uploading').length;
    const waiting = all.filter(({ state }) => state === 'waiting');
    for (const one of waiting.slice(0, Math.max(0, free))) this.#upload(one);
  }

  /** @param {PendingFile} one */
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
    this.#uploadNext();
    this.#changed();
  }
}

/** @param {PendingFile} one */
function release(one) {
  one.stop.abort();
  if (one.preview) URL.revokeObjectURL(one.preview);
}
