// The text of messages for people: names for mentions, links, and system messages.
//
// Store ─▶ MessageText ─▶ views; composer ─▶ MessageText ─▶ message.send.

import { isInlineImage } from './file_kinds.js';

const TOKEN = /<@(all|[1-9]\d{0,18})>/g;
const PIECE = /<@(all|[1-9]\d{0,18})>|(https?:\/\/[^\s<>"]+[^\s<>".,:;!?)\]}'»”])/g;

/**
 * @typedef {object} Piece
 * @property {string} text
 * @property {boolean} [mention]
 * @property {boolean} [mine] it mentions me
 * @property {string} [href]
 */

export class MessageText {
  #people;

  /** @param {import('./people.js').People} people */
  constructor(people) {
    this.#people = people;
  }

  /** The whole message as one line of text. */
  plainText(message) {
    return this.pieces(message).map(({ text }) => text).join('') || this.#files(message.attachments ?? []);
  }

  /** @returns {Piece[]} text, mentions and links in order */
  pieces(message) {
    if (message.deleted_at) return [{ text: 'Message deleted' }];
    if (message.kind === 'system') return [{ text: this.#systemText(message.attrs ?? {}) }];
    const pieces = [];
    let end = 0;
    for (const match of message.text.matchAll(PIECE)) {
      const piece = match[1] ? this.#mention(match[1], message) : { text: match[2], href: match[2] };
      if (!piece) continue;
      if (match.index > end) pieces.push({ text: message.text.slice(end, match.index) });
      pieces.push(piece);
      end = match.index + match[0].length;
    }
    if (end < message.text.length) pieces.push({ text: message.text.slice(end) });
    return pieces;
  }

  mentionsMe(message) {
    if (message.deleted_at || message.sender_id === this.#people.me?.id) return false;
    return message.mention_all || Boolean(message.mention_ids?.includes(this.#people.me?.id));
  }

  /** The text for an input field: `<@17>` becomes `@Vira Savchuk`. */
  toEditable(text) {
    return text.replace(TOKEN, (token, who) => {
      if (who === 'all') return '@all';
      return this.#people.isKnown(Number(who)) ? `@${this.#people.nameOf(Number(who))}` : token;
    });
  }

  /**
   * The text for the wire: `@Vira Savchuk` becomes `<@17>`, for these people.
   * @param {string} text
   * @param {{id: number | 'all', name: string}[]} people
   */
  toWire(text, people) {
    const ids = new Map(people.map(({ id, name }) => [`@${name}`, id]));
    const names = [...ids.keys()].sort((a, b) => b.length - a.length).map(escaped);
    if (!names.length) return text;
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${names.join('|')})(?![\\p{L}\\p{N}_])`, 'gu');
    return text.replace(pattern, (name) => `<@${ids.get(name)}>`);
  }

  /** A mention is one only if the gateway accepted it; null: it is plain text. */
  #mention(who, message) {
    const me = this.#people.me?.id;
    if (who === 'all') return message.mention_all ? { text: '@all', mention: true, mine: true } : null;
    const id = Number(who);
    if (!message.mention_ids?.includes(id)) return null;
    return { text: `@${this.#people.nameOf(id)}`, mention: true, mine: id === me };
  }

  /** The text for a message that has only files. */
  #files(attachments) {
    if (attachments.length > 1) return `${attachments.length} files`;
    return attachments.map((one) => `${isInlineImage(one) ? 'Picture' : 'File'}: ${one.name}`).join('');
  }

  #systemText({ event, by, employee_ids = [], title, role }) {
    const names = employee_ids.map((id) => this.#people.nameOf(id)).join(', ');
    const who = by === undefined || by === null ? 'Someone' : this.#people.nameOf(by);
    const texts = {
      joined: employee_ids.includes(by) || !by ? `${names} joined` : `${who} added ${names}`,
      left: `${names} left`,
      removed: `${who} removed ${names}`,
      renamed: `${who} changed the name to “${title}”`,
      role_changed: `${by ? `${who} made ${names}` : `${names} became`} ${role === 'member' ? 'a member' : `an ${role}`}`,
      picture_changed: `${who} changed the picture`,
      history_changed: `${who} changed which messages new members can read`,
      closed: `${who} closed the conversation`,
      reopened: `${who} reopened the conversation`,
    };
    return texts[event] ?? 'The conversation was changed';
  }
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
