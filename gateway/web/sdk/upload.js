// Bringing a file to where the gateway keeps them: declared over the socket, its bytes over HTTP.
//
// client.js ─▶ upload ─▶ attachment.create, then the PUT that its reply describes. XMLHttpRequest,
// because fetch does not say how far an upload has come.

import { describeFile } from './file_description.js';
import { GatewayError } from './requests.js';

const TRIES = 4;
const PAUSE_MS = 500;
const EXISTS = 412; // nothing is overwritten

/**
 * @typedef {object} Uploading
 * @property {(sent: number, size: number) => void} [onProgress] in bytes
 * @property {AbortSignal} [signal] gives it up
 */

/**
 * @param {import('./client.js').Gateway} gateway
 * @param {string | URL} base what a path in a link belongs to
 * @param {number} conversationId
 * @param {File} file
 * @param {Uploading} options
 * @returns {Promise<import('./protocol.js').Attachment>} to be named in message.send
 */
export async function upload(gateway, base, conversationId, file, { onProgress = () => {}, signal } = {}) {
  const said = describeFile(file);
  const fields = { conversation_id: conversationId, ...said };
  const made = await withRetries(() => gateway.request('attachment.create', fields), signal);
  const url = new URL(made.upload.url, base);
  let tries = 0;
  await withRetries(async () => {
    tries += 1;
    try {
      await send(url, made.upload, file, onProgress, signal);
    } catch (error) {
      // Brought by the try before, of which only the answer was lost.
      if (error.status !== EXISTS || tries === 1) throw error;
    }
  }, signal);
  onProgress(file.size, file.size);
  return { attachment_id: made.attachment_id, ...said };
}

/** Do it again after what passes: a broken connection, a busy gateway. */
async function withRetries(work, signal) {
  for (let tries = 1; ; tries += 1) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const wait = waitFor(error, tries);
      if (wait === null || tries === TRIES) throw error;
      await pause(wait, signal);
    }
  }
}

function waitFor(error, tries) {
  if (!(error instanceof GatewayError)) return null;
  if (error.retryAfter !== null) return error.retryAfter * 1000 + Math.random() * 250;
  return ['upload.lost', 'connection.lost'].includes(error.code) ? PAUSE_MS * 2 ** tries : null;
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

function send(url, { method, headers }, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const give = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => onProgress(Math.min(loaded, file.size), file.size);
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = () => reject(lost());
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal?.removeEventListener('abort', give);
    signal?.addEventListener('abort', give);
    request.send(file);
  });
}

/** What the gateway says, or a storage that speaks another language. */
function refusal({ status, responseText }) {
  let said = null;
  try {
    said = JSON.parse(responseText).error;
  } catch {
    // XML, of an S3
  }
  const passing = status >= 500 ? 1 : null;
  const error = new GatewayError(said?.code ? said : {
    code: 'upload.refused', message: `The storage refused the file (${status}).`, retry_after: passing,
  });
  return Object.assign(error, { status });
}

function lost() {
  return new GatewayError({ code: 'upload.lost', message: 'The upload was interrupted.' });
}
