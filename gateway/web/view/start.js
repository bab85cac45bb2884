// The dialog that starts a conversation: one person makes it direct, several make a group.

import { employees } from '../session.js';
import { attribute, avatar, element, keyed, part, text } from './elements.js';
import { STATUSES } from './format.js';

const SEARCH_AFTER_MS = 250;

/**
 * @param {import('../store.js').Store} store
 * @param {(conversationId: number) => void} started
 */
export function startDialog(store, started) {
  const found = new Map(); // everyone a search has brought so far
  let searching = 0;
  let searched = null; // what the server has last been asked, and has answered
  const chosen = new Set();
  const filter = element('input', {
    type: 'search', placeholder: 'Search by name or department', 'aria-label': 'Search people',
    testid: 'employee-filter', oninput: wait,
  });
  const list = element('ul', { class: 'people', 'aria-label': 'People' });
  const nobody = element('p', { class: 'muted empty', role: 'status' });
  const title = element('input', {
    type: 'text', maxlength: 200, placeholder: 'Name of the group', 'aria-label': 'Name of the group',
    testid: 'group-title', oninput: () => render(),
  });
  const error = element('p', { class: 'error', role: 'alert' });
  const go = element('button', { type: 'submit', class: 'primary', testid: 'start-conversation' }, 'Start');
  const cancel = element(
    'button', { type: 'button', class: 'link', onclick: () => root.close() }, 'Cancel',
  );
  const form = element('form', { method: 'dialog', onsubmit: submit }, filter, list, nobody, title, error,
    element('div', { class: 'row' }, cancel, go));
  const root = element('dialog', { class: 'start', 'aria-label': 'New conversation' },
    element('h2', {}, 'New conversation'), form);

  async function show() {
    chosen.clear();
    filter.value = '';
    title.value = '';
    text(error, '');
    render();
    root.showModal();
    await search();
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
      const people = await employees(wanted);
      searched = wanted.toLowerCase();
      for (const one of people) if (one.id !== store.me?.id) found.set(one.id, one);
      store.people.watchAlso(people);
    } catch (problem) {
      text(error, problem.message);
    }
    render();
  }

  async function submit(event) {
    event.preventDefault();
    const ids = [...chosen];
    go.disabled = true;
    try {
      const made = ids.length === 1 ? store.open(ids[0]) : store.create(title.value.trim(), ids);
      const conversation = await made;
      root.close();
      started(conversation.id);
    } catch (problem) {
      text(error, problem.message);
    } finally {
      render();
    }
  }

  function render() {
    const wanted = filter.value.trim().toLowerCase();
    const known = [...found.values()];
    const shown = known.filter((one) => chosen.has(one.id) || matches(one, wanted));
    keyed(list, shown, { key: (one) => String(one.id), make, update });
    const none = searched === wanted && !known.some((one) => matches(one, wanted));
    text(nobody, none ? 'Nobody found' : '');
    const group = chosen.size > 1;
    title.hidden = !group;
    attribute(title, 'required', group ? '' : null);
    go.disabled = chosen.size === 0 || (group && !title.value.trim());
    text(go, group ? `Create a group of ${chosen.size + 1}` : 'Start');
  }

  function matches({ name, position, department }, wanted) {
    return [name, position, department].some((said) => said?.toLowerCase().includes(wanted));
  }

  function make(employee) {
    const box = element('input', {
      type: 'checkbox', testid: 'employee-option', 'data-employee-id': employee.id,
      onchange: () => {
        if (box.checked) chosen.add(employee.id);
        else chosen.delete(employee.id);
        render();
      },
    });
    const about = [employee.position, employee.department].filter(Boolean).join(' · ');
    return element('li', {}, element('label', { class: 'person' }, box,
      element('span', { class: 'portrait' }, avatar(employee.name, employee.id),
        element('span', { class: 'dot', 'data-part': 'dot', role: 'img' })),
      element('span', { class: 'person-name' }, employee.name),
      element('span', { class: 'muted' }, about)));
  }

  function update(node, employee) {
    const status = store.people.status(employee.id);
    const dot = part(node, 'dot');
    attribute(dot, 'data-status', status);
    attribute(dot, 'aria-label', STATUSES[status]);
    node.querySelector('input').checked = chosen.has(employee.id);
  }

  return { root, show, render: () => root.open && render() };
}
