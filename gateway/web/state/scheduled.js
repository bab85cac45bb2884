// Messages to be sent later: mine alone, until their time comes.

import { newKey } from '../sdk/client.js';

export class Scheduled {
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
    gateway.on('message.schedule_failed', ({ scheduled }) => this.#take(scheduled));
    gateway.on('message.schedule_changed', ({ scheduled, gone }) => this.#take(scheduled, gone));
  }

  /** @returns {import('../sdk/protocol.js').ScheduledMessage[]} the next one first */
  of(conversationId) {
    const here = [...this.#byId.values()].filter((one) => one.conversation_id === conversationId);
    return here.sort((a, b) => Date.parse(a.send_at) - Date.parse(b.send_at));
  }

  /** Read all of it: after a connection was lost, what my other windows did is not told. */
  async load() {
    const { scheduled } = await this.#gateway.request('message.scheduled_list');
    this.#byId = new Map(scheduled.map((one) => [one.scheduled_id, one]));
    this.#changed();
  }

  async add(conversationId, text, sendAt) {
    const fields = { conversation_id: conversationId, client_key: newKey(), text, send_at: sendAt };
    this.#take((await this.#gateway.request('message.schedule', fields)).scheduled);
  }

  async change(id, text, sendAt) {
    const fields = { scheduled_id: id, text, send_at: sendAt };
    this.#take((await this.#gateway.request('message.reschedule', fields)).scheduled);
  }

  async cancel(id) {
    await this.#gateway.request('message.unschedule', { scheduled_id: id });
    this.#byId.delete(id);
    this.#changed();
  }

  /** Its message has come: it waits no longer. */
  sent(clientKey) {
    for (const [id, one] of this.#byId) {
      if (one.client_key === clientKey && this.#byId.delete(id)) this.#changed();
    }
  }

  #take(scheduled, gone = scheduled.state === 'sent') {
    if (gone) this.#byId.delete(scheduled.scheduled_id);
    else this.#byId.set(scheduled.scheduled_id, scheduled);
    this.#changed();
  }
}
