// Files as the page shows them: label, size, whether shown in place, and why one cannot be sent.

import { describeFile } from '../sdk/client.js';

const UNKNOWN_TYPE = 'application/octet-stream';
const INLINE_TYPES = new Set([
  'image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp',
]);
const MAX_INLINE_BYTES = 8 * 1024 * 1024; // larger pictures are offered as downloads

/** @param {import('../sdk/protocol.js').Attachment} file */
export function isInlineImage({ content_type, size }) {
  return INLINE_TYPES.has(content_type) && size <= MAX_INLINE_BYTES;
}

/**
 * Why the gateway would refuse this file, as a text for people; '' when it would not.
 * @param {File} file
 * @param {import('../sdk/protocol.js').FileLimits} limits
 */
export function uploadProblem(file, { max_bytes, types }) {
  const { name, content_type: type, size } = describeFile(file);
  if (size === 0) return `“${name}” is empty.`;
  if (size > max_bytes) return `“${name}” is too large. The limit is ${formatSize(max_bytes)}.`;
  return types.some((pattern) => matches(pattern, type)) ? '' : `“${name}”: this type of file is not allowed.`;
}

/** `812 B`, `48 KB`, `1.4 MB` */
export function formatSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes / 1024, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value < 9.95 && unit ? Number(value.toFixed(1)) : Math.round(value)} ${units[unit]}`;
}

/** `PDF`, `XLSX`; without an extension the subtype of its content type; `File` when unknown. */
export function typeLabel({ name, content_type: type }) {
  const extension = name.includes('.', 1) ? name.split('.').at(-1).toUpperCase().trim() : '';
  if (/^[A-Z0-9]{1,5}$/.test(extension)) return extension;
  return type === UNKNOWN_TYPE ? 'File' : type.split('/')[1].toUpperCase().slice(0, 12);
}

/** Whether a type matches `image/*`: a star stands for anything, as on the gateway. */
function matches(pattern, type) {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(type);
}
