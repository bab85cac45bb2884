// Where files of messages can be read, for the few minutes that such a link is good.

const SPARE_MS = 30_000;
const MANY = 500;

export class Links {
  #gateway;
  #byId = new Map(); // attachment → {link: Promise<AttachmentLink>, until}

  /** @param {import('../sdk/client.js').Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
  }

  /** @returns {Promise<import('../sdk/protocol.js').AttachmentLink>} */
  of(attachmentId) {
    const known = this.#byId.get(attachmentId);
    if (known && known.until > Date.now()) return known.link;
    if (this.#byId.size >= MANY) this.#byId.clear();
    const kept = { link: this.#gateway.link(attachmentId), until: Infinity };
    this.#byId.set(attachmentId, kept);
    kept.link.then(
      ({ expires_at: end }) => { kept.until = Date.parse(end) - SPARE_MS; },
      () => this.#byId.delete(attachmentId),
    );
    return kept.link;
  }

  /** It was of no use. */
  drop(attachmentId) {
    this.#byId.delete(attachmentId);
  }
}
