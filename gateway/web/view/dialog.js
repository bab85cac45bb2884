// Dialogs: one with any content, a confirmation, and short notices.

import { element, setText } from './elements.js';

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
    setText(title, heading);
    setText(problem, '');
    root.showModal();
  }

  /** Do something and show its error in the dialog. Returns whether it succeeded. */
  async function attempt(work) {
    try {
      await work();
      setText(problem, '');
      return true;
    } catch (error) {
      setText(problem, error.message);
      return false;
    }
  }

  return { root, show, attempt, close: () => root.close() };
}

/** A question before what cannot be undone; ask() returns a promise of the answer. */
export function confirmation() {
  const about = element('p', { dir: 'auto', testid: 'question' });
  const yes = element('button', {
    type: 'button', class: 'danger', testid: 'confirm', onclick: () => answer(true),
  });
  const no = element('button', { type: 'button', testid: 'cancel', onclick: () => answer(false) }, 'Cancel');
  const root = element('dialog', {
    role: 'alertdialog', 'aria-label': 'Are you sure?', onclose: () => answer(false),
  }, about, element('div', { class: 'row' }, no, yes));
  let settle = () => {};

  function ask(message, name) {
    setText(about, message);
    setText(yes, name);
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

/** Notices that are shown for 6 seconds. */
export function notices() {
  const SHOWN_MS = 6_000;
  const root = element('div', { class: 'notices', role: 'status', testid: 'notices' });

  function show(message) {
    const made = element('p', { class: 'notice' }, message);
    root.append(made);
    setTimeout(() => made.remove(), SHOWN_MS);
  }

  /** Do something and show its error as a notice; undefined when it failed. */
  async function attempt(work) {
    try {
      return await work();
    } catch (error) {
      show(error.message);
      return undefined;
    }
  }

  return { root, show, attempt };
}
