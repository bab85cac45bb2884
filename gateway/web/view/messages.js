// The messages of a conversation: stored ones by their number, then those on their way.

import { attribute, avatar, element, keyed, part, text } from './elements.js';
import { clock, day, full, names } from './format.js';

const END_SLACK_PX = 40;
const OLDER_FROM_PX = 200;

/**
 * @param {import('../store.js').Store} store
 * @param {{older: () => void, seen: () => void}} actions
 */
export function messageList(store, { older, seen }) {
  const items = element('ol', { class: 'messages', testid: 'messages', 'aria-label': 'Messages' });
  const loading = element('p', { class: 'muted', testid: 'loading' }, 'Loading…');
  const hint = element('p', { class: 'muted empty' }, 'No messages yet. Say hello.');
  const root = element('div', {
    class: 'scroll', role: 'log', 'aria-live': 'polite', tabindex: 0, 'aria-label': 'Messages',
    onscroll: scrolled,
  }, loading, hint, items);
  let following = true; // stay at the end when something arrives
  let conversation = null;
  new ResizeObserver(() => following && toEnd()).observe(root);

  function render(shown) {
    conversation = shown;
    const pending = store.outbox?.of(shown.id) ?? [];
    const lines = [...store.messages(shown).map(stored), ...pending.map(waiting)];
    const [top, height] = [root.scrollTop, root.scrollHeight];
    const first = items.firstElementChild;
    mark(lines);
    keyed(items, lines, { key: (line) => line.key, make, update });
    loading.hidden = shown.history !== 'loading';
    hint.hidden = shown.history !== 'loaded' || lines.length > 0;
    if (following) toEnd();
    else if (items.firstElementChild !== first) root.scrollTop = top + root.scrollHeight - height;
    if (root.scrollTop < OLDER_FROM_PX && shown.hasBefore) older();
  }

  function scrolled() {
    following = atEnd();
    if (root.scrollTop < OLDER_FROM_PX && conversation?.hasBefore) older();
    if (following) seen();
  }

  function atEnd() {
    return root.scrollHeight - root.scrollTop - root.clientHeight <= END_SLACK_PX;
  }

  function toEnd() {
    following = true;
    root.scrollTop = root.scrollHeight;
  }

  function clear() {
    items.replaceChildren();
    following = true;
  }

  /** One key from writing to stored, so that the element stays where it is. */
  function stored(message) {
    const mine = message.sender_id === store.me?.id;
    return { ...message, mine, key: message.client_key ?? `seq-${message.seq}`, state: 'stored', error: '' };
  }

  function waiting(pending) {
    return { ...pending, mine: true, sender_id: store.me.id, seq: null, key: pending.client_key };
  }

  /** Where a new day, or another person's turn, begins. */
  function mark(lines) {
    lines.forEach((line, index) => {
      const before = lines[index - 1];
      line.day = before && day(before.created_at) === day(line.created_at) ? '' : day(line.created_at);
      line.turn = Boolean(line.day) || before.sender_id !== line.sender_id;
    });
  }

  function make(line) {
    const name = store.people.name(line.sender_id);
    return element('li', { class: 'line', testid: 'message' },
      element('p', { class: 'day muted', 'data-part': 'day' }),
      element('div', { class: 'message' },
        avatar(name, line.sender_id ?? 0),
        element('div', { class: 'bubble' },
          element('p', { class: 'sender', 'data-part': 'sender' }),
          element('p', { class: 'text', testid: 'message-text', 'data-part': 'text', dir: 'auto' }),
          element('p', { class: 'reactions', testid: 'reactions', 'data-part': 'reactions' }),
          element('p', { class: 'meta muted' },
            element('span', { testid: 'edited', 'data-part': 'edited' }),
            element('time', { 'data-part': 'time' }),
            element('span', { class: 'mark', testid: 'read-mark', 'data-part': 'mark' })),
          element('p', { class: 'failed', 'data-part': 'failed' },
            element('span', { class: 'error', 'data-part': 'error' }), ' ',
            action('Retry', 'retry', () => store.outbox.retry(line.key)), ' ',
            action('Discard', 'discard', () => store.outbox.remove(line.key))))));
  }

  function action(name, testid, onclick) {
    return element('button', { type: 'button', class: 'link', testid, onclick }, name);
  }

  function update(node, line) {
    attribute(node, 'data-seq', line.seq);
    attribute(node, 'data-state', line.state);
    attribute(node, 'data-mine', line.mine ? 'true' : null);
    attribute(node, 'data-turn', line.turn ? 'true' : null);
    text(part(node, 'day'), line.day);
    const named = line.turn && !line.mine && conversation.kind !== 'direct';
    text(part(node, 'sender'), named ? store.people.name(line.sender_id) : '');
    attribute(node, 'data-deleted', line.deleted_at ? 'true' : null);
    text(part(node, 'text'), store.said(line));
    text(part(node, 'edited'), line.edited_at && !line.deleted_at ? 'edited' : '');
    showReactions(part(node, 'reactions'), line.reactions ?? []);
    text(part(node, 'time'), clock(line.created_at));
    attribute(part(node, 'time'), 'title', full(line.created_at));
    part(node, 'failed').hidden = line.state !== 'failed';
    text(part(node, 'error'), line.error ?? '');
    showMark(part(node, 'mark'), line);
  }

  /** Each emoji with how many put it there; who they are is its tooltip. */
  function showReactions(node, reactions) {
    keyed(node, reactions, {
      key: ({ emoji }) => emoji,
      make: () => element('span', { class: 'reaction', testid: 'reaction' }),
      update: (one, { emoji, count, employee_ids }) => {
        text(one, `${emoji} ${count}`);
        attribute(one, 'title', names(employee_ids.map((id) => store.people.name(id))));
        attribute(one, 'data-mine', employee_ids.includes(store.me?.id) ? 'true' : null);
      },
    });
  }

  /** ○ on its way, ✓ stored, ✓✓ read by somebody. */
  function showMark(node, line) {
    if (!line.mine || line.state === 'failed') {
      text(node, '');
      return;
    }
    const readers = line.state === 'stored' ? store.readers(conversation, line) : [];
    let [sign, said] = line.state === 'stored' ? ['✓', 'Delivered'] : ['○', 'Sending'];
    if (readers.length) [sign, said] = ['✓✓', `Read by ${names(readers.map(({ name }) => name))}`];
    text(node, sign);
    attribute(node, 'data-read', readers.length ? 'true' : null);
    attribute(node, 'title', said);
    attribute(node, 'role', 'img');
    attribute(node, 'aria-label', said);
  }

  return { root, render, clear, toEnd, atEnd };
}
