// The files of a message: pictures in place, others as cards; a click opens or downloads.

import { isInlineImage, typeLabel, formatSize } from '../state/file_kinds.js';
import { setAttribute, element, updateList } from './elements.js';
import { icon } from './icons.js';

const LOAD_MARGIN = '300px';

/**
 * @param {import('../state/store.js').Store} store
 * @param {{notices: any}} ui
 */
export function messageFiles(store, { notices }) {
  const shown = new WeakMap(); // picture → its attachment
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) load(target);
  }, { rootMargin: LOAD_MARGIN });
  const viewer = pictureViewer((one) => download(one));

  /** Show these below the text; ready: they can be downloaded. */
  function show(node, attachments, ready) {
    updateList(node, attachments, {
      key: (one) => `${one.attachment_id}-${ready}`,
      make: (one) => (ready && isInlineImage(one) ? picture(one) : card(one, ready)),
      update: () => {},
    });
    node.hidden = !attachments.length;
  }

  function picture(one) {
    const image = element('img', { alt: one.name, draggable: 'false' });
    const made = element('button', {
      type: 'button', class: 'picture', testid: 'picture', title: one.name, 'aria-label': `Picture ${one.name}, ${formatSize(one.size)}`,
      onclick: () => open(one),
    }, image);
    image.addEventListener('load', () => setAttribute(made, 'data-loaded', 'true'));
    image.addEventListener('error', () => retry(made));
    shown.set(made, one);
    observer.observe(made);
    return made;
  }

  /** Load a picture when it comes into view. */
  async function load(made) {
    observer.unobserve(made);
    const { attachment_id: id } = shown.get(made);
    try {
      made.firstChild.src = (await store.fileLinks.get(id)).url;
    } catch {
      replaceByCard(made);
    }
  }

  /** The link may have expired: try a second one, then give up. */
  function retry(made) {
    store.fileLinks.invalidate(shown.get(made).attachment_id);
    if (made.dataset.again) return replaceByCard(made);
    made.dataset.again = 'true';
    return load(made);
  }

  function replaceByCard(made) {
    const instead = card(shown.get(made), true); // a person can still try to download it
    instead.dataset.key = made.dataset.key;
    made.replaceWith(instead);
  }

  function card(one, ready) {
    const made = element('button', {
      type: 'button', class: 'file-card', testid: 'file-card', disabled: !ready || null, title: `Download ${one.name}`,
      'aria-label': `Download ${one.name}, ${typeLabel(one)}, ${formatSize(one.size)}`, onclick: () => download(one),
    }, icon('file'), element('span', { class: 'file-text' },
      element('bdi', { class: 'file-name' }, one.name),
      element('span', { class: 'muted' }, `${typeLabel(one)} · ${formatSize(one.size)}`)), icon('download'));
    return made;
  }

  async function open(one) {
    const link = await notices.attempt(() => store.fileLinks.get(one.attachment_id));
    if (link) viewer.show(one, link.url);
  }

  async function download(one) {
    const link = await notices.attempt(() => store.fileLinks.get(one.attachment_id));
    if (!link) return;
    // Browsers ignore `download` for other origins: then it opens in a new tab.
    element('a', { href: link.url, download: one.name, target: '_blank', rel: 'noopener noreferrer' }).click();
  }

  return { show, root: viewer.root };
}

/** The dialog that shows one picture as large as the window. */
function pictureViewer(download) {
  let shown = null;
  const image = element('img', { alt: '', testid: 'large-picture' });
  const name = element('bdi', { class: 'file-name' });
  const close = element('button', {
    type: 'button', class: 'close', 'aria-label': 'Close', testid: 'close-picture', onclick: () => root.close(),
  }, '×');
  const save = element('button', { type: 'button', testid: 'download', onclick: () => download(shown) }, 'Download');
  const root = element('dialog', { class: 'viewer', 'aria-label': 'Picture', testid: 'viewer', onclick: outside },
    element('div', { class: 'dialog-head' }, name, save, close), image);
  root.addEventListener('close', () => image.removeAttribute('src'));

  function outside({ target }) {
    if (target === root) root.close();
  }

  function show(one, url) {
    shown = one;
    name.textContent = one.name;
    setAttribute(image, 'alt', one.name);
    setAttribute(image, 'src', url);
    root.showModal();
  }

  return { root, show };
}
