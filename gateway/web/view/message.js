// One message as a line of the list: text with mentions and links, what it answers, reactions, marks.

import { attribute, avatar, element, keyed, part, text } from './elements.js';
import { clock, day, full, names } from './format.js';

/**
 * @param {import('../state/store.js').Store} store
 * @param {{conversation: () => any, jump: (seq: number) => void, thread: (seq: number) => void,
 *   react: (line: any, emoji: string) => void, inThread?: boolean,
 *   files: (node: HTMLElement, attachments: any[], ready: boolean) => void}} actions
 */
export function messageLine(store, actions) {
  const lines = new WeakMap(); // element → what it shows
  const looks = new WeakMap(); // element → what else that depended on

  /** One key from writing to stored, so that the element stays where it is. */
  function stored(message) {
    const mine = message.sender_id === store.me?.id;
    const key = message.client_key ?? `seq-${message.seq}`;
    return { ...message, source: message, mine, key, state: 'stored', error: '' };
  }

  function waiting(pending) {
    return { ...pending, mine: true, sender_id: store.me.id, seq: null, key: pending.client_key };
  }

  /** Where a new day, or another person's turn, begins. */
  function mark(all) {
    all.forEach((line, index) => {
      const before = all[index - 1];
      line.day = before && day(before.created_at) === day(line.created_at) ? '' : day(line.created_at);
      const system = line.kind === 'system' || before?.kind === 'system';
      line.turn = Boolean(line.day) || system || before.sender_id !== line.sender_id;
    });
  }

  function make(line) {
    const name = store.people.name(line.sender_id);
    return element('li', { class: 'line', testid: 'message', tabindex: -1 },
      element('p', { class: 'day muted', 'data-part': 'day' }),
      element('div', { class: 'message' },
        avatar(name, line.sender_id ?? 0),
        element('div', { class: 'bubble', 'data-part': 'bubble' },
          element('p', { class: 'sender', 'data-part': 'sender', dir: 'auto' }),
          element('button', {
            type: 'button', class: 'quote', testid: 'quote', 'data-part': 'quote', tabindex: -1, dir: 'auto',
            onclick: ({ currentTarget }) => actions.jump(lineOf(currentTarget).reply_to_seq),
          }, element('span', { class: 'sender', 'data-part': 'quoted-name' }), ' ', element('span', { 'data-part': 'quoted' })),
          element('p', { class: 'text', testid: 'message-text', 'data-part': 'text', dir: 'auto' }),
          element('div', { class: 'files', testid: 'files', 'data-part': 'files' }),
          element('p', { class: 'reactions', testid: 'reactions', 'data-part': 'reactions' }),
          element('button', {
            type: 'button', class: 'link answers', testid: 'answers', 'data-part': 'answers',
            onclick: ({ currentTarget }) => actions.thread(lineOf(currentTarget).seq),
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

  /** Most events are about something else: then nothing of a line is touched. */
  function update(node, line) {
    const look = lookOf(line);
    const same = line.source && lines.get(node)?.source === line.source
      && looks.get(node)?.every((one, index) => one === look[index]);
    lines.set(node, line);
    looks.set(node, look);
    if (!same) show(node, line);
  }

  /** What a line shows beside its message, which is another object whenever it changes. */
  function lookOf(line) {
    const conversation = actions.conversation();
    const isQuoting = line.reply_to_seq && !line.deleted_at && !actions.inThread;
    const quoted = isQuoting ? store.quotes.of(conversation, line.reply_to_seq) : null;
    const readers = line.mine ? readersOf(line).map(({ id }) => id).join() : '';
    const delivered = line.mine && (conversation.delivered ?? 0) >= line.seq;
    return [line.day, line.turn, conversation.kind, store.people.names, quoted, readers, delivered];
  }

  function readersOf(line) {
    return line.state === 'stored' ? store.reading.readers(actions.conversation(), line) : [];
  }

  function show(node, line) {
    const { kind } = actions.conversation();
    const system = line.kind === 'system';
    attribute(node, 'data-seq', line.seq);
    attribute(node, 'data-state', line.state);
    attribute(node, 'data-kind', system ? 'system' : null);
    attribute(node, 'data-mine', line.mine ? 'true' : null);
    attribute(node, 'data-turn', line.turn ? 'true' : null);
    attribute(node, 'data-deleted', line.deleted_at ? 'true' : null);
    attribute(node, 'data-mentions-me', line.state === 'stored' && store.words.mentionsMe(line) ? 'true' : null);
    text(part(node, 'day'), line.day);
    const named = line.turn && !line.mine && !system && (kind !== 'direct' || actions.inThread);
    text(part(node, 'sender'), named ? store.people.name(line.sender_id) : '');
    showText(part(node, 'text'), line);
    actions.files(part(node, 'files'), line.deleted_at ? [] : line.attachments ?? [], line.state === 'stored');
    showQuote(node, line);
    text(part(node, 'edited'), line.edited_at && !line.deleted_at ? 'edited' : '');
    showReactions(part(node, 'reactions'), line);
    const answers = actions.inThread || line.deleted_at ? 0 : line.reply_count ?? 0;
    part(node, 'answers').hidden = !answers;
    text(part(node, 'answers'), answers > 1 ? `${answers} replies` : answers ? '1 reply' : '');
    text(part(node, 'time'), clock(line.created_at));
    attribute(part(node, 'time'), 'title', full(line.created_at));
    part(node, 'failed').hidden = line.state !== 'failed';
    text(part(node, 'error'), line.error ?? '');
    showMark(part(node, 'mark'), line);
  }

  /** Pieces of text, each as text: nothing that was written becomes markup. */
  function showText(node, line) {
    const pieces = line.state === 'stored' ? store.words.pieces(line)
      : [{ text: store.words.forWriting(line.text) }];
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
    quote.hidden = !line.reply_to_seq || Boolean(line.deleted_at) || Boolean(actions.inThread);
    if (quote.hidden) return;
    const quoted = store.quotes.of(actions.conversation(), line.reply_to_seq);
    text(part(quote, 'quoted-name'), quoted ? store.people.name(quoted.sender_id) : 'A message');
    text(part(quote, 'quoted'), quoted ? store.words.said(quoted) : `number ${line.reply_to_seq}`);
  }

  /** Each emoji with how many put it there; a click adds or takes back my own. */
  function showReactions(node, line) {
    keyed(node, line.reactions ?? [], {
      key: ({ emoji }) => emoji,
      make: ({ emoji }) => element('button', {
        type: 'button', class: 'reaction', testid: 'reaction',
        onclick: ({ currentTarget }) => actions.react(lineOf(currentTarget), emoji),
      }),
      update: (one, { emoji, count, employee_ids }) => {
        const mine = employee_ids.includes(store.me?.id);
        text(one, `${emoji} ${count}`);
        attribute(one, 'title', names(employee_ids.map((id) => store.people.name(id))));
        attribute(one, 'data-mine', mine ? 'true' : null);
        attribute(one, 'aria-pressed', String(mine));
      },
    });
  }

  /** ○ on its way, ✓ stored, ✓✓ on the other's device, ✓✓ in colour: read by somebody. */
  function showMark(node, line) {
    if (!line.mine || line.state === 'failed' || line.deleted_at) {
      text(node, '');
      for (const name of ['title', 'role', 'aria-label', 'data-read']) attribute(node, name, null);
      return;
    }
    const conversation = actions.conversation();
    const isStored = line.state === 'stored';
    const readers = readersOf(line);
    let [sign, said] = isStored ? ['✓', 'Sent'] : ['○', 'Sending'];
    if (isStored && (conversation.delivered ?? 0) >= line.seq) [sign, said] = ['✓✓', 'Delivered'];
    if (readers.length) [sign, said] = ['✓✓', `Read by ${names(readers.map(({ name }) => name))}`];
    text(node, sign);
    attribute(node, 'data-read', readers.length ? 'true' : null);
    attribute(node, 'title', said);
    attribute(node, 'role', 'img');
    attribute(node, 'aria-label', said);
  }

  function lineOf(node) {
    return lines.get(node.closest('.line'));
  }

  return { stored, waiting, mark, make, update, lineOf };
}
