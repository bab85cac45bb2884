// My scheduled messages: visible to me only until they are sent.

import { newKey } from '../sdk/client.js';

export class ScheduledMessages {
  #gateway;
  #changed;
  #byId = new Map();

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {() => void} changed
   */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
    gateway.on('message.schedule_failed', ({ scheduled }) => this.#receive(scheduled));
    gateway.on('message.schedule_changed', ({ scheduled, gone }) => this.#receive(scheduled, gone));
  }

  /** @returns {import('../sdk/protocol.js').ScheduledMessage[]} the next one first */
  inConversation(conversationId) {
    const here = [...this.#byId.values()].filter((one) => one.conversation_id === conversationId);
    return here.sort((a, b) => Date.parse(a.send_at) - Date.parse(b.send_at));
  }

  /** Read all of them: changes made elsewhere while disconnected are not replayed. */
  async load() {
    const { scheduled } = await this.#gateway.request('message.scheduled_list');
    this.#byId = new Map(scheduled.map((one) => [one.scheduled_id, one]));
    this.#changed();
  }

  async add(conversationId, text, sendAt) {
    const fields = { conversation_id: conversationId, client_key: newKey(), text, send_at: sendAt };
    this.#receive((await this.#gateway.request('message.schedule', fields)).scheduled);
  }

  async change(id, text, sendAt) {
    const fields = { scheduled_id: id, text, send_at: sendAt };
    this.#receive((await this.#gateway.request('message.reschedule', fields)).scheduled);
  }

  async cancel(id) {
    await this.#gateway.request('message.unschedule', { scheduled_id: id });
    this.#byId.delete(id);
    this.#changed();
  }

  /** Remove a scheduled message that was sent. */
  removeSent(clientKey) {
    for (const [id, one] of this.#byId) {
      if (one.client_key === clientKey && this.#byId.delete(id)) this.#changed();
    }
  }

  #receive(scheduled, gone = scheduled.state === 'sent') {
    if (gone) this.#byId.delete(scheduled.scheduled_id);
    else this.#byId.set(scheduled.scheduled_id, scheduled);
    this.#changed();
  }
}
