// The messages of a conversation: stored ones by their number, then those on their way.

import { attribute, element, keyed } from './elements.js';

const END_SLACK_PX = 40;
const MORE_FROM_PX = 200;
const FLASH_MS = 2_500;

/**
 * @param {import('../state/store.js').Store} store
 * @param {ReturnType<typeof import('./message.js').messageLine>} line
 * @param {{seen: () => void}} actions
 */
export function messageList(store, line, { seen }) {
  const items = element('ol', { class: 'messages', testid: 'messages', 'aria-label': 'Messages' });
  const loading = element('p', { class: 'muted', testid: 'loading' }, 'Loading…');
  const hint = element('p', { class: 'muted empty' }, 'No messages yet. Say hello.');
  const scroll = element('div', {
    class: 'scroll', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', tabindex: 0, 'aria-label': 'Messages',
    onscroll: scrolled, onkeydown: entered,
  }, loading, hint, items);
  const down = element('button', {
    type: 'button', class: 'to-end', testid: 'to-end', 'aria-label': 'To the newest message', onclick: toEnd,
  }, '↓');
  const root = element('div', { class: 'scroller' }, scroll, down);
  let following = true; // stay at the end when something arrives
  let conversation = null;
  let newFrom = null; // what was unread when the conversation was opened begins behind this
  let aim = null; // the message to be brought into view as soon as it is there
  new ResizeObserver(() => following && pin()).observe(scroll);

  function render(shown) {
    conversation = shown;
    const pending = shown.hasAfter ? [] : store.outbox?.of(shown.id) ?? [];
    const lines = [...store.timeline.messages(shown).map(line.stored), ...pending.map(line.waiting)];
    const [top, height] = [scroll.scrollTop, scroll.scrollHeight];
    const before = items.firstElementChild;
    // Read out what comes at the end while one looks, not the pages of history above it.
    const isNews = before && lines[0]?.key === before.dataset.key && !shown.hasAfter;
    attribute(scroll, 'aria-live', isNews ? 'polite' : 'off');
    line.mark(lines);
    keyed(items, lines, { key: ({ key }) => key, make: line.make, update: line.update });
    showNew(lines);
    loading.hidden = shown.history !== 'loading';
    hint.hidden = shown.history !== 'loaded' || lines.length > 0;
    if (following && !shown.hasAfter) pin();
    else if (items.firstElementChild !== before) scroll.scrollTop = top + scroll.scrollHeight - height;
    if (aim !== null) bring();
    else fetchMore();
    showDown();
  }

  /** Where the unread ones began when the conversation was opened. */
  function showNew(lines) {
    if (newFrom === null && conversation.history === 'loaded') {
      const read = conversation.unread.last_read_seq;
      newFrom = read < conversation.last_seq ? read : Infinity; // what comes while one looks is not new
    }
    const first = lines.find(({ seq, mine, kind }) => seq > newFrom && !mine && kind !== 'system');
    const isBehind = first && lines[0].seq <= newFrom;
    for (const node of items.querySelectorAll('[data-new]')) {
      if (!isBehind || node.dataset.key !== first.key) attribute(node, 'data-new', null);
    }
    if (isBehind) attribute(items.querySelector(`[data-seq="${first.seq}"]`), 'data-new', 'true');
  }

  /** From the log itself, arrows lead into it: to the message last written. */
  function entered(event) {
    if (event.target !== scroll || !['ArrowUp', 'ArrowDown'].includes(event.key)) return;
    event.preventDefault();
    items.lastElementChild?.focus();
  }

  function scrolled() {
    following = atEnd();
    if (aim === null) fetchMore();
    showDown();
    if (following) seen();
  }

  function fetchMore() {
    if (!conversation || conversation.history !== 'loaded') return;
    const left = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
    if (conversation.hasAfter && left < MORE_FROM_PX) store.timeline.newer(conversation.id).catch(() => {});
    else if (conversation.hasBefore && scroll.scrollTop < MORE_FROM_PX) {
      store.timeline.older(conversation.id).catch(() => {});
    }
  }

  function showDown() {
    down.hidden = !conversation || atEnd();
  }

  /** At the end of everything, not only of what is loaded. */
  function atEnd() {
    return !conversation?.hasAfter && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight <= END_SLACK_PX;
  }

  function pin() {
    scroll.scrollTop = scroll.scrollHeight;
  }

  function toEnd() {
    following = true;
    aim = null;
    if (conversation?.hasAfter) store.timeline.toEnd(conversation.id).catch(() => {});
    pin();
  }

  function clear() {
    items.replaceChildren();
    following = true;
    aim = null;
    newFrom = null;
  }

  /** Bring a message into view and let it shine for a moment. */
  function show(seq) {
    following = false;
    aim = seq;
    bring();
  }

  function bring() {
    const node = /** @type {HTMLElement | null} */ (items.querySelector(`[data-seq="${aim}"]`));
    if (!node) return;
    aim = null;
    following = false;
    node.scrollIntoView({ block: 'center' });
    node.focus({ preventScroll: true });
    attribute(node, 'data-aimed', 'true');
    setTimeout(() => attribute(node, 'data-aimed', null), FLASH_MS);
  }

  /** Back to a message, or to where messages are. */
  function focus(seq) {
    const node = /** @type {HTMLElement | null} */ (items.querySelector(`[data-seq="${seq}"]`));
    (node ?? scroll).focus();
  }

  return { root, items, render, clear, toEnd, atEnd, show, focus };
}
