// Files that are dropped: taken where they may be, and nowhere opened in place of the page.

import { attribute } from './elements.js';

/**
 * Let files be dropped on a part of the page.
 * @param {HTMLElement} node
 * @param {{isOpen: () => boolean, add: (files: File[]) => void}} tray
 */
export function dropZone(node, tray) {
  let depth = 0; // entering a child comes before leaving its parent
  const show = () => attribute(node, 'data-dropping', depth > 0 ? 'true' : null);
  const wanted = (event) => hasFiles(event) && tray.isOpen();
  node.addEventListener('dragenter', (event) => {
    if (!wanted(event)) return;
    depth += 1;
    show();
  });
  node.addEventListener('dragleave', (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  node.addEventListener('dragover', (event) => {
    if (!wanted(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = 'copy';
  });
  node.addEventListener('drop', (event) => {
    depth = 0;
    show();
    if (!wanted(event)) return;
    event.preventDefault();
    tray.add(filesOf(event.dataTransfer));
  });
}

/** Elsewhere the browser would leave the page for the file. */
export function keepPage() {
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

/** A folder looks like a file that cannot be read. */
function filesOf({ items, files }) {
  const entries = [...items].filter(({ kind }) => kind === 'file').map((item) => item.webkitGetAsEntry?.());
  return [...files].filter((_, index) => !entries[index]?.isDirectory);
}
