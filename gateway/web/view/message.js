// One message as a line of the list: text, quoted message, files, reactions, check marks.

import { setAttribute, avatar, element, updateList, part, setText } from './elements.js';
import { formatTime, formatDay, formatFull, joinNames } from './format.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {{conversation: () => any, jump: (seq: number) => void, thread: (seq: number) => void,
 *   react: (line: any, emoji: string) => void, inThread?: boolean,
 *   files: (node: HTMLElement, attachments: any[], ready: boolean) => void}} handlers
 */
export function messageLine(store, handlers) {
  const lines = new WeakMap(); // element → the message that it shows
  const looks = new WeakMap(); // element → the other values that it was drawn from

  /** The same key while sending and when stored, so that the element stays. */
  function stored(message) {
    const mine = message.sender_id === store.me?.id;
    const key = message.client_key ?? `seq-${message.seq}`;
    return { ...message, source: message, mine, key, state: 'stored', error: '' };
  }

  function waiting(pending) {
    return { ...pending, mine: true, sender_id: store.me.id, seq: null, key: pending.client_key };
  }

  /** Mark the first line of each day and of each sender. */
  function mark(all) {
    all.forEach((line, index) => {
      const before = all[index - 1];
      line.day = before && formatDay(before.created_at) === formatDay(line.created_at) ? '' : formatDay(line.created_at);
      const system = line.kind === 'system' || before?.kind === 'system';
      line.turn = Boolean(line.day) || system || before.sender_id !== line.sender_id;
    });
  }

  function make(line) {
    const name = store.people.nameOf(line.sender_id);
    return element('li', { class: 'line', testid: 'message', tabindex: -1 },
      element('p', { class: 'day muted', 'data-part': 'day' }),
      element('div', { class: 'message' },
        avatar(name, line.sender_id ?? 0),
        element('div', { class: 'bubble', 'data-part': 'bubble' },
          element('p', { class: 'sender', 'data-part': 'sender', dir: 'auto' }),
          element('button', {
            type: 'button', class: 'quote', testid: 'quote', 'data-part': 'quote', tabindex: -1, dir: 'auto',
            onclick: ({ currentTarget }) => handlers.jump(lineOf(currentTarget).reply_to_seq),
          }, element('span', { class: 'sender', 'data-part': 'quoted-name' }), ' ', element('span', { 'data-part': 'quoted' })),
          element('p', { class: 'text', testid: 'message-text', 'data-part': 'text', dir: 'auto' }),
          element('div', { class: 'files', testid: 'files', 'data-part': 'files' }),
          element('p', { class: 'reactions', testid: 'reactions', 'data-part': 'reactions' }),
          element('button', {
            type: 'button', class: 'link answers', testid: 'answers', 'data-part': 'answers',
            onclick: ({ currentTarget }) => handlers.thread(lineOf(currentTarget).seq),
          }),
          element('p', { class: 'meta muted', 'data-part': 'meta' },
            element('span', { testid: 'edited', 'data-part': 'edited' }),
            element('time', { 'data-part': 'time' }),
            element('span', { class: 'mark', testid: 'read-mark', 'data-part': 'mark' })),
          element('p', { class: 'failed', 'data-part': 'failed' },
            element('span', { class: 'error', 'data-part': 'error' }), ' ',
            again('Retry', 'retry', (key) => store.outbox.retry(key)), ' ',
            again('Discard', 'discard', (key) => store.outbox.remove(key))))));
  }

  function again(name, testid, act) {
    const onclick = ({ currentTarget }) => act(lineOf(currentTarget).key);
    return element('button', { type: 'button', class: 'link', testid, onclick }, name);
  }

  /** Most events are about other messages: then the line is not touched. */
  function update(node, line) {
    const look = lookOf(line);
    const same = line.source && lines.get(node)?.source === line.source
      && looks.get(node)?.every((one, index) => one === look[index]);
    lines.set(node, line);
    looks.set(node, look);
    if (!same) show(node, line);
  }

  /** The values of a line beside its message; a changed message is a new object. */
  function lookOf(line) {
    const conversation = handlers.conversation();
    const isQuoting = line.reply_to_seq && !line.deleted_at && !handlers.inThread;
    const quoted = isQuoting ? store.quotes.get(conversation, line.reply_to_seq) : null;
    const readers = line.mine ? readersOf(line).map(({ id }) => id).join() : '';
    const delivered = line.mine && (conversation.delivered ?? 0) >= line.seq;
    return [line.day, line.turn, conversation.kind, store.people.namesVersion, quoted, readers, delivered];
  }

  function readersOf(line) {
    return line.state === 'stored' ? store.receipts.readers(handlers.conversation(), line) : [];
  }

  function show(node, line) {
    const { kind } = handlers.conversation();
    const system = line.kind === 'system';
    setAttribute(node, 'data-seq', line.seq);
    setAttribute(node, 'data-state', line.state);
    setAttribute(node, 'data-kind', system ? 'system' : null);
    setAttribute(node, 'data-mine', line.mine ? 'true' : null);
    setAttribute(node, 'data-turn', line.turn ? 'true' : null);
    setAttribute(node, 'data-deleted', line.deleted_at ? 'true' : null);
    setAttribute(node, 'data-mentions-me', line.state === 'stored' && store.messageText.mentionsMe(line) ? 'true' : null);
    setText(part(node, 'day'), line.day);
    const named = line.turn && !line.mine && !system && (kind !== 'direct' || handlers.inThread);
    setText(part(node, 'sender'), named ? store.people.nameOf(line.sender_id) : '');
    showText(part(node, 'text'), line);
    handlers.files(part(node, 'files'), line.deleted_at ? [] : line.attachments ?? [], line.state === 'stored');
    showQuote(node, line);
    setText(part(node, 'edited'), line.edited_at && !line.deleted_at ? 'edited' : '');
    showReactions(part(node, 'reactions'), line);
    const answers = handlers.inThread || line.deleted_at ? 0 : line.reply_count ?? 0;
    part(node, 'answers').hidden = !answers;
    setText(part(node, 'answers'), answers > 1 ? `${answers} replies` : answers ? '1 reply' : '');
    setText(part(node, 'time'), formatTime(line.created_at));
    setAttribute(part(node, 'time'), 'title', formatFull(line.created_at));
    part(node, 'failed').hidden = line.state !== 'failed';
    setText(part(node, 'error'), line.error ?? '');
    showMark(part(node, 'mark'), line);
  }

  /** Show the pieces of the text; nothing in them becomes markup. */
  function showText(node, line) {
    const pieces = line.state === 'stored' ? store.messageText.pieces(line)
      : [{ text: store.messageText.toEditable(line.text) }];
    const wanted = JSON.stringify(pieces);
    if (node.dataset.shown === wanted) return;
    node.dataset.shown = wanted;
    node.replaceChildren(...pieces.map((piece) => {
      if (piece.mention) {
        const mine = piece.mine ? 'true' : null;
        return element('bdi', { class: 'mention', testid: 'mention', 'data-mine': mine }, piece.text);
      }
      if (!piece.href) return document.createTextNode(piece.text);
      return element('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer' }, piece.text);
    }));
  }

  function showQuote(node, line) {
    const quote = part(node, 'quote');
    quote.hidden = !line.reply_to_seq || Boolean(line.deleted_at) || Boolean(handlers.inThread);
    if (quote.hidden) return;
    const quoted = store.quotes.get(handlers.conversation(), line.reply_to_seq);
    setText(part(quote, 'quoted-name'), quoted ? store.people.nameOf(quoted.sender_id) : 'A message');
    setText(part(quote, 'quoted'), quoted ? store.messageText.plainText(quoted) : `number ${line.reply_to_seq}`);
  }

  /** Each emoji with its count; a click adds or removes my own. */
  function showReactions(node, line) {
    updateList(node, line.reactions ?? [], {
      key: ({ emoji }) => emoji,
      make: ({ emoji }) => element('button', {
        type: 'button', class: 'reaction', testid: 'reaction',
        onclick: ({ currentTarget }) => handlers.react(lineOf(currentTarget), emoji),
      }),
      update: (one, { emoji, count, employee_ids }) => {
        const mine = employee_ids.includes(store.me?.id);
        setText(one, `${emoji} ${count}`);
        setAttribute(one, 'title', joinNames(employee_ids.map((id) => store.people.nameOf(id))));
        setAttribute(one, 'data-mine', mine ? 'true' : null);
        setAttribute(one, 'aria-pressed', String(mine));
      },
    });
  }

  /** ○ sending, ✓ stored, ✓✓ delivered to a device, ✓✓ in colour: read. */
  function showMark(node, line) {
    if (!line.mine || line.state === 'failed' || line.deleted_at) {
      setText(node, '');
      for (const name of ['title', 'role', 'aria-label', 'data-read']) setAttribute(node, name, null);
      return;
    }
    const conversation = handlers.conversation();
    const isStored = line.state === 'stored';
    const readers = readersOf(line);
    let [sign, label] = isStored ? ['✓', 'Sent'] : ['○', 'Sending'];
    if (isStored && (conversation.delivered ?? 0) >= line.seq) [sign, label] = ['✓✓', 'Delivered'];
    if (readers.length) [sign, label] = ['✓✓', `Read by ${joinNames(readers.map(({ name }) => name))}`];
    setText(node, sign);
    setAttribute(node, 'data-read', readers.length ? 'true' : null);
    setAttribute(node, 'title', label);
    setAttribute(node, 'role', 'img');
    setAttribute(node, 'aria-label', label);
  }

  function lineOf(node) {
    return lines.get(node.closest('.line'));
  }

  return { stored, waiting, mark, make, update, lineOf };
}
