// npm `engine.io-client`, unmodified, with a server that says back what it hears.

import { Socket } from 'engine.io-client';

import { Fanwire } from './lib/fanwire.mjs';
import { TRANSPORTS } from './lib/socketio.mjs';
import { equal, Inbox, runTests, tap } from './lib/suite.mjs';

const fanwire = new Fanwire(process.env.FANWIRE_URL, process.env.FANWIRE_CONTROL);

/** Opens a session and waits until it is there. */
async function open(way, test, options = {}) {
  const socket = new Socket(fanwire.base, { path: '/engine.io/', ...way, ...options });
  socket.binaryType = 'arraybuffer';
  const [heard, states] = [new Inbox(), new Inbox()];
  test.defer(() => socket.close());
  socket.on('message', (data) => heard.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data));
  for (const state of ['open', 'upgrade']) socket.on(state, () => states.push(state));
  for (const state of ['close', 'upgradeError']) socket.on(state, (why) => states.push([state, why]));
  socket.on('ping', () => states.push('ping'));
  equal(await states.next('to be open'), 'open', 'first');
  return { socket, heard, states };
}

/** The next of what is told that is no ping. */
async function next(states, what) {
  for (;;) {
    const state = await states.next(what);
    if (state !== 'ping') return state;
  }
}

function tests(way) {
  const upgrades = way.transports.length > 1;
  return {
    'text and bytes come back': async (test) => {
      const { socket, heard } = await open(way, test);
      for (const text of ['hello', 'grüße \u0000 🦀', 'x'.repeat(200_000)]) {
        socket.send(text);
        equal(await heard.next('the echo'), text, 'text');
      }
      socket.send(new Uint8Array([0, 1, 255]).buffer);
      equal(await heard.next('the echo'), [0, 1, 255], 'bytes');
    },

    '3,000 messages come back in order, across the upgrade too': async (test) => {
      const { socket, heard, states } = await open(way, test);
      const numbers = Array.from({ length: 3000 }, (_, at) => `${at}`);
      for (const number of numbers) socket.send(number);
      equal(await heard.take(3000, 'echoes'), numbers, 'echoes');
      if (upgrades) equal(await next(states, 'the upgrade'), 'upgrade', 'told');
      equal(socket.transport.name, way.transports.at(-1), 'transport');
    },

    'large messages come back, one after the other': async (test) => {
      const { socket, heard } = await open(way, test);
      for (let at = 0; at < 6; at += 1) {
        const large = `${at}`.repeat(400_000);
        socket.send(large);
        const came = await heard.next('the echo');
        equal([came.length, came === large], [400_000, true], 'echo');
      }
    },

    'pings come, and are answered': async (test) => {
      const { socket, heard, states } = await open(way, test);
      for (let pings = 0; pings < 2; ) if ((await states.next('a ping')) === 'ping') pings += 1;
      socket.send('still here');
      equal(await heard.next('the echo'), 'still here', 'text');
    },

    'a close is a close, and a cut is noticed': async (test) => {
      const first = await open(way, test);
      if (upgrades) equal(await next(first.states, 'the upgrade'), 'upgrade', 'told');
      first.socket.close();
      equal(await next(first.states, 'the close'), ['close', 'forced close'], 'told');
      const second = await open(way, test);
      if (upgrades) equal(await next(second.states, 'the upgrade'), 'upgrade', 'told');
      await fanwire.cut();
      const [state] = await next(second.states, 'the close');
      equal(state, 'close', 'told');
    },

    'a server that goes silent is noticed': async (test) => {
      const { socket, states } = await open(way, test);
      if (upgrades) equal(await next(states, 'the upgrade'), 'upgrade', 'told');
      await fanwire.silence();
      equal((await next(states, 'the close'))[1], 'ping timeout', 'told');
      await fanwire.admit();
      equal(socket.readyState, 'closed', 'state');
    },
  };
}

let count = 0;
for (const [transport, way] of Object.entries(TRANSPORTS)) {
  count += (await runTests(tests(way), tap(`engine.io-client by ${transport}`))).total;
}
console.log(`1..${count}`);
// Connections that a failed test left open must not keep the process.
process.exit(0);
