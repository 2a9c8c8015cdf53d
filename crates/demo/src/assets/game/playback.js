// What came over the wire, shown a tenth of a second later: so there is nearly always a
// next place to fly to, and a late frame is not seen.

/** Ticks between what came and what is shown. */
const DELAY = 2.5;
/** Changes that wait at most; with more, as in a page that nobody sees, the oldest are not shown. */
const WAITING = 25;

class Playback {
  /** `events` are told of what happens, when it is shown. */
  constructor(events) {
    this.events = events;
    this.reset();
  }

  /** A new connection: all begins with what its first frame says. */
  reset() {
    this.state = null;
    this.waiting = [];
    this.head = 0;
    this.newest = { tick: 0, at: 0 };
  }

  /** All that there is at a tick. Changes may have come before it. */
  begin(state, now) {
    this.state = state;
    this.waiting = this.waiting.filter((one) => one.tick > state.tick);
    this.head = state.tick;
    this.newest = { tick: this.waiting.at(-1)?.tick ?? state.tick, at: now };
  }

  /** What a tick changed. */
  add(tick, reader, now) {
    if (this.state && tick <= this.state.tick) return;
    this.waiting.push({ tick, reader });
    this.newest = { tick, at: now };
    // Without the first frame nothing can be done with them: the server is about to send it.
    if (!this.state && this.waiting.length > 1000) throw new Error('the server sent no beginning');
    while (this.state && this.waiting.length > WAITING) this.apply();
  }

  /** Makes the next change. */
  apply() {
    const { tick, reader } = this.waiting.shift();
    if (tick !== this.state.tick + 1) throw new Error('a tick is missing');
    this.state.tick = tick;
    reader.changes(this.state, this.events);
  }

  /** Makes all changes that there are: for a page that nobody sees. */
  catchUp() {
    while (this.state && this.waiting.length > 0) this.apply();
  }

  /** Goes on by the time that has passed. Returns how far the tick of the state is, 0 to 1. */
  advance(now, passed) {
    const ticks = (time) => time / this.state.millis;
    const goal = Math.min(this.newest.tick, this.newest.tick - DELAY + ticks(now - this.newest.at));
    this.head += ticks(passed);
    const late = goal - this.head;
    // A little is made up for unseen; after a pause it is better to jump.
    if (Math.abs(late) > 10) this.head = goal;
    else this.head += late * Math.min(1, passed / 400);
    while (this.waiting.length > 0 && this.state.tick < this.head) this.apply();
    return Math.max(0, Math.min(1, this.head - (this.state.tick - 1)));
  }
}

/** Where a comet is between the last tick and this one. */
function between(comet, part) {
  const before = comet.tail[0] ?? comet;
  return { x: before.x + (comet.x - before.x) * part, y: before.y + (comet.y - before.y) * part };
}

