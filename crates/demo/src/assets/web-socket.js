import { $, element, line, rest, sleep, state } from '/assets/common.js';

/** Bytes of the largest frame that the server takes, and of what stands in front of a file. */
const LARGEST = 16 * 2 ** 20;
const HEAD = 1024;
/** Files that are kept in this page. */
const KEPT = 12;
/** What begins a frame that is a file: this word, the length of its head, its head as JSON. */
const MARK = new TextEncoder().encode('FILE');
/** Images that are shown; anything else is a link, whatever it says it is. */
const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'];

const [messages, received, how, said] = [$('#messages'), $('#received'), $('.state'), $('.said')];
const [sending, bar, progress] = [$('#sending'), $('#sending progress'), $('#progress')];
let socket;

/** Connects. A WebSocket does not come back by itself: this page does, each time it fails
 *  after twice the time, up to 30 s. */
async function connect(failures = 0, after = '') {
  socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/${after}`);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    failures = 0;
    state(how, 'live', 'open');
    state(said, '', '');
  };
  socket.onmessage = ({ data }) => (typeof data === 'string' ? line(messages, data) : receive(data));
  const { code, reason } = await new Promise((closed) => { socket.onclose = closed; });
  const wait = Math.random() * Math.min(30_000, 1000 * 2 ** failures);
  state(how, 'waiting', `closed with ${code}${reason && ` (${reason})`}; again in ${(wait / 1000).toFixed(1)} s`);
  // Who read too slowly is told from where there is something again.
  const missed = code === 3010;
  if (missed) line(messages, 'This page read too slowly: something is missing here.', 'bad');
  await rest(wait);
  connect(failures + 1, missed ? `?after=${encodeURIComponent(reason)}` : '');
}

const mb = (bytes) => (bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** A file as one frame. */
async function frame({ name, type, size }, bytes) {
  const head = new TextEncoder().encode(JSON.stringify({ name: name.slice(0, 100), type: type.slice(0, 100), size }));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, head.length);
  return new Blob([MARK, length, head, bytes]);
}

/** What a frame holds; bytes that are no file of this page are shown as such. */
function parse(buffer) {
  const bytes = new Uint8Array(buffer);
  try {
    if (MARK.some((byte, at) => bytes[at] !== byte)) throw new Error('bytes of somebody else');
    const length = new DataView(buffer).getUint32(4);
    if (length > HEAD) throw new Error('too long a head');
    const { name, type } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    return { name: String(name), type: String(type), bytes: bytes.subarray(8 + length) };
  } catch {
    return { name: 'binary', type: '', bytes };
  }
}

async function receive(buffer) {
  const { name, type, bytes } = parse(buffer);
  const shown = IMAGES.includes(type);
  const url = URL.createObjectURL(new Blob([bytes], { type: shown ? type : 'application/octet-stream' }));
  const link = element('a', { href: url, download: name }, name);
  const size = element('span', { className: 'faint' }, mb(bytes.length));
  const item = element('li', {}, ...(shown ? [element('img', { src: url, alt: name })] : []), link, ' ', size);
  received.prepend(item);
  while (received.children.length > KEPT) {
    URL.revokeObjectURL($('a', received.lastElementChild).href);
    received.lastElementChild.remove();
  }
  line(messages, `${name}, ${mb(bytes.length)}`, 'aside');
  // So that people can see that it is what was sent. Not on pages without a secure context.
  const digest = await crypto.subtle?.digest('SHA-256', bytes);
  if (!digest) return;
  const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  item.dataset.digest = hex;
  item.append(element('code', { className: 'faint', title: `SHA-256 ${hex}` }, ` ${hex.slice(0, 8)}`));
}

/** Sends one file and shows how much of it is out of the browser. */
async function send(file) {
  if (file.size > LARGEST - HEAD) throw new Error(`${file.name} has ${mb(file.size)}; at most ${mb(LARGEST - HEAD)} are taken`);
  const whole = await (await frame(file, file)).arrayBuffer();
  if (socket.readyState !== WebSocket.OPEN) throw new Error('not connected; it comes back by itself');
  sending.hidden = false;
  const to = socket;
  to.send(whole);
  for (;;) {
    const left = to.bufferedAmount;
    bar.value = 1 - left / whole.byteLength;
    progress.textContent = `${file.name}: ${mb(Math.max(0, whole.byteLength - left))} of ${mb(whole.byteLength)}`;
    if (left === 0) break;
    // What a socket still held when it closed is never sent.
    if (to.readyState !== WebSocket.OPEN) throw new Error(`the connection was lost while ${file.name} was sent`);
    await sleep(50);
  }
}

/** One after the other. */
let turn = Promise.resolve();
function sendAll(files) {
  for (const file of files) {
    turn = turn.then(() => send(file)).then(() => state(said, '', ''), (error) => state(said, 'bad', error.message));
  }
}

$('#say').addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target;
  if (socket.readyState !== WebSocket.OPEN) return state(said, 'bad', 'not connected; it comes back by itself');
  socket.send(form.text.value);
  form.reset();
  state(said, '', '');
});

$('#file').addEventListener('change', ({ target }) => {
  sendAll([...target.files]);
  target.value = '';
});
const drop = $('#drop');
for (const name of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', name === 'dragover');
    if (name === 'drop') sendAll([...event.dataTransfer.files]);
  });
}
addEventListener('paste', (event) => sendAll([...event.clipboardData.files]));

connect();
