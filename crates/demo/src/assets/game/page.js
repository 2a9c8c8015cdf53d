// The page: the connection, the hands, the board.

import { $, element, rest, state as show } from '/assets/common.js';

const canvas = $('#arena');
const form = $('#play');
const [banner, standing, said] = [$('#banner'), $('#standing'), $('.said', form)];
const picture = new Picture(canvas);
const { sparkle } = picture;

let socket = null;
/** The number of the own comet; the name that it is to have again after a new connection. */
let you = null;
let name = null;
const hands = { aim: null, boost: false, sent: '', at: 0, out: false, pointer: null, keys: new Set(), finger: null };
const figures = { bytes: 0, ticks: 0, since: performance.now(), ping: null, asked: new Map(), number: 0, silent: 0 };

const nameOf = (number) => playback.state?.comets.get(number)?.name ?? 'someone';

const playback = new Playback({
  gathered(who, worth) {
    const comet = playback.state.comets.get(who);
    if (!comet) return;
    const { x, y } = unit(comet);
    if (who === you || worth >= 5) sparkle.ring(x, y, picture.of(comet));
    if (worth >= 5) sparkle.text(x, y, picture.of(comet), `+${worth}`);
  },
  crash(who, into) {
    const comet = playback.state.comets.get(who);
    if (!comet) return;
    const at = unit(comet);
    sparkle.ring(at.x, at.y, picture.of(comet), 60, 600);
    sparkle.burst([at, at, at, at, ...(comet.broken ?? []).map(unit)], picture.of(comet));
    if (who === you) announce(`You crashed into ${nameOf(into)}. Half of your sparks lie there.`);
    else if (into === you) announce(`${comet.name} crashed into you: 5 sparks for you.`);
  },
  gone(comet) {
    if (comet?.number !== you || you === null) return;
    you = null;
    name = null;
    invite('You were away, and your comet has gone. Play again?');
  },
});

/** For programs that look on: what is shown, as plain values. */
Object.defineProperty(window, 'game', {
  get: () => {
    const { state } = playback;
    if (!state) return null;
    const comets = [...state.comets.values()].map(({ tail, broken, ...comet }) => ({ ...comet, length: tail.length }));
    return structuredClone({ tick: state.tick, you, round: state.round, comets, sparks: state.sparks.size, ping: figures.ping });
  },
});

/** Says something over the arena, for a moment, and to who hears the page. */
function announce(words, time = 2600) {
  banner.textContent = words;
  banner.hidden = false;
  standing.textContent = words;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => { banner.hidden = true; }, time);
}

function invite(words) {
  if (words) $('#invitation').textContent = words;
  form.hidden = false;
  $('#boost').hidden = true;
}

/** Connects, and again when it ends: each time after twice as long, up to 15 s. */
async function connect() {
  for (let failures = 0; ;) {
    const begun = performance.now();
    const why = await live();
    if (performance.now() - begun > 10_000) failures = 0;
    failures += 1;
    const wait = Math.random() * Math.min(15_000, 400 * 2 ** failures);
    show($('.state'), 'waiting', `${why}; again in ${(wait / 1000).toFixed(1)} s`);
    await rest(wait);
  }
}

/** One connection, to its end; says why it ended. */
function live() {
  return new Promise((done) => {
    playback.reset();
    you = null;
    figures.asked.clear();
    let fault = null;
    socket = new WebSocket(`${location.protocol.replace('http', 'ws')}//${location.host}/c/game:arena`);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => {
      try {
        hear(data);
      } catch (error) {
        fault = error.message;
        socket.close();
      }
    };
    socket.onclose = ({ code, reason }) => {
      socket = null;
      // It was refused: the same again would be too.
      if (code === 4000) {
        name = null;
        invite();
      }
      done(fault ?? (reason || 'the connection ended'));
    };
  });
}

function hear(data) {
  const now = performance.now();
  figures.bytes += data.byteLength;
  const reader = new Reader(data);
  const kind = reader.u8();
  if (kind === 1) {
    playback.begin(reader.snapshot(), now);
    show($('.state'), 'live', 'connected');
    if (name) send(say.play(name));
    measure();
  } else if (kind === 2) {
    figures.ticks += 1;
    playback.add(reader.u32(), reader, now);
    if (document.hidden) playback.catchUp();
  } else if (kind === 3) {
    you = reader.u8();
    hands.sent = '';
    form.hidden = true;
    $('#boost').hidden = !matchMedia('(pointer: coarse)').matches;
    show(said, '', '');
  } else if (kind === 4) {
    const asked = figures.asked.get(reader.u32());
    if (asked !== undefined) figures.ping = now - asked;
    figures.asked.clear();
  } else if (kind === 5) {
    name = null;
    invite();
    show(said, 'bad', 'The arena is full. Watch for a while.');
  }
}

function send(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(frame);
}

function measure() {
  figures.number += 1;
  figures.asked.set(figures.number, performance.now());
  send(say.ping(figures.number));
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  // Neither what is not seen nor what turns the rest round.
  name = form.elements.name.value.replace(/[\p{C}\u2028\u2029\u3164]/gu, '').trim();
  try { localStorage.setItem('game-name', name); } catch { /* It is asked for again then. */ }
  if (!name) show(said, 'bad', 'A name is needed.');
  else if (!socket) show(said, 'bad', 'There is no connection at the moment; you play as soon as there is.');
  else send(say.play(name));
  canvas.focus({ preventScroll: true });
  canvas.scrollIntoView({ block: 'nearest', behavior: still.matches ? 'auto' : 'smooth' });
});

const whole = $('#whole');
whole.hidden = !document.fullscreenEnabled;
whole.addEventListener('click', () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $('.arena').requestFullscreen().catch(() => { whole.hidden = true; });
  canvas.focus({ preventScroll: true });
});

// Hands. The last thing that is used counts: keys, a mouse, a finger.

const KEYS = {
  ArrowLeft: [-1, 0], KeyA: [-1, 0], ArrowRight: [1, 0], KeyD: [1, 0],
  ArrowUp: [0, -1], KeyW: [0, -1], ArrowDown: [0, 1], KeyS: [0, 1],
};
const turns = (x, y) => Math.round((Math.atan2(y, x) / Math.PI) * 128) & 255;
const playing = () => you !== null && (document.activeElement === canvas || document.activeElement === document.body);

document.addEventListener('keydown', (event) => {
  if (!playing() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.code === 'Space') hands.boost = true;
  else if (KEYS[event.code]) {
    hands.keys.add(event.code);
    steerByKeys();
  } else return;
  event.preventDefault();
});
document.addEventListener('keyup', (event) => {
  if (event.code === 'Space') hands.boost = false;
  // What is let go last still counts: a comet never stops.
  if (hands.keys.delete(event.code)) steerByKeys();
});
addEventListener('blur', () => {
  hands.keys.clear();
  hands.boost = false;
});

function steerByKeys() {
  let [x, y] = [0, 0];
  for (const key of hands.keys) {
    x += KEYS[key][0];
    y += KEYS[key][1];
  }
  if (x === 0 && y === 0) return;
  hands.aim = turns(x, y);
  hands.pointer = null;
}

canvas.addEventListener('pointerdown', (event) => {
  if (event.pointerType === 'mouse') hands.boost = true;
  else if (hands.finger === null) hands.finger = { id: event.pointerId, x: event.offsetX, y: event.offsetY };
  else hands.boost = true;
});
canvas.addEventListener('pointermove', (event) => {
  if (event.pointerType === 'mouse') {
    hands.pointer = { x: event.offsetX, y: event.offsetY };
  } else if (hands.finger?.id === event.pointerId) {
    const { finger } = hands;
    const [x, y] = [event.offsetX - finger.x, event.offsetY - finger.y];
    const far = Math.hypot(x, y);
    if (far < 10) return;
    hands.aim = turns(x, y);
    hands.pointer = null;
    // The middle comes along, so that turning back is never far.
    if (far > 48) {
      finger.x += (x * (far - 48)) / far;
      finger.y += (y * (far - 48)) / far;
    }
  }
});
const letGo = (event) => {
  if (hands.finger?.id === event.pointerId) hands.finger = null;
  else hands.boost = false;
};
canvas.addEventListener('pointerup', letGo);
canvas.addEventListener('pointercancel', letGo);
canvas.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') hands.boost = false; });
canvas.addEventListener('contextmenu', (event) => event.preventDefault());
const boost = $('#boost');
boost.addEventListener('pointerdown', () => { hands.boost = true; });
for (const end of ['pointerup', 'pointercancel', 'pointerleave']) boost.addEventListener(end, () => { hands.boost = false; });

/** Tells the server whereto, where that is new, once a tick at most. */
function steer(now, part) {
  const own = playback.state.comets.get(you);
  if (!own || own.mode === 0) {
    hands.out = true;
    return;
  }
  if (hands.out) {
    // It begins anew, wherever it looks: what is held down counts again.
    Object.assign(hands, { out: false, aim: null, sent: '' });
    steerByKeys();
  }
  if (hands.pointer) {
    const held = (at, most) => Math.max(30, Math.min(most - 30, at));
    const to = picture.place(hands.pointer.x, hands.pointer.y);
    const at = unit(between(own, part));
    const [x, y] = [held(to.x, ARENA.width) - at.x, held(to.y, ARENA.height) - at.y];
    if (Math.hypot(x, y) > 24) hands.aim = turns(x, y);
  }
  const wish = `${hands.aim} ${hands.boost}`;
  if (hands.aim === null || wish === hands.sent || now - hands.at < playback.state.millis) return;
  [hands.sent, hands.at] = [wish, now];
  send(say.steer(hands.aim, hands.boost));
}

// The board.

/** Rows of the board at most, and the own one. */
const SHOWN = 10;

const ranked = () => [...playback.state.comets.values()].sort((a, b) => b.score - a.score || a.number - b.number);
let shown = '';
let told = '';
let mine = '';

function board() {
  const { state } = playback;
  const left = Math.max(0, Math.ceil(((state.round.until - state.tick) * state.millis) / 1000));
  $('#clock').textContent = state.round.pause ? `· next in ${left} s` : `· ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
  const all = ranked();
  const place = all.findIndex((comet) => comet.number === you) + 1;
  const carried = all[place - 1]?.score;
  mine = place ? `${carried} ${carried === 1 ? 'spark' : 'sparks'} · place ${place} of ${all.length}` : '';
  const comets = all.filter((comet, above) => above < SHOWN || comet.number === you);
  const key = comets.map((comet) => [comet.number, comet.name, comet.score, comet.wins, comet.number === you, picture.dark]).join();
  if (key !== shown) {
    shown = key;
    $('#board tbody').replaceChildren(...comets.map((comet) => {
      const dot = element('i', { className: 'dot' });
      dot.style.background = picture.of(comet);
      const label = element('td', {}, dot, comet.name, comet.bot ? element('span', { className: 'faint' }, ' bot') : '');
      const row = element('tr', { className: comet.number === you ? 'own' : '' }, label,
        element('td', {}, String(comet.score)), element('td', {}, comet.wins ? `★ ${comet.wins}` : ''));
      Object.assign(row.dataset, { comet: comet.number, name: comet.name, score: comet.score, bot: comet.bot });
      return row;
    }));
  }
}

/** For who hears the page: the own score and place, when they are new, not too often. */
function tell() {
  if (mine && mine !== told && banner.hidden) standing.textContent = told = mine;
}

let pausing = false;
function rounds() {
  const { round } = playback.state;
  if (round.pause === pausing) return;
  pausing = round.pause;
  if (!pausing) announce('A new round. Everyone begins anew.', 1800);
  else if (round.winner === null) announce('The round is over. Nobody has won it.', 6000);
  else announce(round.winner === you ? 'You have won the round!' : `${nameOf(round.winner)} has won the round.`, 6000);
}

setInterval(() => { if (playback.state) { board(); rounds(); } }, 250);
setInterval(tell, 4000);
setInterval(() => {
  measure();
  const now = performance.now();
  const seconds = (now - figures.since) / 1000;
  const live = socket?.readyState === WebSocket.OPEN;
  // Ticks never pause: without any the network is away, and a socket is slow to notice.
  figures.silent = live && playback.state && figures.ticks === 0 ? figures.silent + 1 : 0;
  if (figures.silent > 0) show($('.state'), 'waiting', 'nothing comes; is the network away?');
  else if (live && playback.state) show($('.state'), 'live', 'connected');
  if (figures.silent === 5) socket.close();
  $('#ping').textContent = live && figures.ping !== null ? `${figures.ping.toFixed(figures.ping < 10 ? 1 : 0)} ms` : '–';
  $('#rate').textContent = live ? `${(figures.bytes / seconds / 1000).toFixed(1)} kB/s` : '–';
  $('#ticks').textContent = live ? `${(figures.ticks / seconds).toFixed(0)} a second` : '–';
  Object.assign(figures, { bytes: 0, ticks: 0, since: now });
}, 2000);

let before = performance.now();
function frame(now) {
  const passed = Math.min(250, Math.max(0, now - before));
  before = now;
  requestAnimationFrame(frame);
  if (!playback.state) return;
  try {
    const part = playback.advance(performance.now(), passed);
    if (you !== null) steer(now, part);
    picture.draw({ state: playback.state, part, you, aim: now - hands.at < 700 ? hands.aim : null, standing: mine, now, passed });
  } catch (error) {
    console.warn(error);
    socket?.close();
  }
}

try { form.elements.name.value = localStorage.getItem('game-name') ?? ''; } catch { /* It is typed then. */ }
requestAnimationFrame(frame);
connect();
