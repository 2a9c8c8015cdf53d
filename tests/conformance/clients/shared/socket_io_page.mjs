// What a page is to hear over cuts whose Socket.IO client listens to a room of a server without code.

import { check, equal } from '../lib/suite.mjs';

/** Recoveries to be seen, and cuts in which they have to be. */
const RECOVERIES = 2;
const MOST_CUTS = 20;

/** The page's own code: it listens to `room`, and calls `tell(...)` with whatever is told to it. */
export function pageCode(address, room, transports) {
  const opts = { transports, reconnectionDelay: 20, reconnectionDelayMax: 60 };
  return `
    const socket = io(${address}${JSON.stringify(opts)});
    socket.once('connect', () => socket.emit('subscribe', '${room}', ({ ok }) => tell('in', ok)));
    socket.onAny((event, what) => tell(event, what));
    socket.on('connect', () => tell('connect', socket.recovered, socket.id));
    socket.on('disconnect', () => tell('disconnect'));
  `;
}

/**
 * Cuts, and publishes meanwhile, until the page was recovered often enough. A cut that comes between
 * two polls is none to the client: it goes on without a word.
 */
export async function hearsAllOnce(fanwire, room, heard) {
  const [first, recovered, id] = await heard.next('the connect');
  equal([first, recovered], ['connect', false], 'the first time');
  equal(await heard.next('the subscription'), ['in', true], 'told');
  let recoveries = 0;
  /** The next messages have to be these; connects in front of them have to be recoveries. */
  const hears = async (bodies) => {
    for (const body of bodies) {
      let told = await heard.next(body);
      for (; told[0] !== 'message'; told = await heard.next(body)) {
        if (told[0] === 'disconnect') continue;
        equal(told, ['connect', true, id], 'told');
        recoveries += 1;
      }
      equal(told, ['message', body], 'told');
    }
  };
  for (let cut = 0; cut < MOST_CUTS && recoveries < RECOVERIES; cut += 1) {
    await fanwire.publish(room, `live ${cut}`);
    await hears([`live ${cut}`]);
    const missed = [1, 2, 3].map((n) => `missed ${cut} ${n}`);
    await fanwire.outage(missed.map((body) => ({ channel: room, body })));
    await hears(missed);
  }
  check(recoveries >= RECOVERIES, `${recoveries} recoveries in ${MOST_CUTS} cuts`);
  await fanwire.publish(room, 'the end');
  await hears(['the end']);
  equal(heard.size, 0, 'what else was told');
}
