// Dropped files: accepted by drop zones; elsewhere the browser must not open them.

import { setAttribute } from './elements.js';

/**
 * Accept dropped files on a part of the page.
 * @param {HTMLElement} node
 * @param {{isOpen: () => boolean, add: (files: File[]) => void}} target
 */
export function dropZone(node, target) {
  let depth = 0; // the event of entering a child comes before that of leaving its parent
  const show = () => setAttribute(node, 'data-dropping', depth > 0 ? 'true' : null);
  const isAccepted = (event) => hasFiles(event) && target.isOpen();
  node.addEventListener('dragenter', (event) => {
    if (!isAccepted(event)) return;
    depth += 1;
    show();
  });
  node.addEventListener('dragleave', (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  node.addEventListener('dragover', (event) => {
    if (!isAccepted(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = 'copy';
  });
  node.addEventListener('drop', (event) => {
    depth = 0;
    show();
    if (!isAccepted(event)) return;
    event.preventDefault();
    target.add(filesOf(event.dataTransfer));
  });
}

/** Outside drop zones, keep the browser from replacing the page by the file. */
export function preventFileNavigation() {
  window.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'none';
  });
  window.addEventListener('drop', (event) => hasFiles(event) && event.preventDefault());
}

function hasFiles({ dataTransfer }) {
  return dataTransfer.types.includes('Files');
}

/** The files without folders, which look like files that cannot be read. */
function filesOf({ items, files }) {
  const entries = [...items].filter(({ kind }) => kind === 'file').map((item) => item.webkitGetAsEntry?.());
  return [...files].filter((_, index) => !entries[index]?.isDirectory);
}
