import { io } from '/socket.io/socket.io.esm.min.js';
import { $, ask, line, sleep, state } from '/assets/common.js';

const CHANNEL = '/c/relay:all';
const AWAY = 4000;
const SOCKETS = location.origin.replace(/^http/, 'ws');
/** When this page sent its own messages, by their mark. */
const sent = new Map();

/** One way to hear the channel: what came, and its place on the page. */
class Way {
  ids = [];
  delays = [];
  /** The last id, from which it goes on; the same for every transport. */
  after = '';
  /** Until when it is to stay away, as `performance.now()`. */
  away = 0;
  /** Since when it is live; none while it is not. */
  since = null;

  constructor(title, how) {
    const place = $('#way').content.cloneNode(true);
    const section = $('section', place);
    $('h2', section).textContent = title;
    $('.how', section).textContent = how;
    section.dataset.way = title;
    $('.cut', section).addEventListener('click', () => this.cut());
    $('.cut', section).setAttribute('aria-label', `Cut for 4 s: ${title}`);
    this.list = $('.log', section);
    this.state = $('.state', section);
    this.count = $('.count', section);
    this.delay = $('.delay', section);
    $('#ways').append(place);
  }

  heard(id, data) {
    this.after = id;
    this.ids.push(id);
    const begun = sent.get(data.mark);
    // What was caught up on says nothing about the way.
    if (begun !== undefined && this.since !== null && begun >= this.since) {
      this.delays.push(performance.now() - begun);
      if (this.delays.length > 99) this.delays.shift();
      const median = this.delays.toSorted((a, b) => a - b)[this.delays.length >> 1];
      this.delay.textContent = `${median.toFixed(1)} ms`;
    }
    this.count.textContent = this.ids.length;
    line(this.list, String(data.text), begun === undefined ? '' : 'own');
    judge();
  }

  live() {
    this.away = 0;
    this.since ??= performance.now();
    state(this.state, 'live', 'live');
    judge();
  }

  /** Lets go of the connection, and of what is under way on it. */
  cut() {
    this.away = performance.now() + AWAY;
    this.since = null;
    state(this.state, 'bad', 'cut');
    this.break();
    judge();
  }

  lost() {
    this.since = null;
    if (!this.away) state(this.state, 'waiting', 'lost; coming back');
    judge();
  }

  /** Waits until it may come back: at once the first time, then with a spread, so that not all
   *  come back together. */
  async pause(failures) {
    const cut = this.away - performance.now();
    await sleep(cut > 0 ? cut : Math.random() * Math.min(10_000, 250 * 2 ** failures));
  }
}

class ByWebSocket extends Way {
  async run() {
    for (let failures = 0; ; failures += 1) {
      await new Promise((ended) => {
        const url = `${SOCKETS}${CHANNEL}?format=envelope&after=${encodeURIComponent(this.after)}`;
        this.socket = new WebSocket(url);
        this.socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.event === '$ready') {
            failures = 0;
            this.live();
          }
          if (message.event === 'message' && this.socket) this.heard(message.id, message.data);
        };
        this.socket.onclose = ended;
        this.abandon = ended;
      });
      this.lost();
      await this.pause(failures);
    }
  }

  break() {
    this.socket.onmessage = null;
    this.socket.close();
    this.abandon();
  }
}

class BySse extends Way {
  async run() {
    for (;;) {
      await new Promise((ended) => {
        // From here on the browser itself shows the last id when it comes back.
        const source = new EventSource(`${CHANNEL}?format=sse&after=${encodeURIComponent(this.after)}`);
        source.addEventListener('$ready', () => this.live());
        source.onmessage = ({ lastEventId, data }) => this.heard(lastEventId, JSON.parse(data));
        source.onerror = () => this.lost();
        this.break = () => {
          source.close();
          ended();
        };
      });
      await this.pause(0);
    }
  }
}

class ByPoll extends Way {
  async run() {
    for (let failures = 0; ;) {
      this.stop = new AbortController();
      try {
        if (failures === 0) this.live();
        const url = `${CHANNEL}?wait=25&after=${encodeURIComponent(this.after)}`;
        const answer = await (await ask(url, { signal: this.stop.signal })).json();
        if (this.stop.signal.aborted) throw new Error('cut');
        for (const message of answer.messages) {
          if (message.event === 'message') this.heard(message.id, message.data);
        }
        this.after = answer.cursor;
        failures = 0;
      } catch {
        failures += 1;
        this.lost();
        await this.pause(failures);
        if (this.away) failures = 0;
      }
    }
  }

  break() {
    this.stop.abort();
  }
}

/** Its client does all of it by itself: it remembers the last id, and comes back with it. */
class BySocketIo extends Way {
  run() {
    this.socket = io('/relay', { reconnectionDelay: AWAY, reconnectionDelayMax: AWAY, randomizationFactor: 0.1 });
    return new Promise((joined) => {
      this.socket.on('connect', () => {
        if (this.socket.recovered) return this.live();
        return this.socket.emit('subscribe', 'all', () => {
          this.live();
          joined();
        });
      });
      // The last argument is the message's id, which recovery needs.
      this.socket.on('message', (data, offset) => this.heard(offset.replace('fw~', ''), data));
      this.socket.on('disconnect', () => this.lost());
    });
  }

  break() {
    this.socket.io.engine.close();
  }
}

/** Says whether all heard the same, in the same order. */
function judge() {
  const first = byPoll.ids[0];
  const lists = ways.map(({ ids }) => ids.slice(Math.max(ids.indexOf(first), 0)));
  const most = Math.max(...lists.map((ids) => ids.length));
  const behind = ways.filter((way, at) => lists[at].length < most).length;
  const longest = lists.find((ids) => ids.length === most);
  const lost = ways.filter((way) => way.since === null).length;
  const agrees = lists.every((ids) => ids.every((id, at) => id === longest[at]));
  const verdict = $('#verdict');
  verdict.dataset.count = most;
  if (!agrees) state(verdict, 'bad', 'they differ');
  else if (lost > 0) state(verdict, 'waiting', `${lost} of 4 not connected; what they miss is kept`);
  else if (behind > 0) state(verdict, 'waiting', `${behind} of 4 catching up`);
  else if (most === 0) state(verdict, 'live', 'all four listen');
  else state(verdict, 'live', `all four heard the same ${most === 1 ? 'message' : `${most} messages`}, in the same order, each once`);
}

async function publish(text) {
  // Not `crypto.randomUUID()`: a telephone that looks in has no secure context.
  const mark = `${Date.now()}-${Math.random()}`;
  sent.set(mark, performance.now());
  if (sent.size > 1000) sent.delete(sent.keys().next().value);
  await ask(CHANNEL, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text, mark }),
  });
}

/** Does it, and says what went wrong. */
async function attempt(work) {
  try {
    await work();
    state($('.said'), '', '');
  } catch (error) {
    state($('.said'), 'bad', error.message);
  }
}

$('#say').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(() => publish(event.target.text.value));
});
$('#burst').addEventListener('click', ({ target }) => attempt(async () => {
  target.disabled = true;
  try {
    for (let number = 1; number <= 100; number += 1) await publish(`number ${number}`);
  } finally {
    target.disabled = false;
  }
}));

const bySocket = new ByWebSocket('WebSocket', 'One connection, frames both ways. Comes back with after=ID.');
const bySse = new BySse('Server-Sent Events', 'One long answer. The browser itself comes back with Last-Event-ID.');
const byPoll = new ByPoll('Long polling', 'A request for each round. Each names the last ID.');
const bySocketIo = new BySocketIo('Socket.IO', 'The stock protocol. Its recovery remembers the ID.');
const ways = [bySocket, bySse, byPoll, bySocketIo];

// Socket.IO joins first; the others begin at one place behind that.
await bySocketIo.run();
const { cursor } = await (await ask(`${CHANNEL}?limit=1`)).json();
for (const way of [bySocket, bySse, byPoll]) {
  way.after = cursor;
  way.run();
}
