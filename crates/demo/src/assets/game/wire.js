// The game's frames: see wire.rs, which says what stands in them.

/** Points of a tail: what one carries is seen. */
const tailLength = (score) => Math.min(110, 12 + Math.floor((score * 3) / 4));

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const say = {
  play: (name) => Uint8Array.of(1, ...encoder.encode(name)),
  steer: (aim, boost) => Uint8Array.of(2, aim, boost ? 1 : 0),
  ping: (number) => {
    const frame = new DataView(new ArrayBuffer(5));
    frame.setUint8(0, 3);
    frame.setUint32(1, number, true);
    return frame;
  },
};

/** Reads a frame from its beginning to its end. */
class Reader {
  constructor(buffer) {
    this.view = new DataView(buffer);
    this.at = 0;
  }

  u8() { return this.view.getUint8(this.at++); }

  i8() { return this.view.getInt8(this.at++); }

  u16() { this.at += 2; return this.view.getUint16(this.at - 2, true); }

  u32() { this.at += 4; return this.view.getUint32(this.at - 4, true); }

  list(read) { for (let left = this.u8(); left > 0; left -= 1) read(); }

  round() {
    const [pause, until, winner] = [this.u8() === 1, this.u32(), this.u8()];
    return { pause, until, winner: winner === 255 ? null : winner };
  }

  name(comet) {
    comet.bot = this.u8() === 1;
    const length = this.u8();
    comet.name = decoder.decode(new Uint8Array(this.view.buffer, this.at, length));
    this.at += length;
  }

  mode(comet) {
    const byte = this.u8();
    comet.mode = byte & 3;
    comet.boost = (byte & 4) !== 0;
  }

  spark(sparks) {
    const [number, worth] = [this.u8(), this.u8()];
    sparks.set(number, { worth, x: this.u16(), y: this.u16() });
  }

  /** All that there is. */
  snapshot() {
    const state = { tick: this.u32(), millis: this.u16(), round: this.round(), comets: new Map(), sparks: new Map() };
    this.list(() => {
      const comet = { number: this.u8(), tail: [] };
      this.name(comet);
      this.mode(comet);
      Object.assign(comet, { score: this.u16(), wins: this.u8(), x: this.u16(), y: this.u16() });
      let { x, y } = comet;
      this.list(() => {
        x += this.i8();
        y += this.i8();
        comet.tail.push({ x, y });
      });
      state.comets.set(comet.number, comet);
    });
    this.list(() => this.spark(state.sparks));
    return state;
  }

  /** What a tick changed; `events` are told of each thing that happened in it. */
  changes(state, events) {
    const mask = this.u8();
    if (mask & 1) state.round = this.round();
    if (mask & 2) {
      this.list(() => {
        const number = this.u8();
        events.gone?.(state.comets.get(number));
        state.comets.delete(number);
      });
    }
    if (mask & 4) this.list(() => this.comet(state));
    if (mask & 8) {
      this.list(() => {
        const number = this.u8();
        events.taken?.(state.sparks.get(number));
        state.sparks.delete(number);
      });
    }
    if (mask & 16) this.list(() => this.spark(state.sparks));
    if (mask & 32) {
      this.list(() => {
        const [kind, who, what] = [this.u8(), this.u8(), this.u8()];
        if (kind === 1) events.crash?.(who, what);
        if (kind === 2) events.gathered?.(who, what);
      });
    }
  }

  comet(state) {
    const number = this.u8();
    const mask = this.u8();
    const blank = { number, tail: [], mode: 0, boost: false, score: 0, wins: 0, x: 0, y: 0 };
    const comet = state.comets.get(number) ?? blank;
    if (mask & 1) this.name(comet);
    if (mask & 2) {
      // Where it broke is still to be seen.
      comet.broken = comet.tail;
      comet.tail = [];
      [comet.x, comet.y] = [this.u16(), this.u16()];
    }
    if (mask & 4) {
      comet.tail.unshift({ x: comet.x, y: comet.y });
      comet.x += this.i8();
      comet.y += this.i8();
    }
    if (mask & 8) this.mode(comet);
    if (mask & 16) comet.score = this.u16();
    if (mask & 32) comet.wins = this.u8();
    comet.tail.length = Math.min(comet.tail.length, tailLength(comet.score));
    state.comets.set(number, comet);
  }
}

