// Dialogs: one with any content, and the question before what cannot be undone.

import { element, text } from './elements.js';

/**
 * @param {string} label
 * @param {string} testid
 * @param {...Node} content
 */
export function dialog(label, testid, ...content) {
  const title = element('h2', {}, label);
  const close = element('button', {
    type: 'button', class: 'close', 'aria-label': 'Close', testid: 'close-dialog', onclick: () => root.close(),
  }, '×');
  const problem = element('p', { class: 'error', role: 'alert', testid: 'dialog-error' });
  const root = element('dialog', { 'aria-label': label, testid },
    element('div', { class: 'dialog-head' }, title, close), ...content, problem);

  function show(heading = label) {
    text(title, heading);
    text(problem, '');
    root.showModal();
  }

  /** Do something; what goes wrong is said below. Returns whether it went well. */
  async function attempt(work) {
    try {
      await work();
      text(problem, '');
      return true;
    } catch (error) {
      text(problem, error.message);
      return false;
    }
  }

  return { root, show, attempt, close: () => root.close() };
}

/** Asks yes or no; a promise of the answer. */
export function question() {
  const about = element('p', { dir: 'auto', testid: 'question' });
  const yes = element('button', {
    type: 'button', class: 'danger', testid: 'confirm', onclick: () => answer(true),
  });
  const no = element('button', { type: 'button', testid: 'cancel', onclick: () => answer(false) }, 'Cancel');
  const root = element('dialog', {
    role: 'alertdialog', 'aria-label': 'Are you sure?', onclose: () => answer(false),
  }, about, element('div', { class: 'row' }, no, yes));
  let settle = () => {};

  function ask(said, name) {
    text(about, said);
    text(yes, name);
    root.showModal();
    return new Promise((resolve) => {
      settle = resolve;
    });
  }

  function answer(given) {
    settle(given);
    if (root.open) root.close();
  }

  return { root, ask };
}

/** Says for a moment what has happened, or gone wrong. */
export function notices() {
  const SHOWN_MS = 6_000;
  const root = element('div', { class: 'notices', role: 'status', testid: 'notices' });

  function say(said) {
    const made = element('p', { class: 'notice' }, said);
    root.append(made);
    setTimeout(() => made.remove(), SHOWN_MS);
  }

  /** Do something, and say what goes wrong. */
  async function attempt(work) {
    try {
      return await work();
    } catch (error) {
      say(error.message);
      return undefined;
    }
  }

  return { root, say, attempt };
}
