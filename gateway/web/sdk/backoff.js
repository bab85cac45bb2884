// How long to wait before coming back: what a close said, or exponential back-off.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const LIVED_MS = 10_000; // a connection that held this long starts the back-off anew

/** Full jitter: a thousand clients that lost one node must not return in one moment. */
export class Backoff {
  #failures = 0;

  /**
   * Milliseconds until the next attempt.
   * @param {'stop' | 'refresh' | 'back_off' | 'now'} verdict
   * @param {[number, number] | null} [window] the server's `retry_in`
   */
  next(verdict, window = null) {
    const failures = this.#failures;
    this.#failures += 1;
    // A node that says "come back now" again and again is treated as one that is away.
    const patient = failures >= 3;
    if (window && !patient) return between(window[0], window[1]);
    if ((verdict === 'now' || verdict === 'refresh') && !patient) return between(0, FIRST_MS);
    return between(0, Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10)));
  }

  /** Tell that a connection ended which had been live for this long. */
  lived(ms) {
    if (ms >= LIVED_MS) this.#failures = 0;
  }

  /** Forget the failures: the person asked, or the network came back. */
  reset() {
    this.#failures = 0;
  }
}

function between(low, high) {
  return Math.round(low + Math.random() * (high - low));
}
