// Builds and updates elements from plain data, and lists by key. Text never becomes markup.

import { webAddress } from './format.js';

/**
 * Make an element: `element('button', {class: 'x', onclick: f, testid: 'send'}, 'Send')`.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners, `testid` is data-testid
 * @param {...(Node | string | null)} children strings become text nodes, never markup
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'testid') setAttribute(made, 'data-testid', value);
    else setAttribute(made, name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set an attribute, or remove it when value is null or false. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Set an element's text only when it differs: screen readers announce changes. */
export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/**
 * Make the children of parent match items: kept by key, updated in place, in order.
 * @template T
 * @param {HTMLElement} parent
 * @param {T[]} items
 * @param {{key: (item: T) => string, make: (item: T) => HTMLElement,
 *   update: (node: HTMLElement, item: T) => void}} how
 */
export function updateList(parent, items, { key, make, update }) {
  const present = /** @type {HTMLElement[]} */ ([...parent.children]);
  const before = new Map(present.map((node) => [node.dataset.key, node]));
  let cursor = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const node = before.get(name) ?? make(item);
    node.dataset.key = name;
    before.delete(name);
    update(node, item);
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
  }
  for (const node of before.values()) node.remove();
}

/** Link to a page of the CRM, in a tab of its own; without an address it is text. */
export function updateLink(link, url) {
  const address = webAddress(url);
  setAttribute(link, 'href', address);
  setAttribute(link, 'target', address && '_blank');
  setAttribute(link, 'rel', address && 'noopener noreferrer');
}

/** The part of a node with this `data-part`. */
export function part(node, name) {
  return node.querySelector(`[data-part="${name}"]`);
}

/** A round picture with a person's initials; the colour follows from the id. */
export function avatar(name, id, url = null) {
  const made = element('span', { class: 'avatar', 'aria-hidden': 'true', 'data-part': 'avatar' });
  updateAvatar(made, name, id, url);
  return made;
}

/** Show initials, and the picture over them once it is loaded. */
export function updateAvatar(node, name, id, url = null) {
  const shown = JSON.stringify([name, id, url]);
  if (node.dataset.shown === shown) return;
  node.dataset.shown = shown;
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? ['?'];
  const initials = [words[0], ...words.slice(1).slice(-1)].map((word) => [...word][0]);
  node.replaceChildren(initials.join('').toUpperCase());
  setAttribute(node, 'data-hue', id % 8);
  if (!/^(https?:|\/[^/\\])/.test(url ?? '')) return; // the page's policy decides which origins
  const picture = element('img', { src: url, alt: '', loading: 'lazy', referrerpolicy: 'no-referrer' });
  picture.addEventListener('error', () => picture.remove());
  node.append(picture);
}
