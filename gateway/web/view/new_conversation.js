// The dialog for a new conversation: direct with one person, a group with several.

import { setAttribute, element, setText } from './elements.js';
import { peoplePicker } from './people_picker.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {(conversationId: number) => void} started
 */
export function newConversationDialog(store, actions, started) {
  const picker = peoplePicker(store, actions, { changed: showChoice });
  const title = element('input', {
    type: 'text', maxlength: 200, placeholder: 'Group name', 'aria-label': 'Group name',
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
    setText(error, '');
    root.showModal();
    await picker.reset();
  }

  async function submit(event) {
    event.preventDefault();
    const ids = [...picker.chosen];
    go.disabled = true;
    try {
      const made = ids.length === 1 ? actions.open(ids[0]) : actions.create(title.value.trim(), ids);
      const conversation = await made;
      root.close();
      started(conversation.id);
    } catch (problem) {
      setText(error, problem.message);
    } finally {
      showChoice();
    }
  }

  function showChoice() {
    const { size } = picker.chosen;
    const group = size > 1;
    title.hidden = !group;
    setAttribute(title, 'required', group ? '' : null);
    go.disabled = size === 0 || (group && !title.value.trim());
    setText(go, group ? `Create group (${size + 1} members)` : 'Start');
  }

  return { root, show, render: () => root.open && picker.render() };
}
