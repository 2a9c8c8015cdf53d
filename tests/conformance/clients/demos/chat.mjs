// The chat, with npm `socket.io-client`.

import { check, equal, Inbox, within } from '../lib/suite.mjs';

const EVENTS = ['user-joined', 'chat-message', 'user-typing', 'user-stop-typing', 'private-message', 'user-left', '$error'];

/** A client that is connected; what it hears arrives in an inbox as `[event, what it carries]`. */
async function come(io, url, { defer }, options = {}) {
  const socket = io(url, { forceNew: true, ...options });
  defer(() => socket.disconnect());
  const heard = new Inbox();
  for (const event of EVENTS) socket.on(event, (said) => heard.push([event, said]));
  await within(20_000, 'a connection', new Promise((resolve) => socket.once('connect', resolve)));
  return { socket, heard };
}

/** The same, with a name; everything up to its own coming is heard. */
async function register(io, url, test, name, options) {
  const one = await come(io, url, test, options);
  one.socket.emit('register', name);
  for (;;) {
    const [event, said] = await one.heard.next(`that ${name} has come`);
    if (event === 'user-joined' && said.username === name) return { ...one, total: said.totalUsers };
  }
}

const ask = (socket, ...event) => within(20_000, `an answer to ${event[0]}`, new Promise((resolve) => socket.emit(...event, resolve)));

export const chatTests = (url, io, version) => {
  const name = (who) => `${who} of ${version}`;
  return {
    [`chat, client ${version}: people come, talk, type, whisper and leave`]: async (test) => {
      const ann = await register(io, url, test, name('Ann'), { transports: ['polling'] });
      const bob = await register(io, url, test, name('Bob'), { transports: ['websocket'] });
      equal(bob.total, ann.total + 1, 'the number of people');
      equal(await ann.heard.next('that Bob came'), ['user-joined', { username: name('Bob'), totalUsers: bob.total }], 'what Ann heard');
      bob.socket.emit('typing');
      bob.socket.emit('stop-typing');
      bob.socket.emit('chat-message', '<b>hi</b>');
      equal(await ann.heard.next('typing'), ['user-typing', name('Bob')], 'typing');
      equal(await ann.heard.next('no typing'), ['user-stop-typing', name('Bob')], 'no typing');
      for (const { heard } of [ann, bob]) {
        const [event, { username, message, timestamp }] = await heard.next('a message');
        equal([event, username, message], ['chat-message', name('Bob'), '<b>hi</b>'], 'the message');
        equal(new Date(timestamp).toISOString(), timestamp, 'its time');
      }
      ann.socket.emit('private-message', { to: name('Bob'), message: 'psst' });
      equal(await bob.heard.next('a whisper'), ['private-message', { from: name('Ann'), message: 'psst' }], 'the whisper');
      ann.socket.disconnect();
      equal(await bob.heard.next('that Ann left'), ['user-left', { username: name('Ann'), totalUsers: bob.total - 1 }], 'what Bob heard');
    },

    [`chat, client ${version}: strangers and nonsense get an error, and nobody else hears of it`]: async (test) => {
      const ann = await register(io, url, test, name('Anna'));
      const stranger = await come(io, url, test);
      for (const event of [['chat-message', 'hi'], ['typing'], ['stop-typing'], ['private-message', { to: name('Anna'), message: 'hi' }]]) {
        equal((await ask(stranger.socket, ...event)).code, 'not_registered', event[0]);
        stranger.socket.emit(...event);
        const [told, { code }] = await stranger.heard.next('an error');
        equal([told, code], ['$error', 'not_registered'], event[0]);
      }
      for (const event of [
        ['register', null], ['register', 7], ['register', { name: 'x' }], ['register', []],
        ['chat-message', null], ['chat-message', 7], ['private-message', null], ['private-message', 7],
        ['private-message', 'text'], ['private-message', { to: null, message: 'x' }], ['private-message', { to: 'x' }],
      ]) {
        const { code, message } = await ask(ann.socket, ...event);
        check(code === 'bad_request' && message.length > 5, `${JSON.stringify(event)} gets ${code}`);
      }
      equal((await ask(stranger.socket, 'register', name('anna'))).code, 'taken', 'a name that is taken');
      equal((await ask(ann.socket, 'private-message', { to: 'nobody at all', message: 'x' })).code, 'unknown_user', 'to nobody');
      ann.socket.emit('chat-message', 'still here');
      equal((await ann.heard.next('her own message'))[1].message, 'still here', 'all that she heard');
    },

    [`chat, client ${version}: who loses the connection has not left, and misses nothing`]: async (test) => {
      const ann = await register(io, url, test, name('Anne'), { reconnectionDelay: 50, reconnectionDelayMax: 100 });
      const bob = await register(io, url, test, name('Bert'));
      await ann.heard.next('that Bert came');
      const back = new Promise((resolve) => ann.socket.once('connect', resolve));
      ann.socket.io.engine.close();
      bob.socket.emit('chat-message', 'meanwhile');
      await within(20_000, 'the connection', back);
      bob.socket.emit('chat-message', 'afterwards');
      const heard = await ann.heard.take(2, 'both messages');
      // Clients before 4.6 know no recovery: they come back as somebody new.
      if (ann.socket.recovered !== undefined) {
        equal(ann.socket.recovered, true, 'recovered');
        equal(heard.map(([, said]) => said.message), ['meanwhile', 'afterwards'], 'what Anne heard');
        equal((await bob.heard.take(2, 'his messages')).map(([event]) => event), ['chat-message', 'chat-message'], 'what Bert heard');
      }
    },
  };
};
