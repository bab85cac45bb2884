// Icons as SVG: fonts differ in the symbols that they have.

const SVG = 'http://www.w3.org/2000/svg';
const SHAPES = {
  clock: 'M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M8 4.5V8l2.5 1.8',
  pinned: 'M10 1.5l4.5 4.5l-2.2.6l-2.6 2.6l-.4 3.1l-5.6-5.6l3.1-.4l2.6-2.6zM6.4 9.6L2 14',
  muted: 'M2 2l12 12M5 5v4l-1.5 2.5h8M7 13.5h2M6.5 3.4A3 3 0 0 1 11 6v3',
  closed: 'M3.5 7.5h9v6.5h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5',
  attachment: 'M13 7.3l-5.2 5.2a3 3 0 0 1-4.3-4.3l5.7-5.7a2 2 0 0 1 2.9 2.9l-5.6 5.6a1 1 0 0 1-1.5-1.4l5-5',
  file: 'M4 1.5h5.5l3 3v10H4zM9.5 1.5v3h3',
  download: 'M8 2v8M4.8 7L8 10.2L11.2 7M2.5 13.5h11',
  archived: 'M2 3h12v3h-12zM3 6v7.5h10V6M6.5 9h3',
};

/** @param {keyof typeof SHAPES} name */
export function icon(name) {
  const made = document.createElementNS(SVG, 'svg');
  const shape = document.createElementNS(SVG, 'path');
  shape.setAttribute('d', SHAPES[name]);
  made.setAttribute('viewBox', '0 0 16 16');
  made.setAttribute('class', 'icon-shape');
  made.setAttribute('aria-hidden', 'true');
  made.append(shape);
  return made;
}

/** Show these icons with a label for screen readers. */
export function showIcons(node, names) {
  const shown = names.join(', ');
  if (node.dataset.shown === shown) return;
  node.dataset.shown = shown;
  node.replaceChildren(...names.map(icon));
  node.hidden = names.length === 0;
  node.setAttribute('aria-label', shown);
  node.setAttribute('title', shown);
}
