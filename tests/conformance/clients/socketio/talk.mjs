// What stock clients say and hear, on one way to the server.

import { freshChannel } from '../lib/fanwire.mjs';
import { ask, connected, disconnected, join, listen, onWebSocket, open, vanish } from '../lib/socketio.mjs';
import { check, equal } from '../lib/suite.mjs';

/** Everything that JSON can hold. */
const JSON_KINDS = [null, true, -0.5, 2 ** 53 - 1, 'grüße 🦀\u0000\u001e"\\', [], { a: [{ b: {} }] }];

/** Bytes as an array of numbers, wherever they are. */
function plain(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return [...new Uint8Array(value.buffer ?? value, value.byteOffset ?? 0, value.byteLength)];
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

/** The tests, for one `io` and the options that choose the way. */
export function talkTests(io, fanwire, way) {
  const come = (test, options = {}) => join(io, fanwire, test, { ...way, ...options });
  return {
    'one who is let in is who it says, and sees its own way': async (test) => {
      const { socket } = await come(test, { auth: { name: 'ada', room: 'r' } });
      const [me] = await ask(socket, 'whoami');
      equal([me.id, me.name, me.rooms, me.recovered], [socket.id, 'ada', ['r'], false], 'whoami');
      equal(socket.io.engine.transport.name, way.transports.at(-1), 'transport');
    },

    'one who is refused hears why, and is let in with another word': async (test) => {
      const talker = open(io, fanwire, test, { ...way, auth: { refuse: 'not today' } });
      const refused = await talker.states.next('the refusal');
      equal(refused, ['connect_error', 'not today', { code: 'told-so' }], 'connect_error');
      talker.socket.auth = {};
      talker.socket.connect();
      await connected(talker);
    },

    'an unknown namespace is refused and the others stay': async (test) => {
      const { socket } = await come(test);
      const other = listen(socket.io.socket('/nowhere'));
      const refused = await other.states.next('the refusal');
      equal(refused.slice(0, 2), ['connect_error', 'Invalid namespace'], 'connect_error');
      equal(await ask(socket, 'echo', 1), [1], 'echo');
    },

    'arguments of every kind come back as they were': async (test) => {
      const { socket, heard } = await come(test);
      equal(await ask(socket, 'echo', ...JSON_KINDS), JSON_KINDS, 'acknowledgement');
      equal(await ask(socket, 'echo'), [], 'no arguments');
      socket.emit('back', ...JSON_KINDS);
      equal(await heard.next('the event'), ['back', ...JSON_KINDS], 'event');
    },

    'bytes travel both ways, wherever they are nested': async (test) => {
      const { socket, heard } = await come(test);
      const large = new Uint8Array(100_000).map((_, at) => at);
      const args = [Buffer.from([0, 255]), { a: [new Uint8Array([1]), { b: large }] }, 'text', Buffer.alloc(0)];
      equal(plain(await ask(socket, 'echo', ...args)), plain(args), 'acknowledgement');
      socket.emit('back', ...args);
      equal(plain(await heard.next('the event')), ['back', ...plain(args)], 'event');
    },

    'the server asks and gets its answer, bytes too, or none in time': async (test) => {
      const { socket } = await come(test);
      socket.once('question', (what, answer) => answer(plain(what), Buffer.from([7])));
      equal(plain(await ask(socket, 'ask', Buffer.from([1, 2]))), [[1, 2], [7]], 'answer');
      const [refused] = await ask(socket, 'ask', 'nobody answers');
      equal(refused.code, 'unanswered', 'without an answer');
    },

    'all are asked at once': async (test) => {
      const namespace = `/room-${freshChannel('asked')}`;
      const [one, two, silent] = [await come(test, { namespace }), await come(test, { namespace }), await come(test, { namespace })];
      for (const { socket } of [one, two]) socket.on('question', (what, answer) => answer(what));
      equal(await ask(one.socket, 'ask-all', 'who?'), [{ answered: 2, silent: 1 }], 'answers');
      equal((await silent.heard.next('the question')).slice(0, 2), ['question', 'who?'], 'heard');
    },

    'an event that nothing takes, or that fails, is refused in the acknowledgement or as $error': async (test) => {
      const { socket, heard } = await come(test);
      for (const [event, code] of [['nobody-takes-this', 'forbidden'], ['refuse', 'no'], ['panic', 'internal']]) {
        equal((await ask(socket, event))[0].code, code, event);
        socket.emit(event);
        const [name, why] = await heard.next('the refusal');
        equal([name, why.code, why.event], ['$error', code, event], event);
      }
      equal(await ask(socket, 'echo', 1), [1], 'the session goes on');
    },

    'rooms are heard by who is in them': async (test) => {
      const [one, two, three] = [await come(test), await come(test), await come(test)];
      const room = freshChannel('room');
      for (const { socket } of [one, two]) await ask(socket, 'join', room);
      await ask(one.socket, 'say', room, 'all but me');
      await ask(one.socket, 'tell', room, 'all');
      await ask(two.socket, 'leave', room);
      await ask(one.socket, 'tell', room, 'who is left');
      await ask(three.socket, 'say', room, 'from outside');
      for (const { socket } of [one, two, three]) socket.emit('back', 'last');
      const expected = [
        [['told', 'all'], ['told', 'who is left'], ['said', 'from outside'], ['back', 'last']],
        [['said', 'all but me'], ['told', 'all'], ['back', 'last']],
        [['back', 'last']],
      ];
      for (const [at, { heard }] of [one, two, three].entries()) {
        equal(await heard.take(expected[at].length, 'events'), expected[at], `of ${at + 1}`);
      }
    },

    'everyone is heard by everyone, volatile or not': async (test) => {
      const namespace = `/room-${freshChannel('all')}`;
      const [one, two] = [await come(test, { namespace }), await come(test, { namespace })];
      await ask(one.socket, 'all', { to: 'everyone' });
      for (const { heard } of [one, two]) equal(await heard.next('the event'), ['all', { to: 'everyone' }], 'event');
      // It may be lost: asked for again until it came.
      while (two.heard.size === 0) await ask(one.socket, 'flash', 'perhaps');
      equal(await two.heard.next('the volatile event'), ['flash', 'perhaps'], 'event');
    },

    'namespaces share a connection and nothing else': async (test) => {
      const first = await come(test);
      const { io: manager } = first.socket;
      const [plain, pattern] = [listen(manager.socket('/plain')), listen(manager.socket('/room-7'))];
      const ids = [first.socket.id, (await connected(plain)).id, (await connected(pattern)).id];
      equal(new Set(ids).size, 3, 'ids');
      check(!ids.includes(manager.engine.id), 'no socket is called as its connection is');
      const all = [first, plain, pattern];
      for (const [at, { socket }] of all.entries()) socket.emit('back', at);
      for (const [at, { heard }] of all.entries()) equal(await heard.next('the event'), ['back', at], 'event');
      plain.socket.disconnect();
      equal(await disconnected(plain), 'io client disconnect', 'reason');
      equal(await ask(pattern.socket, 'echo', 1), [1], 'the others stay');
      plain.socket.connect();
      await connected(plain);
    },

    'each end has its reason, on both sides': async (test) => {
      const namespace = `/room-${freshChannel('reasons')}`;
      const talker = await come(test, { namespace });
      const witness = await come(test, { namespace });
      const { socket } = talker;
      const told = async (count) => {
        for (;;) {
          const [all] = await ask(witness.socket, 'reasons-of', namespace);
          if (all.length >= count) return all;
        }
      };
      socket.emit('kick');
      equal(await disconnected(talker), 'io server disconnect', 'let go');
      equal(await talker.heard.next('the last word'), ['bye'], 'said before');
      socket.connect();
      await connected(talker);
      socket.emit('hang-up');
      equal(await disconnected(talker), 'transport close', 'hung up');
      await connected(talker);
      socket.disconnect();
      equal(await disconnected(talker), 'io client disconnect', 'went');
      const [forced, client] = ['forced server close', 'client namespace disconnect'];
      equal(await told(3), ['server namespace disconnect', forced, client], 'told to the server');
    },

    'what is said while away is said on return, once and in order': async (test) => {
      const talker = await come(test, { namespace: '/plain' });
      const { socket, heard } = talker;
      await vanish(talker, fanwire, test);
      const numbers = Array.from({ length: 50 }, (_, at) => at);
      for (const number of numbers) socket.emit('back', number);
      await fanwire.admit();
      await connected(talker);
      equal(await heard.take(50, 'events'), numbers.map((number) => ['back', number]), 'events');
    },

    '20 bursts of 100 and 3 of 1,000 come back whole and in order': async (test) => {
      // Not waiting for the upgrade: it falls into the bursts.
      const talker = open(io, fanwire, test, way);
      const { socket, heard } = talker;
      await connected(talker);
      let last = 0;
      const bursts = [...Array(20).fill(100), ...Array(3).fill(1000)];
      for (const size of bursts) {
        const numbers = Array.from({ length: size }, () => (last += 1));
        for (const number of numbers) socket.emit('back', number);
        const came = await heard.take(size, 'echoes');
        equal(came, numbers.map((number) => ['back', number]), 'echoes');
      }
      if (way.transports.at(-1) === 'websocket') await onWebSocket(socket);
    },
  };
}

/** What only clients of today can do. */
export function talkOfTodayTests(io, fanwire, way) {
  return {
    'emitWithAck gives the answer, and a time-out where there is none': async (test) => {
      const { socket } = await join(io, fanwire, test, way);
      equal(await socket.timeout(10_000).emitWithAck('echo', [1]), [1], 'answer');
      let why = 'it was answered';
      await socket.timeout(50).emitWithAck('silent').catch((error) => (why = error.message));
      equal(why, 'operation has timed out', 'the time-out');
      equal(await socket.emitWithAck('echo', 2), 2, 'the session goes on');
    },

    'a client that retries has each event handled once': async (test) => {
      const { socket, heard } = await join(io, fanwire, test, { ...way, retries: 3, ackTimeout: 10_000 });
      for (const number of [1, 2, 3]) socket.emit('back', number);
      equal(await heard.take(3, 'events'), [1, 2, 3].map((number) => ['back', number]), 'events');
    },
  };
}
