// A stock Socket.IO client, and what it hears.

import { Inbox, within, WAIT_LIMIT } from './suite.mjs';

/** What an offset begins with: the last argument of events where sockets are recovered. */
const OFFSET = 'fw~';

/** The ways to the server, as options. */
export const TRANSPORTS = {
  polling: { transports: ['polling'] },
  websocket: { transports: ['websocket'] },
  upgrade: { transports: ['polling', 'websocket'] },
};

/** An event's name and arguments, without the offset. */
export function bare(event) {
  const last = event.at(-1);
  return typeof last === 'string' && last.startsWith(OFFSET) ? event.slice(0, -1) : event;
}

/** Everything that is told to a socket: `heard` its events, `states` whether it is there. */
export function listen(socket) {
  const [heard, states] = [new Inbox(), new Inbox()];
  socket.onAny((...event) => heard.push(bare(event)));
  socket.on('connect', () => states.push(['connect', socket.id, socket.recovered]));
  socket.on('disconnect', (reason) => states.push(['disconnect', reason]));
  socket.on('connect_error', (error) => states.push(['connect_error', error.message, error.data]));
  return { socket, heard, states };
}

/** Opens a socket on a connection of its own; it may not be in yet. */
export function open(io, fanwire, test, { namespace = '/', ...options }) {
  const quick = { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
  const socket = io(fanwire.base + namespace, { ...quick, ...options });
  test.defer(() => socket.disconnect());
  return listen(socket);
}

/** Waits until it is in, whatever stood in the way. Gives `{ id, recovered }`. */
export async function connected({ states }) {
  for (;;) {
    const [state, id, recovered] = await states.next('to be connected');
    if (state === 'connect') return { id, recovered };
  }
}

/** Waits until it is in no more. Gives the reason. */
export async function disconnected({ states }) {
  for (;;) {
    const [state, reason] = await states.next('to be disconnected');
    if (state === 'disconnect') return reason;
  }
}

/** Opens a socket and waits until it is in, and on the last of its transports. */
export async function join(io, fanwire, test, options) {
  const talker = open(io, fanwire, test, options);
  await connected(talker);
  if (options.transports?.at(-1) === 'websocket') await onWebSocket(talker.socket);
  return talker;
}

/** Waits until its connection is a WebSocket. */
export async function onWebSocket({ io }) {
  const { engine } = io;
  if (engine.transport.name === 'websocket') return;
  await within(WAIT_LIMIT, 'the upgrade', new Promise((resolve) => engine.once('upgrade', resolve)));
}

/** Emits an event and gives the acknowledgement's arguments. */
export function ask(socket, ...event) {
  const answer = new Promise((resolve) => socket.emit(...event, (...args) => resolve(args)));
  return within(WAIT_LIMIT, `the acknowledgement of ${event[0]}`, answer);
}

/**
 * Its connection dies without a word to the server, which believes in it until it is let in
 * again: `fanwire.admit()`. Gives the reason.
 */
export async function vanish({ socket, states }, fanwire, test) {
  // A client that upgrades would not close before it has.
  if (socket.io.opts.transports.at(-1) === 'websocket') await onWebSocket(socket);
  await fanwire.silence();
  test.defer(() => fanwire.admit());
  socket.io.engine.close();
  return disconnected({ states });
}
