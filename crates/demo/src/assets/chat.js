import { $, element, line, state } from '/assets/common.js';
import { io } from '/socket.io/socket.io.esm.min.js';

const socket = io();
const [messages, people, said, how] = [$('#messages'), $('#people'), $('.said'), $('.state')];
const [join, say, typing] = [$('#join'), $('#say'), $('#typing')];
const here = new Set();
const writing = new Map();
let me = '';
let to = '';

/** Asks the server; throws with its words where it refuses. */
async function ask(event, ...args) {
  if (!socket.connected) throw new Error('not connected; it comes back by itself');
  const answer = await socket.timeout(5000).emitWithAck(event, ...args).catch(() => {
    throw new Error('no answer for 5 seconds; it may arrive yet');
  });
  if (answer?.code) throw Object.assign(new Error(answer.message), { code: answer.code });
  return answer;
}

/** Does something, and says below the form why not. */
async function attempt(work) {
  try {
    await work();
    state(said, '', '');
    return true;
  } catch (error) {
    state(said, 'bad', error.message);
    return false;
  }
}

/** Comes in, or is still in after the connection was lost. */
async function register(name) {
  const names = await ask('register', name).catch((error) => {
    // Somebody else has the name by now: another is asked for.
    if (me && error.code) leave();
    throw error;
  });
  me = name;
  here.clear();
  names.forEach((one) => here.add(one));
  join.hidden = true;
  say.hidden = false;
  if (to && !here.has(to)) choose('');
  showPeople();
}

function leave() {
  choose('');
  join.username.value = me;
  me = '';
  here.clear();
  people.replaceChildren();
  $('#count').textContent = '';
  $('#hint').textContent = 'You see it when you have joined.';
  say.hidden = true;
  join.hidden = false;
  join.username.focus();
}

function showPeople() {
  if (!me) return;
  $('#count').textContent = `: ${here.size}`;
  $('#hint').textContent = 'Choose a name to write to that person alone.';
  const names = [...here].sort((a, b) => (b === me) - (a === me) || a.localeCompare(b));
  people.replaceChildren(...names.map((name) => element('li', {}, name === me
    ? element('span', { className: 'me' }, `${name} (you)`)
    : element('button', {
      type: 'button', className: 'quiet', ariaPressed: String(name === to), onclick: () => choose(name === to ? '' : name),
    }, name))));
}

/** Whom the next message is for. */
function choose(name) {
  to = name;
  $('#to').textContent = name ? `To ${name} alone` : 'To everyone';
  say.classList.toggle('private', Boolean(name));
  showPeople();
  say.text.focus();
}

/** A line with somebody's name in front; one's own is always seen. */
function talk(name, text, kind, at) {
  const item = line(messages, element('span', {}, element('b', {}, name), ' ', element('bdi', {}, text)), kind);
  if (at) $('time', item).textContent = new Date(at).toLocaleTimeString([], { hour12: false });
  if (kind.includes('own')) messages.scrollTop = messages.scrollHeight;
}

/** A line about somebody. What reads from the right turns nothing around it. */
const about = (name, words) => line(messages, element('span', {}, element('bdi', {}, name), words), 'aside');

function showWriting() {
  const names = [...writing.keys()];
  typing.textContent = names.length === 0 ? ''
    : names.length > 3 ? 'Several people are typing …'
      : `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} typing …`;
}

function stops(name) {
  clearTimeout(writing.get(name));
  writing.delete(name);
  showWriting();
}

const transport = () => state(how, 'live', `connected by ${socket.io.engine.transport.name}`);
socket.on('connect', () => {
  transport();
  socket.io.engine.once('upgrade', transport);
  // Known already where the server still has this socket; else this is a new one.
  if (me) attempt(() => register(me));
});
socket.on('disconnect', () => state(how, 'waiting', 'connection lost; it comes back by itself'));
socket.on('connect_error', () => state(how, 'waiting', 'no connection; trying again'));

socket.on('user-joined', ({ username, totalUsers }) => {
  here.add(username);
  showPeople();
  about(username, ` is here; ${totalUsers} now`);
});
socket.on('user-left', ({ username, totalUsers }) => {
  here.delete(username);
  stops(username);
  if (to === username) choose('');
  showPeople();
  about(username, ` has left; ${totalUsers} now`);
});
socket.on('chat-message', ({ username, message, timestamp }) => {
  stops(username);
  talk(username, message, username === me ? 'own' : '', timestamp);
});
socket.on('private-message', ({ from, message }) => talk(`${from}, to you alone:`, message, 'private'));
socket.on('user-typing', (username) => {
  clearTimeout(writing.get(username));
  // Whoever vanishes says no more that it stopped.
  writing.set(username, setTimeout(() => stops(username), 6000));
  showWriting();
});
socket.on('user-stop-typing', stops);
socket.on('$error', ({ message }) => state(said, 'bad', message));

join.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (await attempt(() => register(join.username.value.trim()))) say.text.focus();
});

say.addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = say.text.value;
  if (!text.trim()) return;
  const sent = await attempt(async () => {
    if (!to) return ask('chat-message', text);
    const name = to;
    await ask('private-message', { to: name, message: text });
    talk(`to ${name} alone:`, text, 'private own');
  });
  if (sent && say.text.value === text) say.reset();
  rests();
});

// Typing is told when it begins and every 3 s of it, its end after 2 s without.
let told = 0;
let resting;
say.text.addEventListener('input', () => {
  clearTimeout(resting);
  if (!say.text.value || to) return rests();
  resting = setTimeout(rests, 2000);
  if (Date.now() - told > 3000) {
    told = Date.now();
    socket.emit('typing');
  }
});
function rests() {
  clearTimeout(resting);
  if (told) socket.emit('stop-typing');
  told = 0;
}
say.text.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && to) choose('');
});

// Who closes the page has left at once; a page that the browser brings back returns.
addEventListener('pagehide', () => socket.disconnect());
addEventListener('pageshow', (event) => { if (event.persisted) socket.connect(); });
