// The files of a message: pictures in place, everything else as a card; a click opens or downloads.

import { isInlineImage, typeLabel, formatSize } from '../state/file_kinds.js';
import { attribute, element, keyed } from './elements.js';
import { icon } from './icons.js';

const NEAR = '300px';

/**
 * @param {import('../state/store.js').Store} store
 * @param {{notices: any}} ui
 */
export function messageFiles(store, { notices }) {
  const shown = new WeakMap(); // picture → its attachment
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) load(target);
  }, { rootMargin: NEAR });
  const viewer = pictureViewer((one) => download(one));

  /** Show these below the text; `ready` once they can be read. */
  function show(node, attachments, ready) {
    keyed(node, attachments, {
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
    image.addEventListener('load', () => attribute(made, 'data-loaded', 'true'));
    image.addEventListener('error', () => again(made));
    shown.set(made, one);
    near.observe(made);
    return made;
  }

  /** Ask for it only when it comes into sight. */
  async function load(made) {
    near.unobserve(made);
    const { attachment_id: id } = shown.get(made);
    try {
      made.firstChild.src = (await store.links.of(id)).url;
    } catch {
      lost(made);
    }
  }

  /** The link may have ended meanwhile: a second one, and no third. */
  function again(made) {
    store.links.drop(shown.get(made).attachment_id);
    if (made.dataset.again) return lost(made);
    made.dataset.again = 'true';
    return load(made);
  }

  function lost(made) {
    const instead = card(shown.get(made), true); // to be tried by hand
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
    const link = await notices.attempt(() => store.links.of(one.attachment_id));
    if (link) viewer.show(one, link.url);
  }

  async function download(one) {
    const link = await notices.attempt(() => store.links.of(one.attachment_id));
    if (!link) return;
    // Of another origin `download` is not heeded: then it opens beside the page, not in its place.
    element('a', { href: link.url, download: one.name, target: '_blank', rel: 'noopener noreferrer' }).click();
  }

  return { show, root: viewer.root };
}

/** One picture as large as the window. */
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
    attribute(image, 'alt', one.name);
    attribute(image, 'src', url);
    root.showModal();
  }

  return { root, show };
}
