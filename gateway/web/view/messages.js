// The messages of a conversation: stored ones by seq, then those that are being sent.

import { setAttribute, element, updateList } from './elements.js';

const END_SLACK_PX = 40;
const MORE_FROM_PX = 200;
const FLASH_MS = 2_500;

/**
 * @param {import('../state/store.js').Store} store
 * @param {ReturnType<typeof import('./message.js').messageLine>} line
 * @param {{seen: () => void}} handlers
 */
export function messageList(store, line, { seen }) {
  const items = element('ol', { class: 'messages', testid: 'messages', 'aria-label': 'Messages' });
  const loading = element('p', { class: 'muted', testid: 'loading' }, 'Loading…');
  const hint = element('p', { class: 'muted empty' }, 'No messages yet.');
  const scroll = element('div', {
    class: 'scroll', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', tabindex: 0, 'aria-label': 'Messages',
    onscroll: onScroll, onkeydown: onKey,
  }, loading, hint, items);
  const down = element('button', {
    type: 'button', class: 'to-end', testid: 'to-end', 'aria-label': 'Go to the newest message', onclick: showNewest,
  }, '↓');
  const root = element('div', { class: 'scroller' }, scroll, down);
  let following = true; // stay at the end when a message arrives
  let conversation = null;
  let newFrom = null; // messages above this seq were unread when the conversation was opened
  let targetSeq = null; // the message to scroll to as soon as it is loaded
  new ResizeObserver(() => following && scrollToEnd()).observe(scroll);

  function render(shown) {
    conversation = shown;
    const pending = shown.hasAfter ? [] : store.outbox?.inConversation(shown.id) ?? [];
    const lines = [...store.timeline.messages(shown).map(line.stored), ...pending.map(line.waiting)];
    const [top, height] = [scroll.scrollTop, scroll.scrollHeight];
    const before = items.firstElementChild;
    // Screen readers announce new messages at the end, not pages of history above.
    const isNews = before && lines[0]?.key === before.dataset.key && !shown.hasAfter;
    setAttribute(scroll, 'aria-live', isNews ? 'polite' : 'off');
    line.mark(lines);
    updateList(items, lines, { key: ({ key }) => key, make: line.make, update: line.update });
    showNew(lines);
    loading.hidden = shown.loadState !== 'loading';
    hint.hidden = shown.loadState !== 'loaded' || lines.length > 0;
    if (following && !shown.hasAfter) scrollToEnd();
    else if (items.firstElementChild !== before) scroll.scrollTop = top + scroll.scrollHeight - height;
    if (targetSeq !== null) scrollToTarget();
    else fetchMore();
    updateEndButton();
  }

  /** Mark where the unread messages began when the conversation was opened. */
  function showNew(lines) {
    if (newFrom === null && conversation.loadState === 'loaded') {
      const read = conversation.unread.last_read_seq;
      newFrom = read < conversation.last_seq ? read : Infinity; // messages that arrive while it is open are not marked
    }
    const first = lines.find(({ seq, mine, kind }) => seq > newFrom && !mine && kind !== 'system');
    const isBehind = first && lines[0].seq <= newFrom;
    for (const node of items.querySelectorAll('[data-new]')) {
      if (!isBehind || node.dataset.key !== first.key) setAttribute(node, 'data-new', null);
    }
    if (isBehind) setAttribute(items.querySelector(`[data-seq="${first.seq}"]`), 'data-new', 'true');
  }

  /** Arrow keys on the log itself move the focus to its last message. */
  function onKey(event) {
    if (event.target !== scroll || !['ArrowUp', 'ArrowDown'].includes(event.key)) return;
    event.preventDefault();
    items.lastElementChild?.focus();
  }

  function onScroll() {
    following = atEnd();
    if (targetSeq === null) fetchMore();
    updateEndButton();
    if (following) seen();
  }

  function fetchMore() {
    if (!conversation || conversation.loadState !== 'loaded') return;
    const left = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
    if (conversation.hasAfter && left < MORE_FROM_PX) store.timeline.loadNewer(conversation.id).catch(() => {});
    else if (conversation.hasBefore && scroll.scrollTop < MORE_FROM_PX) {
      store.timeline.loadOlder(conversation.id).catch(() => {});
    }
  }

  function updateEndButton() {
    down.hidden = !conversation || atEnd();
  }

  /** Whether the newest message is in view, not only the last loaded one. */
  function atEnd() {
    return !conversation?.hasAfter && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight <= END_SLACK_PX;
  }

  function scrollToEnd() {
    scroll.scrollTop = scroll.scrollHeight;
  }

  function showNewest() {
    following = true;
    targetSeq = null;
    if (conversation?.hasAfter) store.timeline.returnToNewest(conversation.id).catch(() => {});
    scrollToEnd();
  }

  function clear() {
    items.replaceChildren();
    following = true;
    targetSeq = null;
    newFrom = null;
  }

  /** Scroll to a message and highlight it for a moment. */
  function show(seq) {
    following = false;
    targetSeq = seq;
    scrollToTarget();
  }

  function scrollToTarget() {
    const node = /** @type {HTMLElement | null} */ (items.querySelector(`[data-seq="${targetSeq}"]`));
    if (!node) return;
    targetSeq = null;
    following = false;
    node.scrollIntoView({ block: 'center' });
    node.focus({ preventScroll: true });
    setAttribute(node, 'data-aimed', 'true');
    setTimeout(() => setAttribute(node, 'data-aimed', null), FLASH_MS);
  }

  /** Focus a message, or the log when it is not loaded. */
  function focus(seq) {
    const node = /** @type {HTMLElement | null} */ (items.querySelector(`[data-seq="${seq}"]`));
    (node ?? scroll).focus();
  }

  return { root, items, render, clear, showNewest, atEnd, show, focus };
}
