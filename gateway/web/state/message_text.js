// What a message says, in words: names for mentions, links, and what system messages tell of.

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

export class Words {
  #people;

  /** @param {import('./people.js').People} people */
  constructor(people) {
    this.#people = people;
  }

  /** The whole of it as one line of text. */
  said(message) {
    return this.pieces(message).map(({ text }) => text).join('') || this.#files(message.attachments ?? []);
  }

  /** @returns {Piece[]} text, mentions and links in their order */
  pieces(message) {
    if (message.deleted_at) return [{ text: 'Message deleted' }];
    if (message.kind === 'system') return [{ text: this.#happened(message.attrs ?? {}) }];
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

  /** Text to be written in: `<@17>` becomes `@Vira Savchuk`. */
  forWriting(text) {
    return text.replace(TOKEN, (token, who) => {
      if (who === 'all') return '@all';
      return this.#people.knows(Number(who)) ? `@${this.#people.name(Number(who))}` : token;
    });
  }

  /**
   * Text to be sent: `@Vira Savchuk` becomes `<@17>`, for these people.
   * @param {string} text
   * @param {{id: number | 'all', name: string}[]} people
   */
  forSending(text, people) {
    const ids = new Map(people.map(({ id, name }) => [`@${name}`, id]));
    const names = [...ids.keys()].sort((a, b) => b.length - a.length).map(escaped);
    if (!names.length) return text;
    const written = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${names.join('|')})(?![\\p{L}\\p{N}_])`, 'gu');
    return text.replace(written, (name) => `<@${ids.get(name)}>`);
  }

  /** Only what the server took as a mention is one; anything else is the text that it is. */
  #mention(who, message) {
    const me = this.#people.me?.id;
    if (who === 'all') return message.mention_all ? { text: '@all', mention: true, mine: true } : null;
    const id = Number(who);
    if (!message.mention_ids?.includes(id)) return null;
    return { text: `@${this.#people.name(id)}`, mention: true, mine: id === me };
  }

  /** What a message without words brings. */
  #files(attachments) {
    if (attachments.length > 1) return `${attachments.length} files`;
    return attachments.map((one) => `${isInlineImage(one) ? 'Picture' : 'File'}: ${one.name}`).join('');
  }

  #happened({ event, by, employee_ids = [], title, role }) {
    const names = employee_ids.map((id) => this.#people.name(id)).join(', ');
    const who = by === undefined || by === null ? 'Someone' : this.#people.name(by);
    const said = {
      joined: employee_ids.includes(by) || !by ? `${names} joined` : `${who} added ${names}`,
      left: `${names} left`,
      removed: `${who} removed ${names}`,
      renamed: `${who} named it “${title}”`,
      role_changed: `${who} made ${names} ${role === 'member' ? 'a member' : `an ${role}`}`,
      picture_changed: `${who} changed the picture`,
      history_changed: `${who} changed what newcomers may read`,
      closed: `${who} closed the conversation`,
      reopened: `${who} opened the conversation again`,
    };
    return said[event] ?? 'Something changed here';
  }
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
