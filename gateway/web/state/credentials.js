// Who is signed in in this window: the token, the source of new ones, and the device's id.

import { newKey } from '../sdk/client.js';

const TOKEN = 'gateway.token';
const EMPLOYEE = 'gateway.employee'; // set when the demo's sign-in or the provider's session gave the token
const SOURCE = 'gateway.source'; // which of the two: 'demo' or 'provider'
const DEVICE = 'gateway.device';
const TIMEOUT_MS = 10_000;

/** Parameters of the address bar's fragment: `#token=…`. */
export function fragment() {
  return new URLSearchParams(location.hash.slice(1));
}

/**
 * Take a token out of the address: people share and bookmark addresses.
 * @returns {string | null} the token, '' when there was `#token=` with nothing after it
 */
export function takeTokenFromAddress() {
  const parameters = fragment();
  const token = parameters.get('token')?.trim();
  if (token === undefined) return null;
  parameters.delete('token');
  const rest = parameters.toString();
  history.replaceState(null, '', location.pathname + location.search + (rest ? `#${rest}` : ''));
  return token;
}

/** Whether a token would make this window somebody else's: a link may come from anybody. */
export function isOfAnother(token) {
  const mine = sessionStorage.getItem(TOKEN);
  return mine !== null && (subjectOf(token) === null || subjectOf(token) !== subjectOf(mine));
}

/** Whose token it says it is; null when it cannot be read. Only the gateway can check it. */
export function subjectOf(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return String(JSON.parse(atob(payload)).sub ?? '') || null;
  } catch {
    return null;
  }
}

export function isSignedIn() {
  return sessionStorage.getItem(TOKEN) !== null;
}

export function signIn(token, employeeId = null, source = 'demo') {
  sessionStorage.setItem(TOKEN, token);
  if (employeeId === null) return forgetSource();
  sessionStorage.setItem(EMPLOYEE, String(employeeId));
  sessionStorage.setItem(SOURCE, source);
}

export function signOut() {
  sessionStorage.removeItem(TOKEN);
  forgetSource();
}

function forgetSource() {
  sessionStorage.removeItem(EMPLOYEE);
  sessionStorage.removeItem(SOURCE);
}

/** The SDK's token source; with refresh a new token, if the one that is here came from a source of them. */
export async function token({ refresh = false } = {}) {
  const employeeId = Number(sessionStorage.getItem(EMPLOYEE));
  const source = sessionStorage.getItem(SOURCE);
  if (refresh && source === 'demo') signIn(await demoToken(employeeId), employeeId);
  if (refresh && source === 'provider') {
    const fresh = await sessionToken();
    if (fresh?.employee_id !== employeeId) throw Object.assign(new Error('The sign-in has ended.'), { code: 'token.none' });
    signIn(fresh.token, employeeId, source);
  }
  return sessionStorage.getItem(TOKEN) ?? '';
}

/**
 * The identity provider with which people sign in here; null when there is none.
 * @returns {Promise<{url: string, session: boolean} | null>} session: this browser has signed in
 */
export async function signInProvider() {
  const answer = await request('v1/sign-in/methods');
  return answer.status === 404 ? null : (await bodyOf(answer)).provider;
}

/** Sign in by the session that this browser has with the provider; false when it has none. */
export async function signInBySession() {
  const fresh = await sessionToken();
  if (fresh) signIn(fresh.token, fresh.employee_id, 'provider');
  return fresh !== null;
}

/**
 * End the session that this browser has with the provider, wherever this window's token comes from:
 * whoever signs out leaves nothing behind that signs the next window in.
 * @returns {Promise<string | null>} where the provider ends its own
 */
export async function endSession() {
  const isOurs = sessionStorage.getItem(SOURCE) === 'provider';
  if (!isOurs && !(await signInProvider().catch(() => null))?.session) return null;
  const answer = await request('v1/sign-out', { method: 'POST' });
  return answer.status === 401 ? null : (await bodyOf(answer)).url;
}

/** A token, and whose it is; null when the session has ended, or its employee may not come in. */
async function sessionToken() {
  const answer = await request('v1/sign-in/token', { method: 'POST' });
  return [401, 403, 404].includes(answer.status) ? null : bodyOf(answer);
}

/** Employees to choose from; null when the gateway has no demo sign-in. */
export async function demoEmployees() {
  const answer = await request('v1/demo/employees');
  if (answer.status === 404) return null;
  const found = await bodyOf(answer);
  return Array.isArray(found) ? found : found.employees;
}

export async function demoToken(employeeId) {
  const body = JSON.stringify({ employee_id: employeeId });
  const headers = { 'Content-Type': 'application/json' };
  return (await bodyOf(await request('v1/demo/token', { method: 'POST', body, headers }))).token;
}

/**
 * This window's id: the same across reloads, another one for each tab. A duplicated tab copies
 * the storage, so a lock holds the id for as long as the window lives.
 */
export async function deviceId() {
  const remembered = sessionStorage.getItem(DEVICE);
  if (remembered && (await acquireLock(remembered))) return remembered;
  const fresh = newKey();
  await acquireLock(fresh);
  sessionStorage.setItem(DEVICE, fresh);
  return fresh;
}

function acquireLock(id) {
  if (!navigator.locks) return true; // not a secure context: duplicated tabs replace each other
  return new Promise((resolve) => {
    navigator.locks.request(`gateway.device.${id}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    });
  });
}

function request(path, options = {}) {
  return fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
}

async function bodyOf(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new Error(body.error?.message ?? body.message ?? `The server answered ${answer.status}.`);
}
