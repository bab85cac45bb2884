// My drafts, the same on all my devices: saved when I pause typing.
//
// composer ─▶ Drafts ─▶ draft.set, draft.clear; draft.changed ─▶ Drafts ─▶ composer.

const SAVE_AFTER_MS = 700;

export class Drafts {
  #gateway;
  #changed;
  #drafts = new Map(); // conversation → Draft as the gateway has it
  #unsaved = new Map(); // conversation → {text, reply_to_seq, timer}

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
    gateway.on('draft.changed', ({ draft }) => this.#receive(draft));
    globalThis.addEventListener?.('pagehide', () => this.flush());
  }

  /** Read all drafts: changes made while disconnected are not replayed. */
  async load() {
    const found = new Map();
    try {
      for (let cursor = null, more = true; more; more = cursor !== null) {
        const page = await this.#gateway.request('draft.list', cursor ? { cursor } : {});
        for (const draft of page.drafts) found.set(draft.conversation_id, draft);
        cursor = page.next;
      }
    } catch {
      return; // the next welcome reads them again
    }
    for (const [id, draft] of this.#drafts) {
      if (!found.has(id)) this.#drafts.set(id, { ...draft, text: '' });
    }
    for (const draft of found.values()) this.#receive(draft);
    this.#changed();
  }

  /** @returns {{text: string, reply_to_seq: number | null, version: number}} */
  get(id) {
    const saved = this.#drafts.get(id) ?? { text: '', reply_to_seq: null, version: 0 };
    const written = this.#unsaved.get(id);
    return written ? { ...saved, text: written.text, reply_to_seq: written.reply_to_seq } : saved;
  }

  /** True while a text of this window is not saved: a draft from elsewhere does not replace it. */
  isUnsaved(id) {
    return this.#unsaved.has(id);
  }

  write(id, text, replyTo) {
    const known = this.get(id);
    if (known.text === text && (known.reply_to_seq ?? null) === replyTo) return;
    clearTimeout(this.#unsaved.get(id)?.timer);
    const timer = setTimeout(() => this.#save(id), SAVE_AFTER_MS);
    this.#unsaved.set(id, { text, reply_to_seq: replyTo, timer });
    this.#changed();
  }

  /** The text was sent or discarded. */
  clear(id) {
    if (this.get(id).text === '' && !this.#drafts.get(id)?.text) return;
    this.write(id, '', null);
    this.#save(id);
  }

  flush() {
    for (const id of [...this.#unsaved.keys()]) this.#save(id);
  }

  remove(id) {
    clearTimeout(this.#unsaved.get(id)?.timer);
    this.#unsaved.delete(id);
    this.#drafts.delete(id);
  }

  async #save(id) {
    const written = this.#unsaved.get(id);
    if (!written || written.saving) return;
    clearTimeout(written.timer);
    written.saving = true;
    const { text, reply_to_seq } = written;
    const empty = !text.trim();
    const fields = { conversation_id: id, ...(empty ? {} : { text, reply_to_seq }) };
    try {
      const { draft } = await this.#gateway.request(empty ? 'draft.clear' : 'draft.set', fields);
      this.#receive(draft);
      if (this.#unsaved.get(id) === written) this.#unsaved.delete(id);
    } catch {
      written.saving = false; // it stays in this window: the next pause tries again
    }
    this.#changed();
  }

  #receive(draft) {
    const known = this.#drafts.get(draft.conversation_id);
    if (known && known.version > draft.version) return;
    this.#drafts.set(draft.conversation_id, draft);
    this.#changed();
  }
}
