// Who is signed in in this window: the token, the source of new ones, and the device's id.

import { newKey } from '../sdk/client.js';

const TOKEN = 'gateway.token';
const EMPLOYEE = 'gateway.employee'; // set when the demo's sign-in gave the token
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

export function signIn(token, employeeId = null) {
  sessionStorage.setItem(TOKEN, token);
  if (employeeId === null) sessionStorage.removeItem(EMPLOYEE);
  else sessionStorage.setItem(EMPLOYEE, String(employeeId));
}

export function signOut() {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(EMPLOYEE);
}

/** The SDK's token source; with refresh a new token, if the demo's sign-in gave the first one. */
export async function token({ refresh = false } = {}) {
  const employeeId = sessionStorage.getItem(EMPLOYEE);
  if (refresh && employeeId) signIn(await demoToken(Number(employeeId)), employeeId);
  return sessionStorage.getItem(TOKEN) ?? '';
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
