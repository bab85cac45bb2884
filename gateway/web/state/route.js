// The route in the address: #/conversations/7, or #/conversations/7/messages/123.

import { fragment } from './credentials.js';

const ROUTE = /^#\/conversations\/([1-9]\d{0,15})(?:\/messages\/([1-9]\d{0,15}))?$/;

/** @returns {{conversation: number | null, message: number | null}} */
export function currentRoute() {
  const [, conversation, message] = ROUTE.exec(location.hash) ?? [];
  if (conversation) return { conversation: Number(conversation), message: Number(message) || null };
  return { conversation: Number(fragment().get('conversation')) || null, message: null };
}

/** The fragment of a conversation, or of one message in it; null: nothing is open. */
export function fragmentOf(conversation, message = null) {
  if (conversation === null) return '';
  return `#/conversations/${conversation}${message === null ? '' : `/messages/${message}`}`;
}

export function navigate(conversation, message = null) {
  location.hash = fragmentOf(conversation, message);
}

/** A link to one message, for another window or another person. */
export function permalink(conversation, message) {
  return new URL(fragmentOf(conversation, message), location.href).href;
}

/** After a jump, leave only the conversation in the address: a page reload shows its end. */
export function removeMessageFromAddress() {
  const { conversation, message } = currentRoute();
  if (message !== null) history.replaceState(null, '', fragmentOf(conversation));
}
