// Uploads a file: declared over the socket, its bytes over HTTP.
//
// client.js ─▶ upload ─▶ attachment.create, then the PUT that its reply describes. It uses
// XMLHttpRequest because fetch does not report the progress of an upload.

import { describeFile } from './file_description.js';
import { GatewayError } from './requests.js';

const TRIES = 4;
const PAUSE_MS = 500;
const EXISTS = 412; // the storage overwrites nothing
const UNDER_WAY = ['file.upload_running', 'file.too_many_uploads'];
const WAITS = 15; // 30 s for another upload's end; a server gives a broken one up after 10 s

/**
 * @typedef {object} Uploading
 * @property {(sent: number, size: number) => void} [onProgress] in bytes
 * @property {AbortSignal} [signal] aborts it
 */

/**
 * @param {import('./client.js').Gateway} gateway
 * @param {string | URL} base the address that a path in a link belongs to
 * @param {number} conversationId
 * @param {File} file
 * @param {Uploading} options
 * @returns {Promise<import('./protocol.js').Attachment>} to be named in message.send
 */
export async function upload(gateway, base, conversationId, file, { onProgress = () => {}, signal } = {}) {
  const description = describeFile(file);
  const fields = { conversation_id: conversationId, ...description };
  const declared = await withRetries(() => gateway.request('attachment.create', fields), signal);
  const url = new URL(declared.upload.url, base);
  let tries = 0;
  await withRetries(async () => {
    tries += 1;
    try {
      await send(url, declared.upload, file, onProgress, signal);
    } catch (error) {
      // The attempt before stored it, and only its response was lost.
      if (error.status !== EXISTS || tries === 1) throw error;
    }
  }, signal);
  onProgress(file.size, file.size);
  return { attachment_id: declared.attachment_id, ...description };
}

/** Try again after a temporary failure: a broken connection, a busy gateway, an upload under way. */
async function withRetries(work, signal) {
  let tries = 1;
  let waits = 0;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const wait = retryDelay(error, tries);
      if (wait === null) throw error;
      if (UNDER_WAY.includes(error.code)) waits += 1;
      else tries += 1;
      if (tries > TRIES || waits > WAITS) throw error;
      await pause(wait, signal);
    }
  }
}

function retryDelay(error, tries) {
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
    const abort = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => onProgress(Math.min(loaded, file.size), file.size);
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = () => reject(uploadLost());
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal?.removeEventListener('abort', abort);
    signal?.addEventListener('abort', abort);
    request.send(file);
  });
}

/** The error for a failed upload: the gateway's own, or one for a storage that answers in XML. */
function refusal({ status, responseText }) {
  let refused = null;
  try {
    refused = JSON.parse(responseText).error;
  } catch {
    // XML, from an S3 bucket
  }
  const retryAfter = status >= 500 ? 1 : null;
  const error = new GatewayError(refused?.code ? refused : {
    code: 'upload.refused', message: `The storage refused the file (${status}).`, retry_after: retryAfter,
  });
  return Object.assign(error, { status });
}

function uploadLost() {
  return new GatewayError({ code: 'upload.lost', message: 'The upload was interrupted.' });
}
