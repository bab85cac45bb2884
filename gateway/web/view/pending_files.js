// Files that wait to be sent: the paper clip, choosing, dropping and pasting, and how far each has come.

import { formatSize } from '../state/file_kinds.js';
import { attribute, element, keyed, part, text } from './elements.js';
import { icon } from './icons.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {{place: () => string, conversation: () => any, focus: () => void, prefix?: string}} actions
 */
export function fileTray(store, { place, conversation, focus, prefix = '' }) {
  const { tray } = store;
  const choice = element('input', { type: 'file', multiple: '', hidden: '', testid: `${prefix}file-input`, onchange: chosen });
  const clip = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'Attach files', testid: `${prefix}attach`, onclick: () => choice.click(),
  }, icon('attachment'));
  const items = element('ul', { class: 'chosen', 'aria-label': 'Files to be sent', testid: `${prefix}chosen` });
  const problem = element('p', { class: 'error', role: 'alert', testid: `${prefix}file-problem` });
  const root = element('div', { class: 'tray' }, items, problem);

  function chosen() {
    add([...choice.files]);
    choice.value = ''; // the same file may be chosen again
    focus();
  }

  /** Take these, as far as they are allowed; the others are named. */
  function add(files) {
    if (!files.length || !isOpen()) return;
    text(problem, tray.add(place(), conversation().id, files).join(' '));
  }

  /** Files are taken here, now. */
  function isOpen() {
    return Boolean(tray.limits && conversation() && !conversation().closed_at);
  }

  /** Pictures from the clipboard; text that brings its own picture along stays text. */
  function pasted(event) {
    const { files, types } = event.clipboardData;
    if (!files.length || types.includes('text/plain') || !isOpen()) return;
    event.preventDefault();
    add([...files]);
  }

  /** All of them, for a message; null when they cannot be sent yet, and why is said. */
  function take() {
    const waiting = tray.of(place());
    const failed = waiting.some(({ state }) => state === 'failed');
    const ready = waiting.every(({ state }) => state === 'ready');
    if (failed) text(problem, 'Retry or remove what could not be uploaded.');
    else text(problem, ready ? '' : 'Not sent yet: files are still being uploaded.');
    return ready ? tray.take(place()) : null;
  }

  function render() {
    const { limits } = tray;
    clip.hidden = !limits;
    if (limits) {
      attribute(clip, 'title', `Attach files: at most ${limits.per_message}, of ${formatSize(limits.max_bytes)} each`);
    }
    const waiting = conversation() ? tray.of(place()) : [];
    if (waiting.every(({ state }) => state === 'ready') && problem.textContent.startsWith('Not sent yet')) text(problem, '');
    keyed(items, waiting, { key: ({ id }) => String(id), make, update });
    items.hidden = !waiting.length;
  }

  function make(one) {
    const picture = one.preview ? element('img', { src: one.preview, alt: '' }) : icon('file');
    const button = (name, testid, act, sign) => element('button', {
      type: 'button', class: sign ? 'close' : 'link', 'aria-label': `${name} ${one.name}`, testid, onclick: act,
    }, sign ?? name);
    const again = button('Retry', 'retry-file', () => tray.retry(place(), one.id));
    attribute(again, 'data-part', 'retry');
    return element('li', { testid: 'chosen-file' }, element('span', { class: 'preview', 'aria-hidden': 'true' }, picture),
      element('span', { class: 'file-text' },
        element('bdi', { class: 'file-name', title: one.name }, one.name),
        element('span', { class: 'muted', 'data-part': 'state' }),
        element('progress', { max: one.size, 'aria-label': `Uploading ${one.name}`, 'data-part': 'progress' })),
      again, button('Remove', 'remove-file', () => remove(one), '×'));
  }

  function update(node, { state, size, sent, error }) {
    const said = { waiting: 'Waiting', uploading: `${formatSize(sent)} of ${formatSize(size)}`, ready: formatSize(size), failed: error };
    text(part(node, 'state'), said[state]);
    attribute(node, 'data-state', state);
    part(node, 'retry').hidden = state !== 'failed';
    part(node, 'progress').hidden = !['waiting', 'uploading'].includes(state);
    if (state !== 'failed') part(node, 'progress').value = sent;
  }

  /** The focus goes on to the next one, or to where one writes. */
  function remove({ id }) {
    const at = tray.of(place()).findIndex((one) => one.id === id);
    tray.remove(place(), id);
    text(problem, '');
    render();
    const next = items.children[Math.min(at, items.children.length - 1)];
    if (next) next.querySelector('.close').focus();
    else focus();
  }

  function isEmpty() {
    return !tray.of(place()).length;
  }

  return { root, clip, choice, add, isOpen, pasted, take, render, isEmpty, clear: () => text(problem, '') };
}
