// What is open, as the address says it: #/conversations/7, and #/conversations/7/messages/123.

import { fragment } from './credentials.js';

const PLACE = /^#\/conversations\/([1-9]\d{0,15})(?:\/messages\/([1-9]\d{0,15}))?$/;

/** @returns {{conversation: number | null, message: number | null}} */
export function place() {
  const [, conversation, message] = PLACE.exec(location.hash) ?? [];
  if (conversation) return { conversation: Number(conversation), message: Number(message) || null };
  return { conversation: Number(fragment().get('conversation')) || null, message: null };
}

/** The fragment of a conversation, or of one message in it; null: nothing is open. */
export function addressOf(conversation, message = null) {
  if (conversation === null) return '';
  return `#/conversations/${conversation}${message === null ? '' : `/messages/${message}`}`;
}

export function go(conversation, message = null) {
  location.hash = addressOf(conversation, message);
}

/** A link to one message, for another window or another person. */
export function permalink(conversation, message) {
  return new URL(addressOf(conversation, message), location.href).href;
}

/** After a jump the address is the conversation's: a reload stays where one reads, at the end. */
export function forgetMessage() {
  const { conversation, message } = place();
  if (message !== null) history.replaceState(null, '', addressOf(conversation));
}
