// How long to wait before the next attempt: as a close asked, or exponential back-off.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const STABLE_MS = 10_000; // a connection that lived this long resets the back-off

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
    // A node that closes with "come back now" 3 times in a row is treated as unreachable.
    const tooOften = failures >= 3;
    if (window && !tooOften) return between(window[0], window[1]);
    if ((verdict === 'now' || verdict === 'refresh') && !tooOften) return between(0, FIRST_MS);
    return between(0, Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10)));
  }

  /** Report that a connection ended after it had been live for this long. */
  connectionEnded(ms) {
    if (ms >= STABLE_MS) this.#failures = 0;
  }

  /** Forget the failures: the person asked for it, or the network came back. */
  reset() {
    this.#failures = 0;
  }
}

function between(low, high) {
  return Math.round(low + Math.random() * (high - low));
}
