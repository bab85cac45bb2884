// Detects a dead connection: silence for too long; and reports changes of network and window.

export class Watchdog {
  #timer = 0;
  #probe = 0;
  #receivedAt = 0;

  /** Call onSilence() once nothing was received for limitMs; replaces the limit before. */
  start(limitMs, onSilence) {
    this.stop();
    this.received();
    const check = () => {
      const left = this.#receivedAt + limitMs - Date.now();
      if (left <= 0) onSilence();
      else this.#timer = setTimeout(check, left);
    };
    this.#timer = setTimeout(check, limitMs);
  }

  /** Call onSilence() if nothing is received from now on for limitMs; the other limit stays. */
  expect(limitMs, onSilence) {
    const startedAt = Date.now();
    clearTimeout(this.#probe);
    this.#probe = setTimeout(() => this.#receivedAt < startedAt && onSilence(), limitMs);
  }

  received() {
    this.#receivedAt = Date.now(); // one assignment per frame; the timer reads it when it fires
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#probe);
  }
}

/**
 * Call listener when the network comes or goes, or the window is shown again: timers may have slept.
 * @param {(offline: boolean) => void} listener
 * @returns {() => void} stops listening
 */
export function onNetworkChange(listener) {
  const listen = (event) => {
    if (!globalThis.document?.hidden) listener(event.type === 'offline');
  };
  globalThis.addEventListener?.('online', listen);
  globalThis.addEventListener?.('offline', listen);
  globalThis.document?.addEventListener('visibilitychange', listen);
  return () => {
    globalThis.removeEventListener?.('online', listen);
    globalThis.removeEventListener?.('offline', listen);
    globalThis.document?.removeEventListener('visibilitychange', listen);
  };
}
