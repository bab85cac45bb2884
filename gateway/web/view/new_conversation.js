// The dialog that starts a conversation: one person makes it direct, several make a group.

import { attribute, element, text } from './elements.js';
import { peoplePicker } from './people_picker.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {(conversationId: number) => void} started
 */
export function startDialog(store, deeds, started) {
  const picker = peoplePicker(store, deeds, { changed: showChoice });
  const title = element('input', {
    type: 'text', maxlength: 200, placeholder: 'Name of the group', 'aria-label': 'Name of the group',
    testid: 'group-title', dir: 'auto', oninput: showChoice,
  });
  const error = element('p', { class: 'error', role: 'alert' });
  const go = element('button', { type: 'submit', class: 'primary', testid: 'start-conversation' }, 'Start');
  const cancel = element(
    'button', { type: 'button', class: 'link', onclick: () => root.close() }, 'Cancel',
  );
  const form = element('form', { method: 'dialog', onsubmit: submit }, picker.root, title, error,
    element('div', { class: 'row' }, cancel, go));
  const root = element('dialog', { class: 'start', 'aria-label': 'New conversation' },
    element('h2', {}, 'New conversation'), form);

  async function show() {
    title.value = '';
    text(error, '');
    root.showModal();
    await picker.reset();
  }

  async function submit(event) {
    event.preventDefault();
    const ids = [...picker.chosen];
    go.disabled = true;
    try {
      const made = ids.length === 1 ? deeds.open(ids[0]) : deeds.create(title.value.trim(), ids);
      const conversation = await made;
      root.close();
      started(conversation.id);
    } catch (problem) {
      text(error, problem.message);
    } finally {
      showChoice();
    }
  }

  function showChoice() {
    const { size } = picker.chosen;
    const group = size > 1;
    title.hidden = !group;
    attribute(title, 'required', group ? '' : null);
    go.disabled = size === 0 || (group && !title.value.trim());
    text(go, group ? `Create a group of ${size + 1}` : 'Start');
  }

  return { root, show, render: () => root.open && picker.render() };
}
