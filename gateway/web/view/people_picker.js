// Choosing people: a search among employees, with how reachable they are.

import { attribute, avatar, element, keyed, part, text } from './elements.js';
import { STATUSES } from './format.js';

const SEARCH_AFTER_MS = 250;

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{changed: () => void, without?: () => Set<number>, prefix?: string}} actions
 */
export function peoplePicker(store, deeds, { changed, without = () => new Set(), prefix = '' }) {
  const found = new Map(); // everyone a search has brought so far
  const chosen = new Set();
  let searching = 0;
  let searched = null; // what the server has last been asked, and has answered
  const filter = element('input', {
    type: 'search', placeholder: 'Search by name or department', 'aria-label': 'Search people',
    testid: `${prefix}employee-filter`, oninput: wait,
  });
  const list = element('ul', { class: 'people', 'aria-label': 'People' });
  const nobody = element('p', { class: 'muted empty', role: 'status' });
  const error = element('p', { class: 'error', role: 'alert' });
  const root = element('div', { class: 'picker' }, filter, list, nobody, error);

  function reset() {
    chosen.clear();
    filter.value = '';
    text(error, '');
    render();
    return search();
  }

  /** Show what is known at once, ask for more when the typing pauses. */
  function wait() {
    render();
    clearTimeout(searching);
    searching = setTimeout(search, SEARCH_AFTER_MS);
  }

  async function search() {
    const wanted = filter.value.trim();
    try {
      const people = await deeds.searchPeople(wanted, 100);
      searched = wanted.toLowerCase();
      for (const one of people) found.set(one.id, one);
      text(error, '');
    } catch (problem) {
      text(error, problem.message);
    }
    render();
  }

  function render() {
    const wanted = filter.value.trim().toLowerCase();
    const out = without();
    const known = [...found.values()].filter(({ id }) => id !== store.me?.id && !out.has(id));
    const shown = known.filter((one) => chosen.has(one.id) || matches(one, wanted));
    keyed(list, shown, { key: (one) => String(one.id), make, update });
    const none = searched === wanted && !known.some((one) => matches(one, wanted));
    text(nobody, none ? 'Nobody found' : '');
    changed();
  }

  /** As the server does: all words, each in any of them. */
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
    const status = store.people.status(employee.id);
    const dot = part(node, 'dot');
    attribute(dot, 'data-status', status);
    attribute(dot, 'aria-label', STATUSES[status]);
    node.querySelector('input').checked = chosen.has(employee.id);
  }

  return { root, chosen, reset, render };
}
