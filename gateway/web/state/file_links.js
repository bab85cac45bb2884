// Links to files of messages, cached until they expire some minutes later.

const SPARE_MS = 30_000;
const MAX_LINKS = 500;

export class FileLinks {
  #gateway;
  #byId = new Map(); // attachment → {link: Promise<AttachmentLink>, until}

  /** @param {import('../sdk/client.js').Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
  }

  /** @returns {Promise<import('../sdk/protocol.js').AttachmentLink>} */
  get(attachmentId) {
    const known = this.#byId.get(attachmentId);
    if (known && known.until > Date.now()) return known.link;
    if (this.#byId.size >= MAX_LINKS) this.#byId.clear();
    const entry = { link: this.#gateway.link(attachmentId), until: Infinity };
    this.#byId.set(attachmentId, entry);
    entry.link.then(
      ({ expires_at: end }) => { entry.until = Date.parse(end) - SPARE_MS; },
      () => this.#byId.delete(attachmentId),
    );
    return entry.link;
  }

  /** Forget a link that did not work. */
  invalidate(attachmentId) {
    this.#byId.delete(attachmentId);
  }
}
