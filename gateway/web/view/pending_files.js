// Files that will be sent with a message: choosing, dropping, pasting, and upload progress.

import { formatSize } from '../state/file_kinds.js';
import { setAttribute, element, updateList, part, setText } from './elements.js';
import { icon } from './icons.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {{composerKey: () => string, conversation: () => any, focus: () => void, prefix?: string}} handlers
 */
export function pendingFilesBar(store, { composerKey, conversation, focus, prefix = '' }) {
  const { pendingFiles } = store;
  const choice = element('input', { type: 'file', multiple: '', hidden: '', testid: `${prefix}file-input`, onchange: onChoose });
  const clip = element('button', {
    type: 'button', class: 'icon', 'aria-label': 'Attach files', testid: `${prefix}attach`, onclick: () => choice.click(),
  }, icon('attachment'));
  const items = element('ul', { class: 'chosen', 'aria-label': 'Files to be sent', testid: `${prefix}chosen` });
  const problem = element('p', { class: 'error', role: 'alert', testid: `${prefix}file-problem` });
  const root = element('div', { class: 'pending-files' }, items, problem);

  function onChoose() {
    add([...choice.files]);
    choice.value = ''; // allows choosing the same file again
    focus();
  }

  /** Add the files that are allowed; show why the others are not. */
  function add(files) {
    if (!files.length || !isOpen()) return;
    setText(problem, pendingFiles.add(composerKey(), conversation().id, files).join(' '));
  }

  /** Whether files can be added now. */
  function isOpen() {
    return Boolean(pendingFiles.limits && conversation() && !conversation().closed_at);
  }

  /** Paste pictures; text that has a picture of itself beside it is pasted as text. */
  function onPaste(event) {
    const { files, types } = event.clipboardData;
    if (!files.length || types.includes('text/plain') || !isOpen()) return;
    event.preventDefault();
    add([...files]);
  }

  /** Take all files for a message; null when they are not uploaded: the reason is shown. */
  function takeAttachments() {
    const waiting = pendingFiles.get(composerKey());
    const failed = waiting.some(({ state }) => state === 'failed');
    const ready = waiting.every(({ state }) => state === 'ready');
    if (failed) setText(problem, 'Some files could not be uploaded. Retry or remove them.');
    else setText(problem, ready ? '' : 'Not sent yet: files are being uploaded.');
    return ready ? pendingFiles.takeAttachments(composerKey()) : null;
  }

  function render() {
    const { limits } = pendingFiles;
    clip.hidden = !limits;
    if (limits) {
      setAttribute(clip, 'title', `Attach files (at most ${limits.per_message}, ${formatSize(limits.max_bytes)} each)`);
    }
    const waiting = conversation() ? pendingFiles.get(composerKey()) : [];
    if (waiting.every(({ state }) => state === 'ready') && problem.textContent.startsWith('Not sent yet')) setText(problem, '');
    updateList(items, waiting, { key: ({ id }) => String(id), make, update });
    items.hidden = !waiting.length;
  }

  function make(one) {
    const picture = one.preview ? element('img', { src: one.preview, alt: '' }) : icon('file');
    const button = (name, testid, act, sign) => element('button', {
      type: 'button', class: sign ? 'close' : 'link', 'aria-label': `${name} ${one.name}`, testid, onclick: act,
    }, sign ?? name);
    const again = button('Retry', 'retry-file', () => pendingFiles.retry(composerKey(), one.id));
    setAttribute(again, 'data-part', 'retry');
    return element('li', { testid: 'chosen-file' }, element('span', { class: 'preview', 'aria-hidden': 'true' }, picture),
      element('span', { class: 'file-text' },
        element('bdi', { class: 'file-name', title: one.name }, one.name),
        element('span', { class: 'muted', 'data-part': 'state' }),
        element('progress', { max: one.size, 'aria-label': `Uploading ${one.name}`, 'data-part': 'progress' })),
      again, button('Remove', 'remove-file', () => remove(one), '×'));
  }

  function update(node, { state, size, sent, error }) {
    const texts = { waiting: 'Waiting', uploading: `${formatSize(sent)} of ${formatSize(size)}`, ready: formatSize(size), failed: error };
    setText(part(node, 'state'), texts[state]);
    setAttribute(node, 'data-state', state);
    part(node, 'retry').hidden = state !== 'failed';
    part(node, 'progress').hidden = !['waiting', 'uploading'].includes(state);
    if (state !== 'failed') part(node, 'progress').value = sent;
  }

  /** Remove a file; the focus moves to the next one, or to the input. */
  function remove({ id }) {
    const at = pendingFiles.get(composerKey()).findIndex((one) => one.id === id);
    pendingFiles.remove(composerKey(), id);
    setText(problem, '');
    render();
    const next = items.children[Math.min(at, items.children.length - 1)];
    if (next) next.querySelector('.close').focus();
    else focus();
  }

  function isEmpty() {
    return !pendingFiles.get(composerKey()).length;
  }

  return { root, clip, choice, add, isOpen, onPaste, takeAttachments, render, isEmpty, clear: () => setText(problem, '') };
}
