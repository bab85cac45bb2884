// Two tabs, conversations and calls; the left and right arrow keys switch.

import { setAttribute, element, setText } from './elements.js';
import { formatCount } from './format.js';

/** @param {HTMLElement} conversations @param {{root: HTMLElement, load: () => void}} recent */
export function tabList(conversations, recent) {
  const badge = element('span', { class: 'badge', testid: 'total-unread' });
  const bell = element('span', { class: 'badge ringing', testid: 'ringing' });
  const panels = [conversations, recent.root];
  const tabs = [
    element('button', { type: 'button', testid: 'tab-chats' }, 'Chats ', badge),
    element('button', { type: 'button', testid: 'tab-calls' }, 'Calls ', bell),
  ];
  tabs.forEach((tab, index) => {
    panels[index].id = `panel-${index}`;
    setAttribute(panels[index], 'role', 'tabpanel');
    setAttribute(tab, 'role', 'tab');
    setAttribute(tab, 'aria-controls', `panel-${index}`);
    tab.addEventListener('click', () => choose(index));
    tab.addEventListener('keydown', ({ key }) => {
      if (key === 'ArrowLeft' || key === 'ArrowRight') choose(1 - index).focus();
    });
  });

  function choose(chosen) {
    tabs.forEach((tab, index) => {
      setAttribute(tab, 'aria-selected', String(index === chosen));
      setAttribute(tab, 'tabindex', index === chosen ? 0 : -1);
      panels[index].hidden = index !== chosen;
    });
    if (chosen === 1) recent.load();
    return tabs[chosen];
  }

  function show(unread, ringing) {
    setText(badge, unread ? formatCount(unread) : '');
    badge.hidden = !unread;
    setText(bell, ringing ? String(ringing) : '');
    setAttribute(bell, 'aria-label', `${ringing} ringing`);
    bell.hidden = !ringing;
  }

  const bar = element('div', { role: 'tablist', class: 'tabs', 'aria-label': 'Lists' }, ...tabs);
  choose(0);
  return { root: element('div', { class: 'tabbed' }, bar, ...panels), show };
}
