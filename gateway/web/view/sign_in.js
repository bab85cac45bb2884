// The sign-in: with an identity provider, as an employee of the demo, or with a pasted token.

import { demoEmployees, demoToken, signIn, signInProvider, subjectOf } from '../state/credentials.js';
import { currentRoute, fragmentOf } from '../state/route.js';
import { avatar, element, setText } from './elements.js';

/**
 * Show the sign-in; calls done() once there is a token.
 * @param {HTMLElement} root
 * @param {{notice?: string, done: () => void}} options
 */
export async function showSignIn(root, { notice = '', done }) {
  const error = element('p', { class: 'error', role: 'alert', testid: 'sign-in-error' }, notice);
  const choices = element('div', { class: 'choices' }, 'Loading…');
  root.replaceChildren(
    element(
      'main',
      { class: 'sign-in', testid: 'sign-in' },
      element('h1', {}, 'CRM gateway'),
      element('p', { class: 'muted' }, 'Messages, presence and calls in real time.'),
      error,
      choices,
    ),
  );
  const [provider, employees] = await Promise.all([signInProvider(), demoEmployees()]).catch((problem) => {
    setText(error, `The gateway does not respond: ${problem.message}`);
    return [null, null];
  });
  choices.replaceChildren(
    ...(provider ? [providerLink(provider.url)] : []),
    ...(employees?.length ? [employeeChooser(employees, error, done)] : []),
    tokenForm(done, { isOnlyWay: !provider }),
  );
}

/** Leads to the identity provider, and from there back to what is open here. */
function providerLink(url) {
  const { conversation, message } = currentRoute();
  const route = fragmentOf(conversation, message).slice(1);
  const href = route ? `${url}?${new URLSearchParams({ return: route })}` : url;
  return element('a', { class: 'button', href, testid: 'sign-in-provider' }, 'Sign in');
}

/**
 * Ask whether a link may sign this window in as somebody else.
 * @param {HTMLElement} root
 * @param {string} token
 * @returns {Promise<boolean>}
 */
export function askToChangePerson(root, token) {
  return new Promise((resolve) => {
    const whose = subjectOf(token);
    const who = whose === null ? 'somebody else' : `employee ${whose}`;
    const stay = element('button', { type: 'button', testid: 'stay', onclick: () => resolve(false) }, 'Stay signed in');
    const change = element('button', {
      type: 'button', class: 'danger', testid: 'change-person', onclick: () => resolve(true),
    }, `Sign in as ${who}`);
    root.replaceChildren(
      element(
        'main',
        { class: 'sign-in', testid: 'change-person-question' },
        element('h1', {}, 'CRM gateway'),
        element('p', { role: 'alert' }, `This link would sign you in as ${who}. What you write then is written as ${who}.`),
        element('div', { class: 'row' }, stay, change),
      ),
    );
    stay.focus();
  });
}

function employeeChooser(employees, error, done) {
  const choose = async (employee) => {
    try {
      signIn(await demoToken(employee.id), employee.id);
      done();
    } catch (problem) {
      setText(error, problem.message);
    }
  };
  const list = element('ul', { class: 'people', 'aria-label': 'Employees' });
  for (const employee of employees) {
    const about = [employee.position, employee.department].filter(Boolean).join(' · ');
    list.append(
      element(
        'li',
        {},
        element(
          'button',
          {
            type: 'button',
            class: 'person',
            testid: 'sign-in-employee',
            'data-employee-id': employee.id,
            onclick: () => choose(employee),
          },
          avatar(employee.name, employee.id),
          element('span', { class: 'person-name' }, employee.name),
          element('span', { class: 'muted' }, about),
        ),
      ),
    );
  }
  return element('section', {}, element('h2', {}, 'Sign in as'), list);
}

function tokenForm(done, { isOnlyWay }) {
  const input = element('textarea', {
    id: 'token', rows: 3, required: '', autocomplete: 'off', spellcheck: 'false', testid: 'token-input',
  });
  const submit = (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    signIn(input.value.trim());
    done();
  };
  return element(
    'form',
    { class: 'paste', onsubmit: submit },
    element('label', { for: 'token' }, 'Or sign in with a token from your CRM'),
    input,
    element('button', { type: 'submit', class: isOnlyWay ? 'primary' : null, testid: 'token-submit' },
      isOnlyWay ? 'Sign in' : 'Sign in with this token'),
  );
}
