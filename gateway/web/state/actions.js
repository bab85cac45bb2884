// What a person does to conversations and messages.
//
// views ─▶ Actions ─▶ a command of the gateway; its reply ─▶ Store.

export class Actions {
  #gateway;
  #store;

  /**
   * @param {import('../sdk/client.js').Gateway} gateway
   * @param {import('./store.js').Store} store
   */
  constructor(gateway, store) {
    this.#gateway = gateway;
    this.#store = store;
  }

  // --- conversations ---------------------------------------------------------------------------

  open(employeeId) {
    return this.#conversation('conversation.open', { employee_id: employeeId });
  }

  create(title, employeeIds) {
    return this.#conversation('conversation.create', { title, employee_ids: employeeIds });
  }

  /** @param {{title?: string, avatar_url?: string, history?: 'all' | 'joined'}} fields */
  update({ id }, fields) {
    return this.#conversation('conversation.update', { conversation_id: id, ...fields });
  }

  add({ id }, employeeIds) {
    return this.#conversation('conversation.add', { conversation_id: id, employee_ids: employeeIds });
  }

  remove({ id }, employeeId) {
    return this.#conversation('conversation.remove', { conversation_id: id, employee_id: employeeId });
  }

  setRole({ id }, employeeId, role) {
    return this.#conversation('conversation.set_role', {
      conversation_id: id, employee_id: employeeId, role,
    });
  }

  setClosed({ id }, closed) {
    return this.#conversation(`conversation.${closed ? 'close' : 'reopen'}`, { conversation_id: id });
  }

  async leave({ id }) {
    await this.#gateway.request('conversation.leave', { conversation_id: id });
    this.#store.removeConversation(id);
  }

  // --- my preferences for conversations ----------------------------------------------------------

  setArchived({ id }, archived) {
    return this.#changePreferences(`conversation.${archived ? 'archive' : 'unarchive'}`, { conversation_id: id });
  }

  setPinned({ id }, pinned) {
    return this.#changePreferences(`conversation.${pinned ? 'pin' : 'unpin'}`, { conversation_id: id });
  }

  /** @param {Date | null} until null: unmute */
  mute({ id }, until) {
    return this.#changePreferences('conversation.mute', { conversation_id: id, until: until?.toISOString() ?? null });
  }

  notify({ id }, level) {
    return this.#changePreferences('conversation.notify', { conversation_id: id, level });
  }

  // --- messages --------------------------------------------------------------------------------

  async edit({ conversation_id, seq }, text) {
    const fields = { conversation_id, seq, text };
    this.#store.timeline.updateMessage((await this.#gateway.request('message.edit', fields)).message);
  }

  async delete({ conversation_id, seq }) {
    const fields = { conversation_id, seq };
    this.#store.timeline.updateMessage((await this.#gateway.request('message.delete', fields)).message);
  }

  /** Add my reaction to a message, or remove it. */
  async toggleReaction({ conversation_id, seq, reactions }, emoji) {
    const mine = reactions.some((one) => one.emoji === emoji && one.employee_ids.includes(this.#store.me.id));
    const fields = { conversation_id, seq, emoji };
    this.#store.timeline.updateReactions(
      await this.#gateway.request(mine ? 'reaction.remove' : 'reaction.add', fields),
    );
  }

  // --- search ------------------------------------------------------------------------------------

  /** @returns {Promise<import('../sdk/protocol.js').MessagesFound>} */
  searchMessages(text, cursor = null) {
    return this.#gateway.request('message.search', { text, ...(cursor && { cursor }) });
  }

  /** @returns {Promise<import('../sdk/protocol.js').Employee[]>} */
  async searchPeople(text, limit = 50) {
    const found = await this.#gateway.request('employee.search', { text, limit });
    this.#store.people.receivePresences(found.presences);
    this.#store.people.watchAlso(found.employees);
    return found.employees;
  }

  async #conversation(type, fields) {
    return this.#store.addConversation((await this.#gateway.request(type, fields)).conversation);
  }

  async #changePreferences(type, fields) {
    this.#store.preferencesChanged(await this.#gateway.request(type, fields));
  }
}
