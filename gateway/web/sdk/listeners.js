// Listeners by event type.

export class Listeners {
  #byType = new Map();

  /** Returns a function that removes the listener. */
  add(type, listener) {
    const listeners = this.#byType.get(type) ?? new Set();
    this.#byType.set(type, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit(type, event) {
    for (const listener of [...(this.#byType.get(type) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        // A failing listener must not cost the connection: report the error as the browser would.
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}
