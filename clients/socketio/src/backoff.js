// How long to wait before the next attempt.

/** Doubles from `min` to `max` ms; each delay is off by up to `jitter` (0 to 1) of itself. */
export class Backoff {
  attempts = 0;

  /** The next delay in ms, never above `max`: clients that lost a server together come back apart. */
  next(min, max, jitter) {
    const delay = Math.min(max, min * 2 ** this.attempts);
    this.attempts += 1;
    return Math.min(max, delay * (1 + jitter * (2 * Math.random() - 1)));
  }
}
