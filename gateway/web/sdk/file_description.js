// Names and types of files in the form that attachment.create accepts.
//
// upload.js ─▶ describeFile. Also exported by client.js, for pages that check files before they upload.

// Operating systems report different types for these, or none: Windows reports CSV as Excel.
const TYPES = {
  csv: 'text/csv', txt: 'text/plain', log: 'text/plain', md: 'text/plain', ics: 'text/calendar',
  vcf: 'text/vcard', json: 'application/json', zip: 'application/zip', pdf: 'application/pdf',
  rtf: 'application/rtf', heic: 'image/heic', avif: 'image/avif', opus: 'audio/ogg', m4a: 'audio/mp4',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  odt: 'application/vnd.oasis.opendocument.text', ods: 'application/vnd.oasis.opendocument.spreadsheet',
};
const UNKNOWN_TYPE = 'application/octet-stream';
const MAX_NAME_BYTES = 255;
// Control characters, separators of paths and lines, and characters that change the text direction.
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}/\\\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu;

/**
 * The fields of attachment.create for a file: a name that the gateway accepts, type, size in bytes.
 * @param {File} file
 * @returns {{name: string, content_type: string, size: number}}
 */
export function describeFile(file) {
  return { name: cleanName(file.name), content_type: contentType(file), size: file.size };
}

/** The extension in lower case without its dot; '' when the name has none. */
function extensionOf(name) {
  const at = name.lastIndexOf('.');
  return at > 0 ? name.slice(at + 1).toLowerCase().trim() : '';
}

function cleanName(name) {
  const clean = name.replace(FORBIDDEN, '').trim();
  const extension = extensionOf(clean) ? `.${clean.split('.').at(-1)}` : '';
  const letters = [...clean.slice(0, clean.length - extension.length)];
  const bytes = (text) => new TextEncoder().encode(text).length;
  while (letters.length && bytes(letters.join('') + extension) > MAX_NAME_BYTES) letters.pop();
  const short = `${letters.join('').trim()}${extension}`.trim();
  return ['', '.', '..'].includes(short) || bytes(short) > MAX_NAME_BYTES ? 'file' : short;
}

function contentType({ name, type }) {
  const reported = type.split(';')[0].trim().toLowerCase();
  const isValid = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(reported);
  return TYPES[extensionOf(name)] ?? (isValid ? reported : UNKNOWN_TYPE);
}
