// Signs of life: when nothing was heard for too long, and when the network or the window changed.

export class Watchdog {
  #timer = 0;
  #probe = 0;
  #heardAt = 0;

  /** Call dead() once nothing was heard for limitMs; replaces the watch before. */
  watch(limitMs, dead) {
    this.stop();
    this.heard();
    const look = () => {
      const left = this.#heardAt + limitMs - Date.now();
      if (left <= 0) dead();
      else this.#timer = setTimeout(look, left);
    };
    this.#timer = setTimeout(look, limitMs);
  }

  /** Call dead() when nothing is heard from now on for limitMs; the watch goes on beside it. */
  expect(limitMs, dead) {
    const asked = Date.now();
    clearTimeout(this.#probe);
    this.#probe = setTimeout(() => this.#heardAt < asked && dead(), limitMs);
  }

  heard() {
    this.#heardAt = Date.now(); // one number a frame; the timer looks at it when it fires
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#probe);
  }
}

/**
 * Call listener when the network comes or goes, or the window is shown again: timers slept.
 * @param {(offline: boolean) => void} listener
 * @returns {() => void} stops hearing
 */
export function onNetworkChange(listener) {
  const hear = (event) => {
    if (!globalThis.document?.hidden) listener(event.type === 'offline');
  };
  globalThis.addEventListener?.('online', hear);
  globalThis.addEventListener?.('offline', hear);
  globalThis.document?.addEventListener('visibilitychange', hear);
  return () => {
    globalThis.removeEventListener?.('online', hear);
    globalThis.removeEventListener?.('offline', hear);
    globalThis.document?.removeEventListener('visibilitychange', hear);
  };
}
