// What a page may expect of `io`, the browser client for Socket.IO, whichever server it talks to.
//
// The server listens at three paths, with 2 s of interval and time-out together at the second, and
// with recovery at the third, and only there; its requests take 100 kB:
//     /socket.io/   /impatient/   /recovering/
// It may be three servers, each with an address of its own. Each has the namespaces `/` and `/custom`, and `/guarded`, which wants `auth.token` to be "open
// sesame" and refuses with "not authorised" and `data: { code: 'token', retry: [1, 2] }`. A socket
// hears `auth` with its auth payload, and may emit:
//     message(...args)              the server emits message-back(...args)
//     message-with-ack(...args, ack)  ack(...args)
//     ask(...args)                  the server emits question(...args) and, when that is
//                                   acknowledged, answered(...answer)
//     never(ack)                    is never acknowledged
//     third-time(..., ack)          ack(3) when it is emitted for the third time, and then always
//     join(room, ack), say(room, ...args, ack)   the room hears said(...args)
//     about(ack)                    ack({ query, extra, transport }); extra is the header x-extra
//     leave                         the server disconnects the socket from its namespace
//     drop                          the server closes the connection
// When a socket with `watched` in its query ends, that room hears said('gone', reason).
// `stage` can `cut()` every connection, `refuse()` and `accept()` new ones, `freeze()` all bytes
// and `thaw()` by a cut.

import { check, equal, Inbox } from '../lib/suite.mjs';

/** Short delays, so that a test need not wait for seconds. */
const QUICK = { reconnectionDelay: 20, reconnectionDelayMax: 60 };
const TRANSPORTS = {
  polling: { transports: ['polling'] },
  websocket: { transports: ['websocket'] },
  upgrade: { transports: ['polling', 'websocket'] },
};

const numbers = (from, count) => Array.from({ length: count }, (_, at) => from + at);
const bytes = (...values) => new Uint8Array(values).buffer;

/** Binary as something that JSON shows. */
function shown(value) {
  if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
  if (ArrayBuffer.isView(value)) return { view: value.byteLength };
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shown(one)]));
}

/** All that a socket tells, in order: `[event, ...args]`. */
function hear(socket, ...more) {
  const heard = new Inbox();
  for (const event of ['connect', 'connect_error', 'disconnect', ...more]) {
    socket.on(event, (...args) => {
      const told = { connect: [], disconnect: args.slice(0, 1) }[event] ?? args;
      heard.push([event, ...told.map((one) => (one instanceof Error ? one.message : one))]);
    });
  }
  return heard;
}

/** What one emitter tells of one event. */
function listen(emitter, event) {
  const heard = new Inbox();
  emitter.on(event, (...args) => heard.push(args));
  return heard;
}

/** The path where nothing else is said. */
export const MAIN_PATH = '/socket.io/';

/** The tests: of `io`, against the server that is at `bases[path]`. */
export function socketIoTests(io, bases, stage) {
  const base = bases[MAIN_PATH];

  /** A socket of its own connection that ends with the test. */
  function open(test, nsp = '', opts = {}) {
    const socket = io(`${bases[opts.path ?? MAIN_PATH]}${nsp}`, { forceNew: true, ...QUICK, ...opts });
    test.defer(() => socket.io.disconnect());
    return socket;
  }

  /** The same, once it is connected, with what it tells from then on. */
  async function connected(test, nsp, opts, ...more) {
    const socket = open(test, nsp, opts);
    const auth = listen(socket, 'auth');
    const heard = hear(socket, ...more);
    await back(heard);
    // The server's first word: what comes after it is the test's own.
    await auth.next('auth');
    return { socket, heard };
  }

  /** Waits until it is connected, by whatever many attempts. */
  async function back(heard) {
    let told;
    do told = await heard.next('connect'); while (told[0] === 'connect_error');
    equal(told, ['connect'], 'what the socket tells');
  }

  const everyTransport = (opts) => ({
    'it connects with an id of its own': async (test) => {
      const { socket } = await connected(test, '', opts);
      check(socket.connected && !socket.disconnected && socket.active, 'connected');
      check(socket.id && socket.id !== socket.io.engine.id, 'two ids');
      equal(socket.recovered, false, 'recovered');
      const about = await socket.emitWithAck('about');
      check(opts.transports.includes(about.transport), about.transport);
    },

    'events with any arguments come back, all and in order': async (test) => {
      const socket = open(test, '', opts);
      const heard = listen(socket, 'message-back');
      const sent = numbers(0, 300).map((n) => [n, `n ${n}`, { n, list: [null, true, 'ü\u2028🛰'] }]);
      for (const args of sent.slice(0, 100)) socket.emit('message', ...args);
      equal(await heard.take(100, 'the first echoes'), sent.slice(0, 100), 'echoes');
      for (const args of sent.slice(100)) {
        socket.emit('message', ...args);
        // Some in one turn, some in many.
        if (args[0] % 9 === 0) await Promise.resolve();
      }
      equal(await heard.take(200, 'the other echoes'), sent.slice(100), 'echoes');
      socket.emit('message');
      equal(await heard.next('the empty echo'), [], 'no arguments');
    },

    'acks go both ways': async (test) => {
      const { socket } = await connected(test, '', opts);
      const answers = new Inbox();
      socket.emit('message-with-ack', 1, 'two', [3], (...answer) => answers.push(answer));
      equal(await answers.next('the ack'), [1, 'two', [3]], 'answer');
      equal(await socket.timeout(20_000).emitWithAck('message-with-ack', 'x'), 'x', 'emitWithAck');
      socket.on('question', (a, b, answer) => {
        answer(a + b, 'yes');
        answer('once only');
      });
      const answered = listen(socket, 'answered');
      socket.emit('ask', 20, 22);
      socket.emit('ask', 1, 2);
      equal(await answered.take(2, 'what came of the questions'), [[42, 'yes'], [3, 'yes']], 'answers');
    },

    'binary travels anywhere in the arguments': async (test) => {
      const { socket } = await connected(test, '', opts);
      const heard = listen(socket, 'message-back');
      const long = new Uint8Array(50_000).map((_, at) => at * 7);
      socket.emit(
        'message',
        bytes(0, 1, 255),
        { deep: [{ view: new Uint8Array([9, 8, 7, 6]).subarray(1, 3) }, 'text'], none: bytes() },
        new DataView(bytes(5, 6)),
        new Blob([bytes(1, 2), 'z']),
      );
      socket.emit('message', 'after');
      socket.emit('message', long);
      const [first, second, third] = await heard.take(3, 'the echoes');
      const expected = [
        { bytes: [0, 1, 255] },
        { deep: [{ view: { bytes: [8, 7] } }, 'text'], none: { bytes: [] } },
        { bytes: [5, 6] },
        { bytes: [1, 2, 122] },
      ];
      equal(shown(first), expected, 'the first');
      equal(second, ['after'], 'the text after it');
      equal([...new Uint8Array(third[0])], [...long], 'the long one');
      const answer = await socket.emitWithAck('message-with-ack', { a: bytes(3) });
      equal(shown(answer), { a: { bytes: [3] } }, 'in an ack');
      socket.on('question', (one, reply) => reply([one, bytes(4)]));
      const answered = listen(socket, 'answered');
      socket.emit('ask', bytes(2));
      equal(shown(await answered.next('the answer')), [[{ bytes: [2] }, { bytes: [4] }]], 'both ways');
    },

    'what is emitted at once goes in pieces that the server takes': async (test) => {
      const { socket } = await connected(test, '', opts);
      const heard = listen(socket, 'message-back');
      const letters = [...'abcdef'].map((letter) => letter.repeat(30_000));
      for (const text of letters) socket.emit('message', text);
      socket.emit('message', new Uint8Array(70_000));
      socket.emit('message', 'ü'.repeat(30_000));
      const lengths = (await heard.take(8, 'echoes')).map(([one]) => one.length ?? -one.byteLength);
      equal(lengths, [...letters.map(({ length }) => length), -70_000, 30_000], 'echoes');
    },

    'a cut is told, and what was emitted meanwhile arrives afterwards in order': async (test) => {
      const { socket, heard } = await connected(test, '', opts, 'message-back');
      const id = socket.id;
      await stage.refuse();
      test.defer(() => stage.accept());
      await stage.cut();
      const [told, reason] = await heard.next('disconnect');
      equal(told, 'disconnect', 'what the socket tells');
      check(['transport close', 'transport error'].includes(reason), reason);
      check(!socket.connected && socket.active && socket.id === undefined, 'away');
      const sent = numbers(0, 20);
      for (const n of sent) {
        socket.emit('message', n);
        socket.volatile.emit('message', `volatile ${n}`);
      }
      equal((await heard.next('a failed attempt'))[0], 'connect_error', 'what the socket tells');
      await stage.accept();
      await back(heard);
      check(socket.id && socket.id !== id, 'a new id');
      socket.emit('message', 'the end');
      const expected = [...sent, 'the end'].map((n) => ['message-back', n]);
      equal(await heard.take(21, 'the echoes'), expected, 'echoes');
    },

    'a server that goes silent is a ping timeout': async (test) => {
      const { socket, heard } = await connected(test, '', { ...opts, path: '/impatient/' });
      const pings = listen(socket.io, 'ping');
      await pings.take(2, 'pings');
      await stage.freeze();
      test.defer(() => stage.thaw());
      equal(await heard.next('disconnect'), ['disconnect', 'ping timeout'], 'reason');
      await stage.thaw();
      await back(heard);
    },

    'recovery gives back id and rooms, and every event once': async (test) => {
      const path = '/recovering/';
      const { socket, heard } = await connected(test, '', { ...opts, path }, 'said');
      socket.io.reconnection(false);
      const id = socket.id;
      const { socket: speaker, heard: speakers } = await connected(test, '', { path });
      test.defer(() => stage.accept());
      await socket.emitWithAck('join', 'room');
      await speaker.emitWithAck('say', 'room', 'before');
      equal((await heard.next('said')).slice(0, 2), ['said', 'before'], 'heard');
      for (const round of ['first', 'second']) {
        // A cut between two polls is none, unless the next one is refused.
        await stage.refuse();
        await stage.cut();
        equal((await heard.next('disconnect'))[0], 'disconnect', 'what the socket tells');
        // The cut hit the speaker too.
        equal((await speakers.next('disconnect'))[0], 'disconnect', 'what the speaker tells');
        await stage.accept();
        await back(speakers);
        for (const n of [1, 2, 3]) {
          await speaker.emitWithAck('say', 'room', `${round} ${n}`, bytes(n));
        }
        socket.connect();
        // A server may say that it was recovered before what was missed, or behind it.
        const told = await heard.take(4, 'what was missed');
        const missed = told.filter(([event]) => event !== 'connect');
        equal(
          shown(missed.map((one) => one.slice(0, 3))),
          [1, 2, 3].map((n) => ['said', `${round} ${n}`, { bytes: [n] }]),
          'heard',
        );
        check([told[0], told[3]].some(([event]) => event === 'connect'), 'connect in between');
        equal([socket.recovered, socket.id], [true, id], 'recovered, id');
        await speaker.emitWithAck('say', 'room', 'live');
        equal((await heard.next('said')).slice(0, 2), ['said', 'live'], 'heard');
      }
    },
  });

  const oneTransport = {
    'it begins with polling, moves to a WebSocket, and says so': async (test) => {
      const socket = open(test);
      equal(socket.io.engine.transport.name, 'polling', 'first');
      const upgrades = listen(socket.io.engine, 'upgrade');
      const [transport] = await upgrades.next('the upgrade');
      equal(transport.name, 'websocket', 'then');
      equal((await socket.emitWithAck('about')).transport, 'websocket', 'at the server');
    },

    'it stays with polling where upgrade is false': async (test) => {
      const { socket } = await connected(test, '', { upgrade: false });
      for (const n of [1, 2, 3]) equal(await socket.emitWithAck('message-with-ack', n), n, 'ack');
      equal((await socket.emitWithAck('about')).transport, 'polling', 'transport');
    },

    'namespaces share a connection unless they are told not to': async (test) => {
      const opts = { path: '/socket.io/', query: { shared: Math.random() } };
      const one = io(`${base}/`, opts);
      test.defer(() => one.io.disconnect());
      const custom = io(`${base}/custom`, opts);
      const again = io(`${base}/custom`, opts);
      const apart = io(`${base}/guarded`, { ...opts, multiplex: false, autoConnect: false });
      test.defer(() => again.io.disconnect());
      check(one.io === custom.io, 'one manager');
      check(again.io !== one.io && apart.io !== one.io, 'managers of their own');
      const connects = [one, custom, again].map((socket) => listen(socket, 'connect'));
      for (const inbox of connects) await inbox.next('connect');
      check(one.id !== custom.id, 'ids');
      custom.emit('leave');
      equal(await listen(custom, 'disconnect').next('disconnect'), ['io server disconnect', undefined], 'reason');
      equal(await one.emitWithAck('message-with-ack', 'still'), 'still', 'the other one');
    },

    'auth reaches the server as an object or from a function': async (test) => {
      for (const [auth, expected] of [
        [{ token: 'a' }, { token: 'a' }],
        [(give) => setTimeout(() => give({ token: 'b' })), { token: 'b' }],
        [undefined, {}],
      ]) {
        const socket = open(test, '/custom', { auth });
        equal(await listen(socket, 'auth').next('auth'), [expected], 'auth');
      }
    },

    'a refusal has message and data, and a better token is let in': async (test) => {
      const socket = open(test, '/guarded', { auth: { token: 'wrong' } });
      const [error] = await listen(socket, 'connect_error').next('the refusal');
      check(error instanceof Error, 'an error');
      equal([error.message, error.data], ['not authorised', { code: 'token', retry: [1, 2] }], 'error');
      check(!socket.active && !socket.connected, 'it does not try again by itself');
      socket.auth = { token: 'open sesame' };
      socket.connect();
      equal(await listen(socket, 'auth').next('auth'), [socket.auth], 'auth');
    },

    'an unknown namespace is refused and the others go on': async (test) => {
      const { socket } = await connected(test);
      const unknown = socket.io.socket('/nowhere');
      const [error] = await listen(unknown, 'connect_error').next('the refusal');
      equal(error.message, 'Invalid namespace', 'message');
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'the other one');
    },

    'query, path and headers reach the server': async (test) => {
      const extraHeaders = { 'x-extra': 'yes' };
      for (const [query, address] of [[{ a: '1', b: 'ü&=' }, ''], ['a=1&b=%C3%BC%26%3D', ''], [undefined, '/?a=1&b=%C3%BC%26%3D']]) {
        const opts = { query, extraHeaders, path: '/impatient/', transports: ['polling'] };
        const { socket } = await connected(test, address, opts);
        const about = await socket.emitWithAck('about');
        equal([about.query.a, about.query.b, about.extra], ['1', 'ü&=', 'yes'], 'about');
      }
    },

    'a server that disconnects is not asked again by itself': async (test) => {
      const { socket, heard } = await connected(test);
      socket.emit('leave');
      equal(await heard.next('disconnect'), ['disconnect', 'io server disconnect'], 'reason');
      check(!socket.active, 'active');
      socket.connect();
      equal(await heard.next('connect'), ['connect'], 'by hand');
    },

    'a connection that the server closes comes back by itself': async (test) => {
      const { socket, heard } = await connected(test);
      const reconnects = listen(socket.io, 'reconnect');
      socket.emit('drop');
      equal(await heard.next('disconnect'), ['disconnect', 'transport close'], 'reason');
      equal(await heard.next('connect'), ['connect'], 'back');
      equal(await reconnects.next('reconnect'), [1], 'attempts');
    },

    'disconnect is told here and ends what was waiting': async (test) => {
      const { socket, heard } = await connected(test, '', { transports: ['websocket'] });
      const waiting = socket.emitWithAck('never').catch((error) => error.message);
      socket.disconnect();
      equal(await heard.next('disconnect'), ['disconnect', 'io client disconnect'], 'reason');
      equal(await waiting, 'socket has been disconnected', 'the ack');
      check(!socket.active, 'active');
      socket.connect().connect();
      equal(await heard.next('connect'), ['connect'], 'by hand');
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'it works again');
    },

    'the server is told that a client leaves': async (test) => {
      const { socket: watcher } = await connected(test);
      const watched = `room-${Math.random()}`;
      await watcher.emitWithAck('join', watched);
      const said = listen(watcher, 'said');
      for (const opts of Object.values(TRANSPORTS)) {
        const { socket } = await connected(test, '', { ...opts, query: { watched } });
        for (const n of numbers(0, 20)) socket.emit('message', n);
        socket.disconnect();
        equal(await said.next('the end'), ['gone', 'client namespace disconnect'], 'said');
      }
    },

    'one who leaves while it connects, and comes again, is connected once': async (test) => {
      const socket = open(test);
      socket.disconnect();
      socket.connect();
      const heard = hear(socket);
      equal(await heard.next('connect'), ['connect'], 'what the socket tells');
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'ack');
      equal(heard.size, 0, 'what else it told');
    },

    'attempts are counted, told, and given up': async (test) => {
      await stage.refuse();
      test.defer(() => stage.accept());
      // A request would still be taken on a connection that is kept alive.
      await stage.cut();
      const socket = open(test, '', { reconnectionAttempts: 2, autoConnect: false });
      const told = new Inbox();
      for (const event of ['reconnect_attempt', 'reconnect_error', 'reconnect_failed', 'error']) {
        socket.io.on(event, (what) => told.push(what instanceof Error ? [event] : [event, what]));
      }
      const heard = hear(socket);
      socket.connect();
      equal(await told.take(8, 'what the manager tells'), [
        ['error'],
        ['reconnect_attempt', 1], ['error'], ['reconnect_error'],
        ['reconnect_attempt', 2], ['error'], ['reconnect_failed', undefined], ['reconnect_error'],
      ], 'told');
      const errors = await heard.take(3, 'connect_error');
      equal(errors, errors.map(() => ['connect_error', 'xhr poll error']), 'errors');
      await stage.accept();
      socket.connect();
      equal(await heard.next('connect'), ['connect'], 'by hand');
    },

    'no reconnection where it is not wanted': async (test) => {
      const { socket, heard } = await connected(test, '', { reconnection: false });
      const attempts = listen(socket.io, 'reconnect_attempt');
      socket.emit('drop');
      equal(await heard.next('disconnect'), ['disconnect', 'transport close'], 'reason');
      socket.connect();
      equal(await heard.next('connect'), ['connect'], 'by hand');
      equal(attempts.size, 0, 'attempts');
    },

    'a WebSocket that cannot be opened leaves polling alone': async (test) => {
      const transportOptions = { websocket: { path: '/nowhere' } };
      const socket = open(test, '', { transportOptions });
      const failed = listen(socket.io.engine, 'upgradeError');
      const heard = listen(socket, 'message-back');
      const sent = numbers(0, 50);
      for (const n of sent) socket.emit('message', n);
      equal(await heard.take(50, 'echoes'), sent.map((n) => [n]), 'echoes');
      await failed.next('the failed upgrade');
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'afterwards');
      equal(socket.io.engine.transport.name, 'polling', 'transport');
    },

    'an upgrade that fails half-way leaves polling alive': async (test) => {
      const socket = open(test);
      const failed = listen(socket.io.engine, 'upgradeError');
      socket.io.engine.on('upgrading', async (probe) => {
        // By now polling comes to rest.
        await null;
        probe.tell('onClose');
      });
      await failed.next('the failed upgrade');
      for (const n of [1, 2, 3]) equal(await socket.emitWithAck('message-with-ack', n), n, 'ack');
      equal(socket.io.engine.transport.name, 'polling', 'transport');
    },

    'a namespace is asked for once, however often connect is called': async (test) => {
      const socket = open(test, '', { autoConnect: false });
      const heard = hear(socket);
      socket.io.on('open', () => socket.connect().connect());
      socket.connect();
      equal(await heard.next('connect'), ['connect'], 'what the socket tells');
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'ack');
      equal(heard.size, 0, 'what else it told');
    },

    'the other transports are tried where that is wanted': async (test) => {
      const opts = { transports: ['websocket', 'polling'], transportOptions: { websocket: { path: '/nowhere' } } };
      const refused = open(test, '', { ...opts, reconnection: false });
      equal((await listen(refused, 'connect_error').next('the error'))[0].message, 'websocket error', 'message');
      const { socket } = await connected(test, '', { ...opts, tryAllTransports: true });
      equal(socket.io.engine.transport.name, 'polling', 'transport');
    },

    'an answer that does not come in time is an error': async (test) => {
      const { socket } = await connected(test);
      const answers = new Inbox();
      socket.timeout(20).emit('never', (error) => answers.push(error.message));
      socket.timeout(20_000).emit('message-with-ack', 'x', (error, answer) => answers.push([error, answer]));
      equal(await answers.take(2, 'answers').then((all) => all.map(String).sort()), [',x', 'operation has timed out'], 'answers');
      const failed = await socket.timeout(20).emitWithAck('never').catch((error) => error.message);
      equal(failed, 'operation has timed out', 'emitWithAck');
      socket.disconnect();
      const late = await socket.timeout(20).emitWithAck('message', 'late').catch((error) => error.message);
      equal([late, socket.sendBuffer.length], ['operation has timed out', 0], 'not sent any more');
    },

    'with retries an event is sent until it is acknowledged': async (test) => {
      const { socket } = await connected(test, '', { retries: 100, ackTimeout: 100 });
      const answers = new Inbox();
      socket.emit('third-time', (error, answer) => answers.push([error, answer]));
      socket.emit('message-with-ack', 'next', (error, answer) => answers.push([error, answer]));
      equal(await answers.take(2, 'answers'), [[null, 3], [null, 'next']], 'answers');
    },

    'once hears one, off none, and the catch-all listeners all': async (test) => {
      const { socket } = await connected(test);
      const told = new Inbox();
      const twice = (n) => told.push(`twice ${n}`);
      const gone = () => told.push('gone');
      socket.once('message-back', (n) => told.push(`once ${n}`));
      socket.on('message-back', twice).on('message-back', gone).off('message-back', gone);
      const any = (event, n) => told.push(`any ${event} ${n}`);
      socket.onAny(gone).onAny(any).offAny(gone);
      socket.prependAny((event) => told.push(`first ${event}`));
      socket.onAnyOutgoing((event, n) => told.push(`out ${event} ${n}`));
      socket.emit('message', 1);
      socket.emit('message', 2);
      equal((await told.take(9, 'listeners')).filter((one) => !one.startsWith('out')), [
        'first message-back', 'any message-back 1', 'once 1', 'twice 1',
        'first message-back', 'any message-back 2', 'twice 2',
      ], 'told');
      equal(socket.listeners('message-back').length, 1, 'listeners left');
      socket.off('message-back').offAny().offAnyOutgoing();
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'ack');
      equal([told.size, socket.hasListeners('message-back')], [0, false], 'afterwards');
    },

    'names of the library cannot be emitted': async (test) => {
      const socket = open(test, '', { autoConnect: false });
      for (const event of ['connect', 'connect_error', 'disconnect', 'newListener']) {
        let message = 'nothing thrown';
        try {
          socket.emit(event);
        } catch (error) {
          message = error.message;
        }
        equal(message, `"${event}" is a reserved event name`, 'error');
      }
    },

    'nothing is opened before it is asked for': async (test) => {
      const socket = open(test, '', { autoConnect: false });
      equal([socket.active, socket.io.engine], [false, undefined], 'before');
      socket.emit('message', 'kept');
      const heard = listen(socket, 'message-back');
      socket.connect();
      equal(await heard.next('the echo'), ['kept'], 'echo');
    },
  };

  const all = {};
  for (const [name, opts] of Object.entries(TRANSPORTS)) {
    for (const [what, body] of Object.entries(everyTransport(opts))) all[`${name}: ${what}`] = body;
  }
  return { ...all, ...oneTransport };
}
