// What can be done with the message under the pointer, or with the focus: a bar beside it, and a menu.

import { permalink } from '../state/route.js';
import { element } from './elements.js';
import { names } from './format.js';

const EMOJI = ['👍', '❤️', '😂', '🎉', '😮', '😢', '🙏', '✅', '👀', '🔥', '👏', '🤔'];

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Deeds} deeds
 * @param {{lineOf: (node: Element) => any, conversation: () => any, reply: (line: any) => void,
 *   edit: (node: Element, line: any) => void, thread: (seq: number) => void,
 *   react: (line: any, emoji: string) => void}} actions
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function messageTools(store, deeds, actions, { popover, question, notices }) {
  let under = null; // the line that the bar stands in
  const button = (label, sign, testid, onclick) => element(
    'button', { type: 'button', 'aria-label': label, title: label, testid, onclick }, sign,
  );
  const react = button('React', '☺', 'react', ({ currentTarget }) => pick(currentTarget));
  const reply = button('Reply', '↩', 'reply', () => actions.reply(actions.lineOf(under)));
  const more = button('More', '⋯', 'message-menu', ({ currentTarget }) => open(currentTarget));
  const bar = element('div', {
    class: 'tools', role: 'toolbar', 'aria-label': 'Message', 'aria-live': 'off', testid: 'tools',
  }, react, reply, more);

  /** Serve the lines of this list. */
  function attach(items) {
    items.addEventListener('pointerover', ({ target }) => settle(target.closest('.line')));
    items.addEventListener('focusin', ({ target }) => settle(target.closest('.line')));
    items.addEventListener('keydown', pressed);
    items.addEventListener('contextmenu', (event) => {
      const line = event.target.closest('.line');
      if (event.pointerType !== 'touch' || !line) return; // a mouse has the bar, and its own menu
      event.preventDefault();
      settle(line);
      open(line.querySelector('.bubble'));
    });
  }

  function settle(node) {
    if (!node || node === under && bar.isConnected) return;
    const line = actions.lineOf(node);
    if (!line || line.state !== 'stored' || line.deleted_at || line.kind === 'system') {
      if (node !== under) bar.remove();
      return;
    }
    under = node;
    react.hidden = reply.hidden = Boolean(actions.conversation().closed_at);
    node.querySelector('.message').append(bar);
  }

  /** Up and down move from message to message, Enter opens the menu of one. */
  function pressed(event) {
    const node = event.target;
    if (!node.classList.contains('line')) return;
    if (event.key === 'ArrowUp') node.previousElementSibling?.focus();
    else if (event.key === 'ArrowDown') node.nextElementSibling?.focus();
    else if (event.key === 'Enter' && bar.isConnected && under === node) open(more);
    else return;
    event.preventDefault();
  }

  function pick(anchor) {
    const line = actions.lineOf(under);
    const items = EMOJI.map((emoji) => ({
      name: emoji, testid: 'emoji', act: () => actions.react(line, emoji),
    }));
    popover.open(anchor, { label: 'Choose a reaction', items, grid: true });
  }

  function open(anchor) {
    const [node, line] = [under, actions.lineOf(under)];
    const conversation = actions.conversation();
    const closed = Boolean(conversation.closed_at);
    const mayDelete = line.mine || store.moderates(conversation) || store.permissions.has('messages.delete_any');
    const items = [
      !closed && { name: 'React…', act: () => pick(anchor) },
      !closed && { name: 'Reply', act: () => actions.reply(line) },
      { name: 'Open the thread', testid: 'open-thread', act: () => actions.thread(line.reply_to_seq ?? line.seq) },
      line.mine && !closed && { name: 'Edit', testid: 'edit', act: () => actions.edit(node, line) },
      { name: 'Copy the text', act: () => copy(store.words.said(line), 'The text is copied.') },
      {
        name: 'Copy the link', testid: 'copy-link',
        act: () => copy(permalink(conversation.id, line.seq), 'The link is copied.'),
      },
      !line.mine && {
        name: 'Mark unread from here', testid: 'mark-unread',
        act: () => notices.attempt(() => store.reading.markUnread(conversation, line.seq)),
      },
      line.mine && { name: 'Who has read it', testid: 'readers', act: () => tellReaders(line) },
      mayDelete && { name: 'Delete…', testid: 'delete', danger: true, apart: true, act: () => remove(line) },
    ];
    popover.open(anchor, { label: 'What to do with this message', items: items.filter(Boolean) });
  }

  async function copy(written, said) {
    await notices.attempt(async () => {
      await navigator.clipboard.writeText(written);
      notices.say(said);
    });
  }

  async function tellReaders(line) {
    const found = await notices.attempt(() => store.reading.readersOf(line));
    if (!found) return;
    const { read_by: ids, read_count: read, delivered_count: delivered, participant_count: of } = found;
    const who = ids.map((id) => store.people.name(id));
    const said = read ? `Read by ${read} of ${of}: ${names(who)}.` : `Not read yet, delivered to ${delivered} of ${of}.`;
    notices.say(said);
  }

  async function remove(line) {
    const about = `Delete this message?\n“${shortened(store.words.said(line))}”`;
    if (await question.ask(about, 'Delete')) await notices.attempt(() => deeds.delete(line));
  }

  return { attach };
}

function shortened(said) {
  const letters = [...said];
  return letters.length > 120 ? `${letters.slice(0, 120).join('')}…` : said;
}
