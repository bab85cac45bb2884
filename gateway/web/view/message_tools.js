// The actions for the message under the pointer or with the focus: a bar beside it, and a menu.

import { permalink } from '../state/route.js';
import { element } from './elements.js';
import { joinNames } from './format.js';

const EMOJI = ['👍', '❤️', '😂', '🎉', '😮', '😢', '🙏', '✅', '👀', '🔥', '👏', '🤔'];

/**
 * @param {import('../state/store.js').Store} store
 * @param {import('../state/actions.js').Actions} actions
 * @param {{lineOf: (node: Element) => any, conversation: () => any, reply: (line: any) => void,
 *   edit: (node: Element, line: any) => void, thread: (seq: number) => void,
 *   react: (line: any, emoji: string) => void}} handlers
 * @param {{popover: any, question: any, notices: any}} ui
 */
export function messageTools(store, actions, handlers, { popover, question, notices }) {
  let activeLine = null; // the line that contains the bar
  const button = (label, sign, testid, onclick) => element(
    'button', { type: 'button', 'aria-label': label, title: label, testid, onclick }, sign,
  );
  const react = button('React', '☺', 'react', ({ currentTarget }) => pickReaction(currentTarget));
  const reply = button('Reply', '↩', 'reply', () => handlers.reply(handlers.lineOf(activeLine)));
  const more = button('More', '⋯', 'message-menu', ({ currentTarget }) => open(currentTarget));
  const bar = element('div', {
    class: 'tools', role: 'toolbar', 'aria-label': 'Message', 'aria-live': 'off', testid: 'tools',
  }, react, reply, more);

  /** Show the bar in the lines of this list. */
  function attach(items) {
    items.addEventListener('pointerover', ({ target }) => showAt(target.closest('.line')));
    items.addEventListener('focusin', ({ target }) => showAt(target.closest('.line')));
    items.addEventListener('keydown', onKey);
    items.addEventListener('contextmenu', (event) => {
      const line = event.target.closest('.line');
      if (event.pointerType !== 'touch' || !line) return; // with a mouse there is the bar, and the browser's menu
      event.preventDefault();
      showAt(line);
      open(line.querySelector('.bubble'));
    });
  }

  function showAt(node) {
    if (!node || node === activeLine && bar.isConnected) return;
    const line = handlers.lineOf(node);
    if (!line || line.state !== 'stored' || line.deleted_at || line.kind === 'system') {
      if (node !== activeLine) bar.remove();
      return;
    }
    activeLine = node;
    react.hidden = reply.hidden = Boolean(handlers.conversation().closed_at);
    node.querySelector('.message').append(bar);
  }

  /** Up and down move between messages, Enter opens the menu. */
  function onKey(event) {
    const node = event.target;
    if (!node.classList.contains('line')) return;
    if (event.key === 'ArrowUp') node.previousElementSibling?.focus();
    else if (event.key === 'ArrowDown') node.nextElementSibling?.focus();
    else if (event.key === 'Enter' && bar.isConnected && activeLine === node) open(more);
    else return;
    event.preventDefault();
  }

  function pickReaction(anchor) {
    const line = handlers.lineOf(activeLine);
    const items = EMOJI.map((emoji) => ({
      name: emoji, testid: 'emoji', act: () => handlers.react(line, emoji),
    }));
    popover.open(anchor, { label: 'Choose a reaction', items, grid: true });
  }

  function open(anchor) {
    const [node, line] = [activeLine, handlers.lineOf(activeLine)];
    const conversation = handlers.conversation();
    const closed = Boolean(conversation.closed_at);
    const mayDelete = line.mine || store.canModerate(conversation) || store.permissions.has('messages.delete_any');
    const items = [
      !closed && { name: 'React…', act: () => pickReaction(anchor) },
      !closed && { name: 'Reply', act: () => handlers.reply(line) },
      { name: 'Open the thread', testid: 'open-thread', act: () => handlers.thread(line.reply_to_seq ?? line.seq) },
      line.mine && !closed && { name: 'Edit', testid: 'edit', act: () => handlers.edit(node, line) },
      { name: 'Copy the text', act: () => copy(store.messageText.plainText(line), 'Text copied.') },
      {
        name: 'Copy the link', testid: 'copy-link',
        act: () => copy(permalink(conversation.id, line.seq), 'Link copied.'),
      },
      !line.mine && {
        name: 'Mark as unread from here', testid: 'mark-unread',
        act: () => notices.attempt(() => store.receipts.markUnread(conversation, line.seq)),
      },
      line.mine && { name: 'Read by…', testid: 'readers', act: () => showReaders(line) },
      mayDelete && { name: 'Delete…', testid: 'delete', danger: true, apart: true, act: () => remove(line) },
    ];
    popover.open(anchor, { label: 'Message actions', items: items.filter(Boolean) });
  }

  async function copy(value, notice) {
    await notices.attempt(async () => {
      await navigator.clipboard.writeText(value);
      notices.show(notice);
    });
  }

  async function showReaders(line) {
    const found = await notices.attempt(() => store.receipts.loadReaders(line));
    if (!found) return;
    const { read_by: ids, read_count: read, delivered_count: delivered, participant_count: of } = found;
    const who = ids.map((id) => store.people.nameOf(id));
    const notice = read ? `Read by ${read} of ${of}: ${joinNames(who)}.` : `Not read yet. Delivered to ${delivered} of ${of}.`;
    notices.show(notice);
  }

  async function remove(line) {
    const about = `Delete this message?\n“${shortened(store.messageText.plainText(line))}”`;
    if (await question.ask(about, 'Delete')) await notices.attempt(() => actions.delete(line));
  }

  return { attach };
}

function shortened(content) {
  const letters = [...content];
  return letters.length > 120 ? `${letters.slice(0, 120).join('')}…` : content;
}
