// Three tabs, conversations, calls and events; the left and right arrow keys switch.

import { setAttribute, element, setText } from './elements.js';
import { formatCount } from './format.js';

/**
 * @param {HTMLElement} conversations
 * @param {{root: HTMLElement, load: () => void}} recent
 * @param {{root: HTMLElement, render: () => void}} workList
 */
export function tabList(conversations, recent, workList) {
  const badge = element('span', { class: 'badge', testid: 'total-unread' });
  const bell = element('span', { class: 'badge ringing', testid: 'ringing' });
  const news = element('span', { class: 'badge', testid: 'unseen-events' });
  const panels = [conversations, recent.root, workList.root];
  const tabs = [
    element('button', { type: 'button', testid: 'tab-chats' }, 'Chats ', badge),
    element('button', { type: 'button', testid: 'tab-calls' }, 'Calls ', bell),
    element('button', { type: 'button', testid: 'tab-events' }, 'Events ', news),
  ];
  tabs.forEach((tab, index) => {
    panels[index].id = `panel-${index}`;
    setAttribute(panels[index], 'role', 'tabpanel');
    setAttribute(tab, 'role', 'tab');
    setAttribute(tab, 'aria-controls', `panel-${index}`);
    tab.addEventListener('click', () => choose(index));
    tab.addEventListener('keydown', ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (step) choose((index + step + tabs.length) % tabs.length).focus();
    });
  });

  function choose(chosen) {
    tabs.forEach((tab, index) => {
      setAttribute(tab, 'aria-selected', String(index === chosen));
      setAttribute(tab, 'tabindex', index === chosen ? 0 : -1);
      panels[index].hidden = index !== chosen;
    });
    if (chosen === 1) recent.load();
    if (chosen === 2) workList.render();
    return tabs[chosen];
  }

  function show(unread, ringing, unseen) {
    setText(badge, unread ? formatCount(unread) : '');
    badge.hidden = !unread;
    setText(bell, ringing ? String(ringing) : '');
    setAttribute(bell, 'aria-label', `${ringing} ringing`);
    bell.hidden = !ringing;
    setText(news, unseen ? formatCount(unseen) : '');
    news.hidden = !unseen;
  }

  const bar = element('div', { role: 'tablist', class: 'tabs', 'aria-label': 'Lists' }, ...tabs);
  choose(0);
  return { root: element('div', { class: 'tabbed' }, bar, ...panels), show };
}
