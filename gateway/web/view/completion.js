// Completes mentions: after an @ a list of the people; arrows select, Enter or Tab inserts a name.

import { setAttribute, element, updateList, setText } from './elements.js';

const MAX_SHOWN = 6;
const MENTION_PREFIX = /(^|[\s([{"'«„])@([\p{L}\p{N}'’.\- ]{0,40})$/u;

let made = 0; // number of lists on the page, for their ids

/**
 * @param {import('../state/store.js').Store} store
 * @param {HTMLTextAreaElement} input
 * @param {() => any} conversation
 */
export function completion(store, input, conversation) {
  made += 1;
  const id = `completion-${made}`;
  const root = element('ul', { class: 'completion', id, role: 'listbox', 'aria-label': 'People', testid: 'completion' });
  root.hidden = true;
  setAttribute(input, 'aria-autocomplete', 'list');
  setAttribute(input, 'aria-controls', id);
  input.addEventListener('blur', () => close());
  let found = [];
  let at = 0;
  const chosen = new Map(); // name → id of inserted people: two may have the same name

  /** The people that a text may mention: known participants and senders. */
  function people() {
    const here = conversation();
    if (!here) return [];
    const ids = new Set(here.participants.map(({ employee }) => employee.id));
    for (const { sender_id: sender } of here.messages.values()) if (sender) ids.add(sender);
    const known = [...ids].map((one) => ({ id: one, name: store.people.nameOf(one) }));
    if (here.kind !== 'direct') known.push({ id: 'all', name: 'all' });
    return known.map((one) => ({ ...one, id: chosen.get(one.name) ?? one.id }));
  }

  function onInput() {
    const [, , begun] = MENTION_PREFIX.exec(input.value.slice(0, input.selectionStart)) ?? [];
    const wanted = begun?.toLowerCase();
    const all = begun === undefined ? [] : people().filter(({ id: who }) => who !== store.me?.id);
    found = all.filter(({ name }) => matches(name, wanted)).slice(0, MAX_SHOWN);
    at = 0;
    render();
  }

  function matches(name, wanted) {
    const lower = name.toLowerCase();
    return lower !== wanted.trimEnd() && (lower.startsWith(wanted) || lower.split(' ').some((word) => word.startsWith(wanted)));
  }

  function render() {
    root.hidden = !found.length;
    updateList(root, found, { key: (one) => String(one.id), make, update });
    setAttribute(input, 'aria-activedescendant', found.length ? `${id}-${found[at].id}` : null);
  }

  function make(one) {
    return element('li', {
      role: 'option', id: `${id}-${one.id}`, testid: 'completion-option',
      onpointerdown: (event) => {
        event.preventDefault(); // the focus stays in the input
        insert(one);
      },
    });
  }

  function update(node, one) {
    setText(node, one.id === 'all' ? '@all (everybody in this conversation)' : one.name);
    setAttribute(node, 'aria-selected', String(found[at] === one));
  }

  function insert(one) {
    const caret = input.selectionStart;
    const [, , begun] = MENTION_PREFIX.exec(input.value.slice(0, caret)) ?? [];
    if (begun === undefined) return;
    chosen.set(one.name, one.id);
    input.setRangeText(`@${one.name} `, caret - begun.length - 1, caret, 'end');
    close();
    input.dispatchEvent(new Event('input'));
  }

  /** Handle a key; true when it was for the list. */
  function handleKey(event) {
    if (!found.length || event.isComposing) return false;
    if (event.key === 'ArrowDown') at = (at + 1) % found.length;
    else if (event.key === 'ArrowUp') at = (at + found.length - 1) % found.length;
    else if (event.key === 'Enter' || event.key === 'Tab') insert(found[at]);
    else if (event.key === 'Escape') close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    render();
    return true;
  }

  function close() {
    found = [];
    render();
  }

  return { root, people, onInput, handleKey, close };
}
