// The picture. Lengths are those of the arena; names stand at all comets and letters on
// their heads, so that nobody has to tell colours apart.

const ARENA = { width: 1280, height: 800 };
const still = matchMedia('(prefers-reduced-motion: reduce)');
const PALETTE = {
  light: ['#08705f', '#a85508', '#1f5fa8', '#b0241c', '#5a3fb0', '#6f6100', '#9c2f78', '#44701a'],
  dark: ['#5ad6bf', '#f2b366', '#8cc2ff', '#ff8d82', '#b9a5ff', '#e3dc6c', '#f29ad0', '#a6d873'],
};

/** What passes: rings and splinters. At most 250. */
class Sparkle {
  constructor() { this.all = []; }

  add(one) { if (this.all.length < 250 && !document.hidden) this.all.push({ age: 0, ...one }); }

  ring(x, y, colour, size = 26, life = 420) { this.add({ kind: 'ring', x, y, colour, size, life }); }

  text(x, y, colour, text) { this.add({ kind: 'text', x, y, colour, text, life: 900 }); }

  burst(points, colour) {
    if (still.matches) return;
    for (const { x, y } of points) {
      const [angle, speed] = [Math.random() * Math.PI * 2, 0.02 + Math.random() * 0.09];
      const [dx, dy] = [Math.cos(angle) * speed, Math.sin(angle) * speed];
      this.add({ kind: 'piece', x, y, dx, dy, colour, size: 2 + Math.random() * 3, life: 500 + Math.random() * 500 });
    }
  }

  draw(pen, passed) {
    this.all = this.all.filter((one) => (one.age += passed) < one.life);
    for (const one of this.all) {
      const part = one.age / one.life;
      pen.globalAlpha = (1 - part) ** 1.5;
      pen.fillStyle = pen.strokeStyle = one.colour;
      if (one.kind === 'ring') {
        pen.lineWidth = 2.5;
        pen.beginPath();
        pen.arc(one.x, one.y, still.matches ? one.size : one.size * (0.4 + 0.6 * part), 0, Math.PI * 2);
        pen.stroke();
      } else if (one.kind === 'text') {
        pen.font = '600 20px system-ui, sans-serif';
        pen.textAlign = 'center';
        pen.fillText(one.text, one.x, one.y - 24 - (still.matches ? 0 : part * 26));
      } else {
        pen.beginPath();
        pen.arc(one.x + one.dx * one.age, one.y + one.dy * one.age, one.size * (1 - part / 2), 0, Math.PI * 2);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }
}

class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext('2d');
    this.sparkle = new Sparkle();
    this.eye = { x: ARENA.width / 2, y: ARENA.height / 2 };
    this.scale = 1;
    this.read();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.read());
    new MutationObserver(() => this.read()).observe(document.documentElement, { attributeFilter: ['data-theme'] });
    new ResizeObserver(() => this.measure()).observe(canvas);
    this.measure();
  }

  /** The page's colours. */
  read() {
    const probe = document.createElement('i');
    // These, where the system has colours of its own, too: all would be the same else.
    probe.style.forcedColorAdjust = 'none';
    document.body.append(probe);
    const read = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    this.colour = Object.fromEntries(['paper', 'card', 'ink', 'faint', 'line', 'accent', 'warn']
      .map((name) => [name, read(`--${name}`)]));
    probe.remove();
    const [red, green, blue] = this.colour.paper.match(/[\d.]+/g).map(Number);
    this.dark = red + green + blue < 384;
    this.mixed = {};
    this.palette = this.dark ? PALETTE.dark : PALETTE.light;
  }

  measure() {
    const { clientWidth, clientHeight } = this.canvas;
    const dots = Math.min(3, devicePixelRatio || 1);
    [this.width, this.height, this.dots] = [clientWidth, clientHeight, dots];
    this.canvas.width = Math.round(clientWidth * dots);
    this.canvas.height = Math.round(clientHeight * dots);
  }

  of(comet) { return this.palette[comet.number % this.palette.length]; }

  /** Its colour in steps out of the paper. */
  shades(comet) {
    const colour = this.of(comet);
    return this.mixed[colour] ??= Array.from({ length: 28 }, (_, n) =>
      `color-mix(in srgb, ${colour} ${28 + 2.6 * n}%, ${this.colour.card})`);
  }

  /** Where a point of the canvas (CSS pixels) lies in the arena. */
  place(x, y) {
    return { x: this.eye.x + (x - this.width / 2) / this.scale, y: this.eye.y + (y - this.height / 2) / this.scale };
  }

  /** The whole arena where it is large enough, else what is around the own comet. */
  look(own, passed) {
    const [wide, high] = [this.width / ARENA.width, this.height / ARENA.height];
    const fit = Math.min(wide, high);
    this.scale = fit > 0.6 ? fit : Math.min(Math.max(wide, high), 0.75);
    const goal = own ?? { x: ARENA.width / 2, y: ARENA.height / 2 };
    const held = (at, shown, whole) => {
      const half = shown / 2 / this.scale;
      return half * 2 >= whole ? whole / 2 : Math.max(half - 20, Math.min(whole - half + 20, at));
    };
    const to = { x: held(goal.x, this.width, ARENA.width), y: held(goal.y, this.height, ARENA.height) };
    const far = Math.hypot(to.x - this.eye.x, to.y - this.eye.y) > 500;
    const part = far || still.matches ? 1 : 1 - Math.exp(-passed / 90);
    this.eye.x += (to.x - this.eye.x) * part;
    this.eye.y += (to.y - this.eye.y) * part;
  }

  /** One picture. `part`: how far the tick is; `you`: your comet's number; `aim`: whereto. */
  draw({ state, part, you, aim, standing, now, passed }) {
    const { pen, colour } = this;
    const mine = state.comets.get(you);
    const own = mine && unit(between(mine, part));
    this.look(own, passed);
    const zoom = this.scale * this.dots;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = colour.paper;
    pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    pen.setTransform(zoom, 0, 0, zoom, this.canvas.width / 2 - this.eye.x * zoom, this.canvas.height / 2 - this.eye.y * zoom);
    this.field();
    for (const spark of state.sparks.values()) this.spark(spark, now);
    const others = [...state.comets.values()].filter((comet) => comet !== mine);
    for (const comet of [...others, ...(mine ? [mine] : [])]) {
      if (comet.mode !== 0) this.comet(comet, part, comet === mine, now);
    }
    if (own && mine.mode !== 0 && aim !== null) this.arrow(own, aim);
    this.sparkle.draw(pen, passed);
    for (const comet of state.comets.values()) if (comet.mode !== 0) this.name(comet, part, comet === mine, state);
    if (mine) this.standing(standing);
  }

  /** The own score, where the board is out of sight. */
  standing(words) {
    const { pen, colour, dots } = this;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.font = '600 15px system-ui, sans-serif';
    pen.textAlign = 'left';
    pen.lineWidth = 4;
    pen.strokeStyle = colour.card;
    pen.fillStyle = colour.ink;
    pen.strokeText(words, 16, 29);
    pen.fillText(words, 16, 29);
  }

  field() {
    const { pen, colour } = this;
    pen.fillStyle = colour.card;
    pen.strokeStyle = colour.line;
    pen.lineWidth = 3;
    pen.beginPath();
    pen.roundRect(0, 0, ARENA.width, ARENA.height, 18);
    pen.fill();
    pen.stroke();
    pen.fillStyle = colour.line;
    for (let x = 50; x < ARENA.width; x += 100) {
      for (let y = 50; y < ARENA.height; y += 100) pen.fillRect(x - 1.5, y - 1.5, 3, 3);
    }
  }

  spark(spark, now) {
    const { pen, colour } = this;
    const { x, y } = unit(spark);
    const breath = still.matches ? 1 : 1 + 0.12 * Math.sin(now / 300 + x);
    const big = spark.worth >= 5;
    const size = (3.4 + Math.min(9, Math.sqrt(spark.worth - 1) * 2.6)) * breath;
    pen.fillStyle = big ? colour.warn : colour.accent;
    pen.globalAlpha = 0.16;
    pen.beginPath();
    pen.arc(x, y, size * 2.4, 0, Math.PI * 2);
    pen.fill();
    pen.globalAlpha = 1;
    pen.beginPath();
    if (big) {
      const long = size * 1.35;
      pen.moveTo(x, y - long);
      pen.lineTo(x + size, y);
      pen.lineTo(x, y + long);
      pen.lineTo(x - size, y);
    } else pen.arc(x, y, size, 0, Math.PI * 2);
    pen.fill();
  }

  comet(comet, part, own, now) {
    const { pen, colour } = this;
    const ink = this.of(comet);
    const head = unit(between(comet, part));
    const shielded = comet.mode === 1;
    // The tail's end goes with the head: between two of its points, as far as the tick is.
    const points = [head, ...comet.tail.map(unit)];
    const last = points.length - 1;
    if (last > 1) {
      const [end, before] = [points[last], points[last - 1]];
      points[last] = { x: end.x + (before.x - end.x) * part, y: end.y + (before.y - end.y) * part };
    }
    this.tail(points, this.shades(comet), shielded ? 0.5 + (still.matches ? 0 : 0.25 * Math.sin(now / 90)) : 1);
    if (comet.boost) {
      pen.globalAlpha = 0.25;
      pen.fillStyle = ink;
      pen.beginPath();
      pen.arc(head.x, head.y, 21, 0, Math.PI * 2);
      pen.fill();
    }
    pen.globalAlpha = shielded ? 0.8 : 1;
    pen.fillStyle = ink;
    pen.beginPath();
    pen.arc(head.x, head.y, 12, 0, Math.PI * 2);
    pen.fill();
    if (own || shielded) {
      pen.strokeStyle = own ? colour.ink : ink;
      pen.lineWidth = own ? 3 : 1.5;
      pen.beginPath();
      pen.arc(head.x, head.y, own ? 14 : 19, 0, Math.PI * 2);
      pen.stroke();
    }
    pen.globalAlpha = 1;
    pen.fillStyle = this.dark ? '#0d1412' : '#ffffff';
    pen.font = '700 14px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.fillText([...comet.name][0].toUpperCase(), head.x, head.y + 5);
  }

  /** From its end to the head: thicker and clearer, in as many steps as there are shades. */
  tail(points, shades, solid) {
    const { pen } = this;
    const last = points.length - 1;
    pen.globalAlpha = solid;
    pen.lineCap = pen.lineJoin = 'round';
    shades.forEach((shade, step) => {
      const at = (n) => Math.round(last * (1 - n / shades.length));
      const [from, to] = [at(step), at(step + 1)];
      if (from === to) return;
      pen.strokeStyle = shade;
      pen.lineWidth = 4 + (14 * (step + 1)) / shades.length;
      pen.beginPath();
      pen.moveTo(points[from].x, points[from].y);
      for (let n = from - 1; n >= to; n -= 1) pen.lineTo(points[n].x, points[n].y);
      pen.stroke();
    });
    pen.globalAlpha = 1;
  }

  /** Whereto: seen at once, before the server has heard of it. */
  arrow(own, aim) {
    const { pen, colour } = this;
    const angle = (aim / 128) * Math.PI;
    pen.save();
    pen.translate(own.x, own.y);
    pen.rotate(angle);
    pen.fillStyle = colour.ink;
    pen.beginPath();
    pen.moveTo(36, 0);
    pen.lineTo(23, -8);
    pen.lineTo(26, 0);
    pen.lineTo(23, 8);
    pen.fill();
    pen.restore();
  }

  name(comet, part, own, state) {
    const { pen, colour } = this;
    const { x, y } = unit(between(comet, part));
    const size = Math.max(15, 12 / this.scale);
    pen.font = `${own ? 700 : 500} ${size}px system-ui, sans-serif`;
    pen.textAlign = 'center';
    pen.lineWidth = 4;
    pen.strokeStyle = colour.card;
    pen.fillStyle = own ? colour.ink : colour.faint;
    const crown = state.round.winner === comet.number ? '★ ' : '';
    const label = `${crown}${comet.name}${comet.bot ? ' (bot)' : ''}`;
    const above = y < 50 ? y + 26 + size : y - 23;
    const half = pen.measureText(label).width / 2 + 4;
    const inside = Math.max(half, Math.min(ARENA.width - half, x));
    pen.strokeText(label, inside, above);
    pen.fillText(label, inside, above);
  }
}

/** The wire counts eighths. */
const unit = ({ x, y }) => ({ x: x / 8, y: y / 8 });

