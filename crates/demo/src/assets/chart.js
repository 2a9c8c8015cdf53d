// A figure with a small chart of its last minutes, drawn as SVG.

import { element } from '/assets/common.js';

const [WIDTH, HEIGHT] = [200, 48];

function svg(name, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A line through points `[x, y]`, which fill the box; `area` reaches down to its ground.
 *  Where x leaps by more than `leap` the line is broken. */
export class Spark {
  #line = svg('path', { class: 'line' });
  #area = svg('path', { class: 'area' });
  /** To be put into a page. */
  element = svg('svg', {
    class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true',
  }, this.#area, this.#line);

  draw(points, { from, to, low, high, leap = Infinity }) {
    const at = ([x, y]) => {
      const across = ((x - from) / (to - from || 1)) * WIDTH;
      const up = HEIGHT - 2 - ((y - low) / (high - low || 1)) * (HEIGHT - 4);
      return `${across.toFixed(1)} ${up.toFixed(1)}`;
    };
    const stretches = [];
    points.forEach((point, n) => {
      if (n === 0 || point[0] - points[n - 1][0] > leap) stretches.push([]);
      stretches.at(-1).push(point);
    });
    this.#line.setAttribute('d', stretches.map((all) => `M${all.map(at).join('L')}`).join(''));
    this.#area.setAttribute('d', stretches
      .map((all) => `M${at([all[0][0], low])}L${all.map(at).join('L')}L${at([all.at(-1)[0], low])}Z`).join(''));
  }
}

/** What is shown: at least a minute, at most five. */
const [SHORTEST_MS, SHOWN_MS] = [60_000, 5 * 60_000];

/** A term and its value of a `<dl class="figures">`, with the values of the last five minutes. */
export class Chart {
  #points = [];
  #words;
  #value = element('dd', {}, '–');
  #range = element('dd', { className: 'range' });
  #spark = new Spark();
  element;

  constructor(name, words) {
    this.#words = words;
    this.element = element('div', {}, element('dt', {}, name), this.#value, this.#spark.element, this.#range);
  }

  /** Adds values `[milliseconds, value]`, in their order; a value may be null. */
  add(points) {
    this.#points.push(...points.filter(([, value]) => value !== null));
    if (this.#points.length === 0) return;
    const to = this.#points.at(-1)[0];
    this.#points = this.#points.filter(([x]) => x > to - SHOWN_MS);
    const values = this.#points.map(([, value]) => value);
    const high = Math.max(...values);
    this.#value.textContent = this.#words(values.at(-1));
    this.#range.textContent = `at most ${this.#words(high)}`;
    const from = Math.min(this.#points[0][0], to - SHORTEST_MS);
    this.#spark.draw(this.#points, { from, to, low: 0, high: high * 1.1, leap: 5000 });
  }
}
