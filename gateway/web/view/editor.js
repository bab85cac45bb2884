// Writing one's own message anew, where it stands: Enter saves, Escape leaves it as it was.

import { completion } from './completion.js';
import { attribute, element, part } from './elements.js';

const MAX_TEXT = 8_000;

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{conversation: () => any, notices: any, done: () => void}} actions
 */
export function editor(store, deeds, { conversation, notices, done }) {
  let line = null;
  let before = '';
  const input = element('textarea', {
    rows: 1, maxlength: MAX_TEXT, dir: 'auto', 'aria-label': 'Edit the message', testid: 'editor',
    oninput: grow, onkeydown: pressed,
  });
  const mentions = completion(store, input, conversation);
  const cancel = element('button', { type: 'button', class: 'link', testid: 'cancel-edit', onclick: close }, 'Cancel');
  const save = element('button', { type: 'submit', class: 'link', testid: 'save-edit' }, 'Save');
  const form = element('form', { class: 'editor', onsubmit: submit }, input, mentions.root,
    element('p', { class: 'row' }, cancel, save));

  function open(node, message) {
    close();
    line = node;
    before = store.words.forWriting(message.text);
    input.value = before;
    attribute(node, 'data-editing', 'true');
    part(node, 'bubble').append(form);
    form.dataset.seq = String(message.seq);
    form.message = message;
    grow();
    input.focus();
    input.setSelectionRange(before.length, before.length);
  }

  function close() {
    if (!line) return;
    attribute(line, 'data-editing', null);
    line = null;
    form.remove();
    done();
  }

  function pressed(event) {
    if (mentions.pressed(event)) return;
    if (event.key === 'Escape') close();
    else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async function submit(event) {
    event.preventDefault();
    const written = input.value.trim();
    if (!written || written === before) return close();
    const { message } = form;
    const wire = store.words.forSending(written, mentions.people());
    if (await notices.attempt(async () => (await deeds.edit(message, wire), true))) close();
  }

  function grow() {
    input.rows = Math.min(8, input.value.split('\n').length);
    mentions.written();
  }

  return { open, close };
}
