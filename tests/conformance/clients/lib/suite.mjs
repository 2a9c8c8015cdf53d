// A small test runner for Node and for a page: tests one after the other, each bounded in time.

/** Longest time for one test, in ms; three reconnects of an EventSource fit in easily. */
export const TEST_LIMIT = 60_000;
/** Longest wait for one thing to happen, in ms. */
export const WAIT_LIMIT = 20_000;

/** The promise's outcome, or an error that says what did not happen in time. */
export async function within(limit, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${limit / 1000} s`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What came, in order, until somebody asks for it. */
export class Inbox {
  #items = [];
  #waiting = null;
  #closed = null;

  push(item) {
    this.#items.push(item);
    this.#wake();
  }

  /** Nothing more will come: whoever waits is told why. */
  close(reason) {
    this.#closed ??= reason;
    this.#wake();
  }

  #wake() {
    this.#waiting?.();
    this.#waiting = null;
  }

  /** How many came that nobody has asked for. */
  get size() {
    return this.#items.length;
  }

  /** The next one. */
  async next(what, limit = WAIT_LIMIT) {
    while (this.#items.length === 0) {
      if (this.#closed !== null) throw new Error(`${what}: nothing more comes: ${this.#closed}`);
      await within(limit, what, new Promise((resolve) => (this.#waiting = resolve)));
    }
    return this.#items.shift();
  }

  /** The next `count`. */
  async take(count, what) {
    const items = [];
    while (items.length < count) {
      items.push(await this.next(`${what} (${items.length + 1} of ${count})`));
    }
    return items;
  }
}

/** Fails unless both are the same as JSON. */
export function equal(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a === b) return;
  if (Array.isArray(actual) && Array.isArray(expected) && b.length > 300) {
    const at = expected.findIndex((one, index) => JSON.stringify(one) !== JSON.stringify(actual[index]));
    const [got, wanted] = [actual, expected].map((list) => JSON.stringify(list[at]) ?? 'nothing more');
    throw new Error(`${what}: of ${expected.length}, number ${at}: expected ${wanted}, got ${got}`);
  }
  throw new Error(`${what}: expected ${b}, got ${a}`);
}

/** Fails unless `condition` holds. */
export function check(condition, what) {
  if (!condition) throw new Error(what);
}

/**
 * Runs `tests`, an object of name → async function({ defer }), in their order, and gives each
 * result `{ name, ok, detail }` to `report`. What was deferred runs after its test, last first.
 */
export async function runTests(tests, report, limit = TEST_LIMIT) {
  let failed = 0;
  for (const [name, body] of Object.entries(tests)) {
    const deferred = [];
    let detail = '';
    try {
      await within(limit, 'the end of the test', body({ defer: (f) => deferred.push(f) }));
    } catch (error) {
      detail = String(error?.message ?? error).replaceAll('\n', ' ') || 'failed';
    }
    for (const undo of deferred.reverse()) {
      try {
        await undo();
      } catch (error) {
        detail ||= `cleaning up: ${error}`;
      }
    }
    const ok = detail === '';
    if (!ok) failed += 1;
    await report({ name, ok, detail });
  }
  return { total: Object.keys(tests).length, failed };
}

/** A report for `runTests` that prints TAP lines, each with `prefix`. */
export function tap(prefix, print = console.log) {
  return ({ name, ok, detail }) =>
    print(ok ? `ok ${prefix}: ${name}` : `not ok ${prefix}: ${name} # ${detail}`);
}
