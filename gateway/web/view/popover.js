// A menu beside its button: arrows move, Enter selects, Escape and a click elsewhere close it.

import { setAttribute, element } from './elements.js';

const GAP_PX = 4;
const STEPS = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1 };

/**
 * @typedef {object} Item
 * @property {string} name
 * @property {() => void} act
 * @property {string} [testid]
 * @property {string} [label] the text for screen readers when the name is a picture
 * @property {boolean} [checked] one of several that exclude each other
 * @property {boolean} [danger]
 * @property {boolean} [apart] a separator is before it
 */

export function popover() {
  const root = element('div', {
    class: 'popover', popover: 'manual', role: 'menu', testid: 'menu', onkeydown: onKey, onfocusout: onFocusOut,
  });
  let opener = null;
  document.addEventListener('pointerdown', ({ target }) => {
    if (isOpen() && !root.contains(target)) close(false);
  }, true);
  window.addEventListener('resize', () => isOpen() && close(false));

  /**
   * @param {HTMLElement} anchor
   * @param {{label: string, items: Item[], grid?: boolean}} what
   */
  function open(anchor, { label, items, grid = false }) {
    opener = document.activeElement;
    setAttribute(root, 'aria-label', label);
    setAttribute(root, 'data-grid', grid ? 'true' : null);
    root.replaceChildren(...items.map(make));
    root.showPopover();
    place(anchor.getBoundingClientRect());
    root.firstElementChild.focus();
  }

  function make({ name, act, testid, label, checked, danger, apart }) {
    return element('button', {
      type: 'button', tabindex: -1, testid: testid ?? null, 'aria-label': label ?? null,
      role: checked === undefined ? 'menuitem' : 'menuitemradio',
      'aria-checked': checked === undefined ? null : String(checked),
      'data-danger': danger ? 'true' : null, 'data-apart': apart ? 'true' : null,
      onclick: () => {
        close(true);
        act();
      },
    }, name);
  }

  /** Below its button, or above when there is no room; never outside the window. */
  function place(anchor) {
    const { offsetWidth: width, offsetHeight: height } = root;
    const below = anchor.bottom + GAP_PX;
    const top = below + height <= innerHeight ? below : anchor.top - GAP_PX - height;
    root.style.top = `${Math.max(GAP_PX, Math.min(top, innerHeight - height - GAP_PX))}px`;
    const start = anchor.right - width;
    root.style.left = `${Math.max(GAP_PX, Math.min(start, innerWidth - width - GAP_PX))}px`;
  }

  function onKey(event) {
    const items = [...root.children];
    const at = items.indexOf(document.activeElement);
    if (event.key in STEPS) items[(at + STEPS[event.key] + items.length) % items.length].focus();
    else if (event.key === 'Home') items[0].focus();
    else if (event.key === 'End') items.at(-1).focus();
    else if (event.key === 'Escape' || event.key === 'Tab') close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function onFocusOut({ relatedTarget }) {
    if (relatedTarget && !root.contains(relatedTarget)) close(false);
  }

  function close(restoreFocus) {
    if (!isOpen()) return;
    root.hidePopover();
    if (restoreFocus && opener?.isConnected) opener.focus();
  }

  function isOpen() {
    return root.matches(':popover-open');
  }

  return { root, open };
}
