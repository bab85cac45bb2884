// The work list: events of the CRM that name me, with a link to what they are about.

import { titleOf } from '../state/work_list.js';
import { setAttribute, element, part, setText, updateLink, updateList } from './elements.js';
import { formatBrief, formatFull } from './format.js';

/** @param {import('../state/work_list.js').WorkList} workList */
export function workListView(workList) {
  const items = element('ul', { class: 'work-list', testid: 'work-list' });
  const empty = element('p', { class: 'muted empty' }, 'What happens in the CRM and concerns you appears here.');
  const root = element('section', { class: 'list', 'aria-label': 'Events' }, items, empty);

  function render() {
    if (!root.hidden) workList.markSeen();
    updateList(items, workList.events(), { key: (event) => String(event.id), make, update });
    empty.hidden = workList.events().length > 0;
  }

  return { root, render };
}

function make(event) {
  return element('li', { class: 'work-event', testid: 'work-event', 'data-event-id': event.id },
    element('a', { class: 'item-title', testid: 'work-event-title', 'data-part': 'title' }),
    element('time', { class: 'muted', 'data-part': 'time' }),
    element('span', { class: 'muted item-last', testid: 'work-event-type', 'data-part': 'type' }));
}

function update(node, event) {
  setText(part(node, 'title'), titleOf(event));
  updateLink(part(node, 'title'), event.payload.url);
  setText(part(node, 'time'), formatBrief(event.created_at));
  setAttribute(part(node, 'time'), 'title', formatFull(event.created_at));
  setText(part(node, 'type'), event.type);
}
