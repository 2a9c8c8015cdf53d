// The option `retries`: events go out one at a time, each until it is acknowledged.

export class Retries {
  #queue = [];
  #isWaiting = false;

  /** `send(args, flags)` emits one event, whose last argument is called with `(error, ...answer)`. */
  constructor(limit, send) {
    this.limit = limit;
    this.send = send;
  }

  add(args, flags) {
    const done = typeof args[args.length - 1] === 'function' ? args.pop() : () => {};
    this.#queue.push({ args, flags, done, tries: 0 });
  }

  /** Sends the first one, unless its answer is still awaited. */
  next() {
    const [entry] = this.#queue;
    if (!entry || this.#isWaiting) return;
    this.#isWaiting = true;
    entry.tries += 1;
    const answered = (error, ...answer) => {
      if (entry !== this.#queue[0]) return;
      this.#isWaiting = false;
      if (error === null || entry.tries > this.limit) {
        this.#queue.shift();
        entry.done(error, ...answer);
      }
      this.next();
    };
    this.send([...entry.args, answered], entry.flags);
  }
}
