// The dialog of a group: name, picture, history and members; owners and admins can change them.

import { dialog } from './dialog.js';
import { setAttribute, avatar, element, updateList, part, setText } from './elements.js';
import { STATUSES } from './format.js';
import { peoplePicker } from './people_picker.js';

const ROLES = { owner: 'Owner', admin: 'Admin', member: 'Member' };

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {() => any} current
 */
export function conversationDetails(store, actions, current) {
  const title = element('input', { type: 'text', maxlength: 200, required: '', dir: 'auto', testid: 'details-title' });
  const picture = element('input', { type: 'url', maxlength: 2000, placeholder: 'https://…', testid: 'details-picture' });
  const history = element('select', { testid: 'details-history' },
    element('option', { value: 'all' }, 'everything'),
    element('option', { value: 'joined' }, 'what comes after they joined'));
  const save = element('button', { type: 'submit', class: 'primary', testid: 'save-details' }, 'Save');
  const field = (name, input) => element('label', { class: 'field' }, name, input);
  const form = element('form', { class: 'fields', onsubmit: submit }, field('Name', title),
    field('Picture', picture), field('New members can read', history), element('div', { class: 'row' }, save));
  const members = element('ul', { class: 'members', testid: 'members', 'aria-label': 'Members' });
  const heading = element('h3', {});
  const picker = peoplePicker(store, actions, { changed: () => showAdd(), without: memberIds, prefix: 'add-' });
  const add = element('button', { type: 'button', class: 'primary', testid: 'add-members', onclick: addSelected }, 'Add');
  const adding = element('details', { class: 'adding', ontoggle: () => adding.open && picker.reset() },
    element('summary', { testid: 'add-people' }, 'Add people'), picker.root, element('div', { class: 'row' }, add));
  const frame = dialog('Members and settings', 'details-dialog', form, heading, members, adding);

  let allMembers = null; // of a large group, of which only the first are loaded

  function show() {
    const conversation = current();
    title.value = conversation.title ?? '';
    picture.value = conversation.avatar_url ?? '';
    history.value = conversation.history;
    adding.open = false;
    allMembers = null;
    render(conversation);
    frame.show();
  }

  function render(conversation) {
    const may = store.canModerate(conversation);
    for (const input of [title, picture, history]) input.disabled = !may;
    save.hidden = !may;
    adding.hidden = !may;
    setText(heading, `${conversation.participant_count} members`);
    if (conversation.participants.length >= conversation.participant_count) allMembers = null;
    else if (allMembers?.count !== conversation.participant_count) loadAllMembers(conversation);
    const listed = allMembers?.found ?? conversation.participants;
    updateList(members, listed, { key: ({ employee }) => String(employee.id), make, update });
  }

  async function loadAllMembers(conversation) {
    const request = { id: conversation.id, count: conversation.participant_count, found: null };
    allMembers = request;
    const found = await store.loadParticipants(conversation.id).catch(() => null);
    if (allMembers !== request || current()?.id !== request.id || !found) return;
    request.found = found;
    render(current());
  }

  function make({ employee }) {
    const role = element('select', {
      'data-part': 'role', testid: 'role', 'aria-label': `Role of ${employee.name}`,
      onchange: async () => {
        await frame.attempt(() => actions.setRole(current(), employee.id, role.value));
        const now = current()?.participants.find((one) => one.employee.id === employee.id);
        if (now) role.value = now.role; // the present role, also when the change was refused
      },
    }, ...Object.entries(ROLES).map(([value, name]) => element('option', { value }, name)));
    return element('li', { testid: 'member', 'data-employee-id': employee.id },
      element('span', { class: 'portrait' }, avatar(employee.name, employee.id, employee.avatar_url),
        element('span', { class: 'dot', 'data-part': 'dot', role: 'img' })),
      element('span', { class: 'person-name', dir: 'auto' }, employee.name), role,
      element('button', {
        type: 'button', class: 'close', 'data-part': 'remove', testid: 'remove-member',
        'aria-label': `Remove ${employee.name}`, title: `Remove ${employee.name}`,
        onclick: () => frame.attempt(() => actions.remove(current(), employee.id)),
      }, '×'));
  }

  function update(node, { employee, role }) {
    const mine = store.role(current());
    const select = part(node, 'role');
    select.disabled = mine !== 'owner';
    if (document.activeElement !== select) select.value = role;
    const isMe = employee.id === store.me?.id;
    part(node, 'remove').hidden = isMe || mine === 'member' || (role === 'owner' && mine !== 'owner');
    const status = store.people.statusOf(employee.id);
    setAttribute(part(node, 'dot'), 'data-status', status);
    setAttribute(part(node, 'dot'), 'aria-label', STATUSES[status]);
  }

  async function submit(event) {
    event.preventDefault();
    const conversation = current();
    const given = { title: title.value.trim(), avatar_url: picture.value.trim(), history: history.value };
    const now = { title: conversation.title, avatar_url: conversation.avatar_url ?? '', history: conversation.history };
    const changed = Object.fromEntries(Object.entries(given).filter(([name, value]) => now[name] !== value));
    if (!Object.keys(changed).length || await frame.attempt(() => actions.update(conversation, changed))) frame.close();
  }

  function memberIds() {
    return new Set(current()?.participants.map(({ employee }) => employee.id));
  }

  async function addSelected() {
    const ids = [...picker.chosen];
    if (await frame.attempt(() => actions.add(current(), ids))) await picker.reset();
  }

  function showAdd() {
    const { size } = picker.chosen;
    add.disabled = size === 0;
    setText(add, size ? `Add ${size}` : 'Add');
  }

  return { root: frame.root, show, render: (conversation) => frame.root.open && render(conversation) };
}
