// Selects people: a search among employees, with their presence.

import { setAttribute, avatar, element, updateList, part, setText } from './elements.js';
import { STATUSES } from './format.js';

const SEARCH_AFTER_MS = 250;

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{changed: () => void, without?: () => Set<number>, prefix?: string}} handlers
 */
export function peoplePicker(store, actions, { changed, without = () => new Set(), prefix = '' }) {
  const found = new Map(); // all results of searches so far
  const chosen = new Set();
  let searching = 0;
  let searched = null; // the last search that has a reply
  const filter = element('input', {
    type: 'search', placeholder: 'Search by name or department', 'aria-label': 'Search people',
    testid: `${prefix}employee-filter`, oninput: onInput,
  });
  const list = element('ul', { class: 'people', 'aria-label': 'People' });
  const nobody = element('p', { class: 'muted empty', role: 'status' });
  const error = element('p', { class: 'error', role: 'alert' });
  const root = element('div', { class: 'picker' }, filter, list, nobody, error);

  function reset() {
    chosen.clear();
    filter.value = '';
    setText(error, '');
    render();
    return search();
  }

  /** Filter known people at once, search for more when the typing pauses. */
  function onInput() {
    render();
    clearTimeout(searching);
    searching = setTimeout(search, SEARCH_AFTER_MS);
  }

  async function search() {
    const wanted = filter.value.trim();
    try {
      const people = await actions.searchPeople(wanted, 100);
      searched = wanted.toLowerCase();
      for (const one of people) found.set(one.id, one);
      setText(error, '');
    } catch (problem) {
      setText(error, problem.message);
    }
    render();
  }

  function render() {
    const wanted = filter.value.trim().toLowerCase();
    const out = without();
    const known = [...found.values()].filter(({ id }) => id !== store.me?.id && !out.has(id));
    const shown = known.filter((one) => chosen.has(one.id) || matches(one, wanted));
    updateList(list, shown, { key: (one) => String(one.id), make, update });
    const none = searched === wanted && !known.some((one) => matches(one, wanted));
    setText(nobody, none ? 'Nobody found' : '');
    changed();
  }

  /** As on the gateway: each word in the name, position or department. */
  function matches({ name, position, department }, wanted) {
    const all = [name, position, department].join(' ').toLowerCase();
    return wanted.split(/\s+/).every((word) => all.includes(word));
  }

  function make(employee) {
    const box = element('input', {
      type: 'checkbox', testid: `${prefix}employee-option`, 'data-employee-id': employee.id,
      onchange: () => {
        if (box.checked) chosen.add(employee.id);
        else chosen.delete(employee.id);
        render();
      },
    });
    const about = [employee.position, employee.department].filter(Boolean).join(' · ');
    return element('li', {}, element('label', { class: 'person' }, box,
      element('span', { class: 'portrait' }, avatar(employee.name, employee.id, employee.avatar_url),
        element('span', { class: 'dot', 'data-part': 'dot', role: 'img' })),
      element('span', { class: 'person-name', dir: 'auto' }, employee.name),
      element('span', { class: 'muted' }, about)));
  }

  function update(node, employee) {
    const status = store.people.statusOf(employee.id);
    const dot = part(node, 'dot');
    setAttribute(dot, 'data-status', status);
    setAttribute(dot, 'aria-label', STATUSES[status]);
    node.querySelector('input').checked = chosen.has(employee.id);
  }

  return { root, chosen, reset, render };
}
