// Completing names: after an @ the people of the conversation, arrows choose, Enter or Tab takes one.

import { attribute, element, keyed, text } from './elements.js';

const MAX_SHOWN = 6;
const BEGUN = /(^|[\s([{"'«„])@([\p{L}\p{N}'’.\- ]{0,40})$/u;

let made = 0; // lists on the page, for their ids

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
  attribute(input, 'aria-autocomplete', 'list');
  attribute(input, 'aria-controls', id);
  input.addEventListener('blur', () => close());
  let found = [];
  let at = 0;
  const chosen = new Map(); // name → id, of those taken from the list: two may have one name

  /** Whom a text may name: those who are here, as far as this window knows them. */
  function people() {
    const here = conversation();
    if (!here) return [];
    const ids = new Set(here.participants.map(({ employee }) => employee.id));
    for (const { sender_id: sender } of here.messages.values()) if (sender) ids.add(sender);
    const known = [...ids].map((one) => ({ id: one, name: store.people.name(one) }));
    if (here.kind !== 'direct') known.push({ id: 'all', name: 'all' });
    return known.map((one) => ({ ...one, id: chosen.get(one.name) ?? one.id }));
  }

  function written() {
    const [, , begun] = BEGUN.exec(input.value.slice(0, input.selectionStart)) ?? [];
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
    keyed(root, found, { key: (one) => String(one.id), make, update });
    attribute(input, 'aria-activedescendant', found.length ? `${id}-${found[at].id}` : null);
  }

  function make(one) {
    return element('li', {
      role: 'option', id: `${id}-${one.id}`, testid: 'completion-option',
      onpointerdown: (event) => {
        event.preventDefault(); // the focus stays where one writes
        take(one);
      },
    });
  }

  function update(node, one) {
    text(node, one.id === 'all' ? '@all, everybody here' : one.name);
    attribute(node, 'aria-selected', String(found[at] === one));
  }

  function take(one) {
    const caret = input.selectionStart;
    const [, , begun] = BEGUN.exec(input.value.slice(0, caret)) ?? [];
    if (begun === undefined) return;
    chosen.set(one.name, one.id);
    input.setRangeText(`@${one.name} `, caret - begun.length - 1, caret, 'end');
    close();
    input.dispatchEvent(new Event('input'));
  }

  /** Take a key that is for the list; true when it was. */
  function pressed(event) {
    if (!found.length || event.isComposing) return false;
    if (event.key === 'ArrowDown') at = (at + 1) % found.length;
    else if (event.key === 'ArrowUp') at = (at + found.length - 1) % found.length;
    else if (event.key === 'Enter' || event.key === 'Tab') take(found[at]);
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

  return { root, people, written, pressed, close };
}
