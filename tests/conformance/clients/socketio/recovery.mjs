// A client that comes back: it is who it was and has missed nothing, or it is told that it has.

import { freshChannel } from '../lib/fanwire.mjs';
import { ask, connected, disconnected, join, vanish } from '../lib/socketio.mjs';
import { check, equal } from '../lib/suite.mjs';

/** What is published to a room while its listener is away. */
function scores(room, numbers) {
  return numbers.map((number) => ({ channel: `${room}?event=score`, body: `${number}` }));
}

const heardScores = (numbers) => numbers.map((number) => ['score', `${number}`]);

/** The tests, for one `io` and the options that choose the way. */
export function recoveryTests(io, fanwire, way) {
  /** A client in a room of its own. */
  async function come(test, options = {}) {
    const room = freshChannel('recovered');
    const talker = await join(io, fanwire, test, { ...way, auth: { room, name: 'ada' }, ...options });
    return { ...talker, room, id: talker.socket.id };
  }

  /** It was recovered, and is who it was. */
  async function isBack(talker) {
    const { id, recovered } = await connected(talker);
    equal([recovered, id], [true, talker.id], 'recovered, and its id');
  }

  /** It is there again, as somebody new, and knows that something was missed. */
  async function isAnother(talker, { told = true } = {}) {
    const { id, recovered } = await connected(talker);
    equal(Boolean(recovered), false, 'recovered');
    check(id !== talker.id, 'it has its old id');
    talker.id = id;
    if (told) equal((await talker.heard.next('$gap'))[0], '$gap', 'what it hears first');
  }

  /** Nothing comes that was not waited for. */
  async function isQuiet({ socket, heard }) {
    equal(await ask(socket, 'echo', 'still'), ['still'], 'echo');
    equal(heard.size, 0, 'events that nobody waits for');
  }

  return {
    'after a cut it hears what it missed, once, and then what comes': async (test) => {
      const talker = await come(test);
      await fanwire.publish(talker.room, '1', { query: 'event=score' });
      equal(await talker.heard.next('the first'), ['score', '1'], 'before');
      await fanwire.outage(scores(talker.room, [2, 3, 4]));
      await isBack(talker);
      equal(await talker.heard.take(3, 'what was missed'), heardScores([2, 3, 4]), 'missed');
      await fanwire.publish(talker.room, '5', { query: 'event=score' });
      equal(await talker.heard.next('the next'), ['score', '5'], 'after');
      await isQuiet(talker);
      const [me] = await ask(talker.socket, 'whoami');
      equal(me, { id: talker.id, name: 'ada', recovered: true, rooms: [talker.room] }, 'whoami');
    },

    'twice in a row, the second time at once': async (test) => {
      const talker = await come(test);
      await fanwire.outage(scores(talker.room, [1, 2]));
      await isBack(talker);
      await fanwire.outage(scores(talker.room, [3, 4]));
      await isBack(talker);
      equal(await talker.heard.take(4, 'what was missed'), heardScores([1, 2, 3, 4]), 'missed');
      await isQuiet(talker);
    },

    'without any event received before, and none missed': async (test) => {
      const talker = await come(test);
      await fanwire.outage([]);
      await isBack(talker);
      await fanwire.outage(scores(talker.room, [1]));
      await isBack(talker);
      equal(await talker.heard.next('what was missed'), ['score', '1'], 'missed');
      await isQuiet(talker);
    },

    'with volatile traffic around that ends in a string': async (test) => {
      const talker = await come(test);
      await fanwire.publish(talker.room, '1', { query: 'event=score' });
      equal(await talker.heard.next('the first'), ['score', '1'], 'before');
      while (talker.heard.size === 0) await ask(talker.socket, 'flash', 'no offset');
      equal(await talker.heard.next('the volatile event'), ['flash', 'no offset'], 'volatile');
      await fanwire.outage(scores(talker.room, [2, 3]));
      await isBack(talker);
      const events = [];
      while (events.length < 2) {
        const event = await talker.heard.next('what was missed');
        if (event[0] !== 'flash') events.push(event);
      }
      equal(events, heardScores([2, 3]), 'missed');
      await isQuiet(talker);
    },

    'while the server still believes in the old connection, twice': async (test) => {
      const talker = await come(test);
      for (const numbers of [[1, 2], [3, 4]]) {
        await vanish(talker, fanwire, test);
        await fanwire.admit(scores(talker.room, numbers));
        await isBack(talker);
        equal(await talker.heard.take(2, 'what was missed'), heardScores(numbers), 'missed');
      }
      await isQuiet(talker);
    },

    'what was sent into a dead connection is heard again': async (test) => {
      const talker = await come(test);
      await fanwire.silence();
      // The server writes it to the connection that nobody reads.
      await fanwire.admit(scores(talker.room, [1, 2, 3]));
      talker.socket.io.engine.close();
      await isBack(talker);
      equal(await talker.heard.take(3, 'what was lost'), heardScores([1, 2, 3]), 'lost');
      await isQuiet(talker);
    },

    'more than a queue holds is heard whole and in order': async (test) => {
      const talker = await come(test);
      const numbers = Array.from({ length: 300 }, (_, at) => at);
      await fanwire.outage(scores(talker.room, numbers));
      await isBack(talker);
      equal(await talker.heard.take(300, 'what was missed'), heardScores(numbers), 'missed');
      await isQuiet(talker);
    },

    'bytes that were missed are bytes': async (test) => {
      const talker = await come(test, { reconnection: false });
      await vanish(talker, fanwire, test);
      await fanwire.admit();
      const other = await join(io, fanwire, test, way);
      await ask(other.socket, 'tell-bytes', talker.room, Buffer.from([1, 2, 255]));
      talker.socket.connect();
      await isBack(talker);
      const [name, bytes] = await talker.heard.next('what was missed');
      equal([name, [...bytes]], ['told', [1, 2, 255]], 'missed');
      await isQuiet(talker);
    },

    'what it said while away is handled once': async (test) => {
      const talker = await come(test);
      await vanish(talker, fanwire, test);
      for (const number of [1, 2, 3]) talker.socket.emit('back', number);
      await fanwire.admit();
      await isBack(talker);
      equal(await talker.heard.take(3, 'events'), [1, 2, 3].map((number) => ['back', number]), 'events');
      await isQuiet(talker);
    },

    'with a forged name, or another offset than ours, nobody gets what is not theirs': async (test) => {
      const talker = await come(test);
      const { socket } = talker;
      const pid = socket._pid;
      for (const forged of ['forged', '', `${pid}x`, pid.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))]) {
        socket._pid = forged;
        await fanwire.outage(scores(talker.room, [1]));
        await isAnother(talker, { told: forged !== '' });
        await isQuiet(talker);
      }
      // Without an offset that it knows, the server goes by its own.
      for (const offset of ['forged', 'fw~', undefined]) {
        socket._lastOffset = offset;
        await fanwire.outage(scores(talker.room, [2]));
        await isBack(talker);
        equal((await talker.heard.take(1, 'what was missed')).at(-1), ['score', '2'], `with ${offset}`);
        while (talker.heard.size > 0) equal(await talker.heard.next('more'), ['score', '2'], 'again');
      }
    },

    'where history is too short, it is somebody new, and told': async (test) => {
      const talker = await come(test, { namespace: '/brief' });
      await fanwire.outage(scores(`brief:${talker.room}`, [1, 2, 3, 4, 5]));
      await isAnother(talker);
      await fanwire.publish(`brief:${talker.room}`, '6', { query: 'event=score' });
      equal(await talker.heard.next('the next'), ['score', '6'], 'after');
      await isQuiet(talker);
      await fanwire.outage(scores(`brief:${talker.room}`, [7, 8]));
      await isBack(talker);
      equal(await talker.heard.take(2, 'what was missed'), heardScores([7, 8]), 'what history holds');
    },

    'after a restart of the server it is somebody new, and told': async (test) => {
      const talker = await come(test);
      await fanwire.restart(scores(talker.room, [1]));
      await isAnother(talker);
      await fanwire.publish(talker.room, '2', { query: 'event=score' });
      equal(await talker.heard.next('the next'), ['score', '2'], 'after');
    },

    'in a namespace without recovery it is somebody new': async (test) => {
      const talker = await come(test, { namespace: '/plain' });
      await fanwire.outage(scores(`plain:${talker.room}`, [1]));
      await isAnother(talker, { told: false });
      equal(talker.socket._pid, undefined, 'pid');
      await isQuiet(talker);
    },

    'one who was let go, or went, comes back as somebody new': async (test) => {
      const namespace = `/room-${freshChannel('gone')}`;
      const [talker, witness] = [await come(test, { namespace }), await come(test, { namespace })];
      talker.socket.emit('kick');
      await disconnected(talker);
      await talker.heard.next('the last word');
      talker.socket.connect();
      await isAnother(talker);
      talker.socket.disconnect();
      // Before the server knows, it would be a connection that is taken over.
      for (let gone = []; gone.length < 2; ) [gone] = await ask(witness.socket, 'reasons-of', namespace);
      talker.socket.connect();
      await disconnected(talker);
      await isAnother(talker);
      await isQuiet(talker);
    },
  };
}
