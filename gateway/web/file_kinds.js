// What a file is called, what type it is, and whether the gateway takes it.

// Systems differ in these, or know no type at all: Windows says that a CSV is Excel's.
const TYPES = {
  csv: 'text/csv', txt: 'text/plain', log: 'text/plain', md: 'text/plain', ics: 'text/calendar',
  vcf: 'text/vcard', json: 'application/json', zip: 'application/zip', pdf: 'application/pdf',
  rtf: 'application/rtf', heic: 'image/heic', avif: 'image/avif', opus: 'audio/ogg', m4a: 'audio/mp4',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  odt: 'application/vnd.oasis.opendocument.text', ods: 'application/vnd.oasis.opendocument.spreadsheet',
};
const UNKNOWN = 'application/octet-stream';
const MAX_NAME_BYTES = 255;
// Control characters, separators of paths and lines, and what turns the direction of writing.
const UNWANTED = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}/\\\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu;

/** Pictures that a page may show in place, up to a size that nobody minds to load. */
const SHOWN = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp']);
const SHOWN_BYTES = 8 * 1024 * 1024;

/** As attachment.create wants it. */
export function described(file) {
  return { name: nameOf(file), content_type: typeOf(file), size: file.size };
}

/** @param {import('./protocol.js').Attachment} file */
export function isShown({ content_type, size }) {
  return SHOWN.has(content_type) && size <= SHOWN_BYTES;
}

/** Why this file cannot be sent, in words; '' when it can. */
export function problemOf(file, { max_bytes, types }) {
  const { name, content_type: type, size } = described(file);
  if (size === 0) return `“${name}” is empty.`;
  if (size > max_bytes) return `“${name}” is too large: at most ${sized(max_bytes)} are taken.`;
  return types.some((pattern) => matches(pattern, type)) ? '' : `Files like “${name}” are not taken here.`;
}

/** `812 B`, `48 KB`, `1.4 MB` */
export function sized(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes / 1024, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value < 9.95 && unit ? Number(value.toFixed(1)) : Math.round(value)} ${units[unit]}`;
}

/** `PDF`, `XLSX`, or what its type says. */
export function kindOf({ name, content_type: type }) {
  const ending = extension(name);
  if (/^[a-z0-9]{1,5}$/.test(ending)) return ending.toUpperCase();
  return type === UNKNOWN ? 'File' : type.split('/')[1].toUpperCase().slice(0, 12);
}

function nameOf({ name }) {
  const clean = name.replace(UNWANTED, '').trim();
  const ending = extension(clean) ? `.${clean.split('.').at(-1)}` : '';
  const letters = [...clean.slice(0, clean.length - ending.length)];
  const bytes = (text) => new TextEncoder().encode(text).length;
  while (letters.length && bytes(letters.join('') + ending) > MAX_NAME_BYTES) letters.pop();
  const short = `${letters.join('').trim()}${ending}`.trim();
  return ['', '.', '..'].includes(short) || bytes(short) > MAX_NAME_BYTES ? 'file' : short;
}

function typeOf({ name, type }) {
  const said = type.split(';')[0].trim().toLowerCase();
  return TYPES[extension(name)] ?? (/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(said) ? said : UNKNOWN);
}

function extension(name) {
  const at = name.lastIndexOf('.');
  return at > 0 ? name.slice(at + 1).toLowerCase().trim() : '';
}

/** `image/*`; a star stands for anything, as on the gateway. */
function matches(pattern, type) {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(type);
}
