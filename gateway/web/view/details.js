// A group's name, picture and members, and what owners and admins may change of them.

import { dialog } from './dialog.js';
import { attribute, avatar, element, keyed, part, text } from './elements.js';
import { STATUSES } from './format.js';
import { peoplePicker } from './people_picker.js';

const ROLES = { owner: 'Owner', admin: 'Admin', member: 'Member' };

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {() => any} current
 */
export function conversationDetails(store, deeds, current) {
  const title = element('input', { type: 'text', maxlength: 200, required: '', dir: 'auto', testid: 'details-title' });
  const picture = element('input', { type: 'url', maxlength: 2000, placeholder: 'https://…', testid: 'details-picture' });
  const history = element('select', { testid: 'details-history' },
    element('option', { value: 'all' }, 'everything'),
    element('option', { value: 'joined' }, 'what comes after they joined'));
  const save = element('button', { type: 'submit', class: 'primary', testid: 'save-details' }, 'Save');
  const field = (name, input) => element('label', { class: 'field' }, name, input);
  const form = element('form', { class: 'fields', onsubmit: submit }, field('Name', title),
    field('Picture', picture), field('Who joins later may read', history), element('div', { class: 'row' }, save));
  const members = element('ul', { class: 'members', testid: 'members', 'aria-label': 'Members' });
  const heading = element('h3', {});
  const picker = peoplePicker(store, deeds, { changed: () => showAdd(), without: present, prefix: 'add-' });
  const add = element('button', { type: 'button', class: 'primary', testid: 'add-members', onclick: addChosen }, 'Add');
  const adding = element('details', { class: 'adding', ontoggle: () => adding.open && picker.reset() },
    element('summary', { testid: 'add-people' }, 'Add people'), picker.root, element('div', { class: 'row' }, add));
  const frame = dialog('Members and settings', 'details-dialog', form, heading, members, adding);

  let everybody = null; // of a group of which a conversation lists the first only

  function show() {
    const conversation = current();
    title.value = conversation.title ?? '';
    picture.value = conversation.avatar_url ?? '';
    history.value = conversation.rule;
    adding.open = false;
    everybody = null;
    render(conversation);
    frame.show();
  }

  function render(conversation) {
    const may = store.moderates(conversation);
    for (const input of [title, picture, history]) input.disabled = !may;
    save.hidden = !may;
    adding.hidden = !may;
    text(heading, `${conversation.participant_count} members`);
    if (conversation.participants.length >= conversation.participant_count) everybody = null;
    else if (everybody?.count !== conversation.participant_count) readEverybody(conversation);
    const listed = everybody?.found ?? conversation.participants;
    keyed(members, listed, { key: ({ employee }) => String(employee.id), make, update });
  }

  async function readEverybody(conversation) {
    const asked = { id: conversation.id, count: conversation.participant_count, found: null };
    everybody = asked;
    const found = await store.everybodyIn(conversation.id).catch(() => null);
    if (everybody !== asked || current()?.id !== asked.id || !found) return;
    asked.found = found;
    render(current());
  }

  function make({ employee }) {
    const role = element('select', {
      'data-part': 'role', testid: 'role', 'aria-label': `Role of ${employee.name}`,
      onchange: async () => {
        await frame.attempt(() => deeds.setRole(current(), employee.id, role.value));
        const now = current()?.participants.find((one) => one.employee.id === employee.id);
        if (now) role.value = now.role; // as it is, also when that was refused
      },
    }, ...Object.entries(ROLES).map(([value, name]) => element('option', { value }, name)));
    return element('li', { testid: 'member', 'data-employee-id': employee.id },
      element('span', { class: 'portrait' }, avatar(employee.name, employee.id, employee.avatar_url),
        element('span', { class: 'dot', 'data-part': 'dot', role: 'img' })),
      element('span', { class: 'person-name', dir: 'auto' }, employee.name), role,
      element('button', {
        type: 'button', class: 'close', 'data-part': 'remove', testid: 'remove-member',
        'aria-label': `Remove ${employee.name}`, title: `Remove ${employee.name}`,
        onclick: () => frame.attempt(() => deeds.remove(current(), employee.id)),
      }, '×'));
  }

  function update(node, { employee, role }) {
    const mine = store.role(current());
    const select = part(node, 'role');
    select.disabled = mine !== 'owner';
    if (document.activeElement !== select) select.value = role;
    const isMe = employee.id === store.me?.id;
    part(node, 'remove').hidden = isMe || mine === 'member' || (role === 'owner' && mine !== 'owner');
    const status = store.people.status(employee.id);
    attribute(part(node, 'dot'), 'data-status', status);
    attribute(part(node, 'dot'), 'aria-label', STATUSES[status]);
  }

  async function submit(event) {
    event.preventDefault();
    const conversation = current();
    const given = { title: title.value.trim(), avatar_url: picture.value.trim(), history: history.value };
    const now = { title: conversation.title, avatar_url: conversation.avatar_url ?? '', history: conversation.rule };
    const changed = Object.fromEntries(Object.entries(given).filter(([name, value]) => now[name] !== value));
    if (!Object.keys(changed).length || await frame.attempt(() => deeds.update(conversation, changed))) frame.close();
  }

  function present() {
    return new Set(current()?.participants.map(({ employee }) => employee.id));
  }

  async function addChosen() {
    const ids = [...picker.chosen];
    if (await frame.attempt(() => deeds.add(current(), ids))) await picker.reset();
  }

  function showAdd() {
    const { size } = picker.chosen;
    add.disabled = size === 0;
    text(add, size ? `Add ${size}` : 'Add');
  }

  return { root: frame.root, show, render: (conversation) => frame.root.open && render(conversation) };
}
