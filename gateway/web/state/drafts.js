// What I have begun to write, the same on all my devices: saved when the typing pauses.

const SAVE_AFTER_MS = 700;

export class Drafts {
  #gateway;
  #changed;
  #drafts = new Map(); // conversation → Draft as the server has it
  #written = new Map(); // conversation → what is not saved yet: {text, reply_to_seq, timer}

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
    gateway.on('draft.changed', ({ draft }) => this.#take(draft));
    globalThis.addEventListener?.('pagehide', () => this.flush());
  }

  /** What was told while there was no connection was missed: read them again. */
  async welcomed() {
    const found = new Map();
    try {
      for (let cursor = null, more = true; more; more = cursor !== null) {
        const page = await this.#gateway.request('draft.list', cursor ? { cursor } : {});
        for (const draft of page.drafts) found.set(draft.conversation_id, draft);
        cursor = page.next;
      }
    } catch {
      return; // the next connection asks again
    }
    for (const [id, draft] of this.#drafts) {
      if (!found.has(id)) this.#drafts.set(id, { ...draft, text: '' });
    }
    for (const draft of found.values()) this.#take(draft);
    this.#changed();
  }

  /** @returns {{text: string, reply_to_seq: number | null, version: number}} */
  of(id) {
    const saved = this.#drafts.get(id) ?? { text: '', reply_to_seq: null, version: 0 };
    const written = this.#written.get(id);
    return written ? { ...saved, text: written.text, reply_to_seq: written.reply_to_seq } : saved;
  }

  /** True while something of one's own waits to be saved: what others say does not replace it. */
  isWriting(id) {
    return this.#written.has(id);
  }

  write(id, text, replyTo) {
    const known = this.of(id);
    if (known.text === text && (known.reply_to_seq ?? null) === replyTo) return;
    clearTimeout(this.#written.get(id)?.timer);
    const timer = setTimeout(() => this.#save(id), SAVE_AFTER_MS);
    this.#written.set(id, { text, reply_to_seq: replyTo, timer });
    this.#changed();
  }

  /** It has been sent, or thrown away. */
  clear(id) {
    if (this.of(id).text === '' && !this.#drafts.get(id)?.text) return;
    this.write(id, '', null);
    this.#save(id);
  }

  flush() {
    for (const id of [...this.#written.keys()]) this.#save(id);
  }

  forget(id) {
    clearTimeout(this.#written.get(id)?.timer);
    this.#written.delete(id);
    this.#drafts.delete(id);
  }

  async #save(id) {
    const written = this.#written.get(id);
    if (!written || written.saving) return;
    clearTimeout(written.timer);
    written.saving = true;
    const { text, reply_to_seq } = written;
    const empty = !text.trim();
    const fields = { conversation_id: id, ...(empty ? {} : { text, reply_to_seq }) };
    try {
      const { draft } = await this.#gateway.request(empty ? 'draft.clear' : 'draft.set', fields);
      this.#take(draft);
      if (this.#written.get(id) === written) this.#written.delete(id);
    } catch {
      written.saving = false; // it stays in this window: the next pause of the typing tries again
    }
    this.#changed();
  }

  #take(draft) {
    const known = this.#drafts.get(draft.conversation_id);
    if (known && known.version > draft.version) return;
    this.#drafts.set(draft.conversation_id, draft);
    this.#changed();
  }
}
