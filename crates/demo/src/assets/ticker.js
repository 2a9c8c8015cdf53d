import { $, ask, element, rest, state } from '/assets/common.js';
import { Spark } from '/assets/chart.js';

const [how, pause, table] = [$('.state'), $('#pause'), $('#stocks tbody')];
const money = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat('en');
const signed = (n) => `${n > 0 ? '+' : n < 0 ? '−' : '±'}${money.format(Math.abs(n))}`;
/** Prices of a day that are drawn; the server keeps as many. */
const DAY = 120;

// ---- The table

const stocks = new Map();
let sort = { by: 'symbol', down: false };

/** One company: its row, and what is known of it. */
class Stock {
  #price = element('td');
  #change = element('td');
  #spark = new Spark();

  constructor({ symbol, price, name, open, day }) {
    Object.assign(this, { symbol, price, name, open, day });
    const company = element('th', { scope: 'row' }, element('strong', {}, symbol), element('span', {}, name));
    this.row = element('tr', {}, company, this.#price, this.#change, element('td', {}, this.#spark.element));
    this.row.dataset.symbol = symbol;
  }

  get change() { return this.price / this.open - 1; }

  /** Goes on by that many versions, of which the last has this price. */
  move(versions, price) {
    for (let n = 1; n < Math.min(versions, DAY); n += 1) this.day.push(this.price);
    this.day.push(price);
    this.day = this.day.slice(-DAY);
    const rose = Math.sign(price - this.price);
    this.price = price;
    this.show();
    if (rose === 0) return;
    this.row.classList.remove('rose', 'fell');
    // So that the animation begins anew.
    void this.row.offsetWidth;
    this.row.classList.add(rose > 0 ? 'rose' : 'fell');
  }

  show() {
    this.#price.textContent = money.format(this.price / 100);
    this.#change.replaceChildren(
      signed((this.price - this.open) / 100), element('span', {}, `${signed(this.change * 100)} %`));
    this.row.dataset.trend = this.change < 0 ? 'down' : 'up';
    const [low, high] = [Math.min(...this.day), Math.max(...this.day)];
    const points = this.day.map((price, n) => [n, price]);
    this.#spark.draw(points, { from: 0, to: Math.max(this.day.length - 1, 20), low, high });
  }
}

/** Puts an answer into the table: of whom more than the price is told is as new. */
function take({ version, quotes }) {
  const changed = new Map(quotes.map((quote) => [quote.symbol, quote]));
  for (const quote of quotes.filter(({ day }) => day)) {
    stocks.get(quote.symbol)?.row.remove();
    const stock = new Stock(quote);
    stock.show();
    stocks.set(quote.symbol, stock);
    changed.delete(quote.symbol);
  }
  if (since !== null && changed.size === quotes.length) {
    for (const stock of stocks.values()) stock.move(version - since, changed.get(stock.symbol)?.price ?? stock.price);
  }
  since = version;
  arrange();
}

function arrange() {
  const sign = sort.down ? -1 : 1;
  const value = (stock) => stock[sort.by];
  const order = [...stocks.values()].sort((a, b) => sign * (value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0));
  order.forEach(({ row }, at) => {
    if (table.children[at] !== row) table.insertBefore(row, table.children[at] ?? null);
  });
}

for (const button of document.querySelectorAll('#stocks thead button')) {
  button.addEventListener('click', () => {
    const { by } = button.dataset;
    // What is a number begins with the highest.
    sort = { by, down: sort.by === by ? !sort.down : by !== 'symbol' };
    for (const head of document.querySelectorAll('#stocks thead th')) head.removeAttribute('aria-sort');
    button.closest('th').setAttribute('aria-sort', sort.down ? 'descending' : 'ascending');
    arrange();
  });
}

// ---- What it costs

const spent = { requests: 0, bytes: 0, quotes: 0, waited: 0 };

function count(bytes, quotes, waited) {
  spent.requests += 1;
  spent.bytes += bytes;
  spent.quotes += quotes;
  spent.waited += waited;
  $('#requests').textContent = whole.format(spent.requests);
  $('#bytes').textContent = spent.bytes < 10_000 ? `${whole.format(spent.bytes)} B` : `${(spent.bytes / 1000).toFixed(1)} kB`;
  $('#each').textContent = spent.quotes ? whole.format(Math.round(spent.bytes / spent.quotes)) : '–';
  $('#waited').textContent = `${(spent.waited / spent.requests / 1000).toFixed(2)} s`;
}

// ---- Asking

let since = null;
/** Ends the request that waits, when there is to be a pause; null in a pause. */
let going = new AbortController();
let resume = () => {};

/** Asks, shows, asks again. After a failure it waits, each time twice as long, up to 30 s. */
async function listen() {
  for (let failures = 0; ;) {
    if (going === null) {
      state(how, '', 'paused: nothing is asked');
      await new Promise((done) => { resume = done; });
      failures = 0;
    }
    const { signal } = going;
    const begun = performance.now();
    try {
      state(how, 'live', since === null ? 'asks for everything' : 'waits for a change');
      // A request that is not answered in time was lost.
      const limit = AbortSignal.any([signal, AbortSignal.timeout(40_000)]);
      const answer = await ask(since === null ? '/ticker' : `/ticker?since=${since}`, { signal: limit });
      const text = await answer.text();
      const brought = JSON.parse(text);
      count(new Blob([text]).size, brought.quotes.length, performance.now() - begun);
      take(brought);
      failures = 0;
    } catch (error) {
      if (signal.aborted) continue;
      failures += 1;
      const wait = Math.random() * Math.min(30_000, 500 * 2 ** failures);
      state(how, 'waiting', `${error.message}; again in ${(wait / 1000).toFixed(1)} s`);
      await rest(wait);
    }
  }
}

pause.addEventListener('click', () => {
  if (going) {
    going.abort();
    going = null;
  } else {
    going = new AbortController();
    resume();
  }
  pause.textContent = going ? 'Pause' : 'Go on';
  pause.setAttribute('aria-pressed', String(going === null));
});

listen();
