// npm `socket.io-client`, unmodified, in the version that the first argument names.

import { Fanwire } from './lib/fanwire.mjs';
import { TRANSPORTS } from './lib/socketio.mjs';
import { runTests, tap } from './lib/suite.mjs';
import { recoveryTests } from './socketio/recovery.mjs';
import { roomTests } from './socketio/rooms.mjs';
import { talkOfTodayTests, talkTests } from './socketio/talk.mjs';

const [name, only] = process.argv.slice(2);
const { io } = await import(name);
const fanwire = new Fanwire(process.env.FANWIRE_URL, process.env.FANWIRE_CONTROL);
/** Version 4.0 knows neither recovery nor time-outs. */
const isOfToday = name !== 'socket.io-client-4.0';

let count = 0;
for (const [transport, way] of Object.entries(TRANSPORTS)) {
  const all = {
    ...talkTests(io, fanwire, way),
    ...roomTests(io, fanwire, way),
    ...(isOfToday ? talkOfTodayTests(io, fanwire, way) : {}),
    ...(isOfToday ? recoveryTests(io, fanwire, way) : {}),
  };
  const chosen = Object.entries(all).filter(([test]) => !only || test.includes(only));
  count += (await runTests(Object.fromEntries(chosen), tap(`${name} by ${transport}`))).total;
}
console.log(`1..${count}`);
// Connections that a failed test left open must not keep the process.
process.exit(0);
