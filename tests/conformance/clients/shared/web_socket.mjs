// What any WebSocket must hear: the browsers' own and npm's `ws` run this one list.

import { check, equal, Inbox } from '../lib/suite.mjs';
import { freshChannel } from '../lib/fanwire.mjs';

const PROTOCOL = 'fanwire.envelope';
/** Largest message, in bytes. */
const MESSAGE_LIMIT = 64 * 1024;

/** An open WebSocket with what it hears in an inbox: text as string, binary as array of bytes. */
export async function open(WebSocket, url, { defer }, protocols = []) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = 'arraybuffer';
  const heard = new Inbox();
  const opened = new Inbox();
  const closed = new Inbox();
  defer(async () => {
    if (socket.readyState === 3) return;
    socket.close();
    if (closed.size === 0) await closed.next('the close of the socket');
  });
  socket.addEventListener('open', () => opened.push(true));
  socket.addEventListener('error', () => {});
  socket.addEventListener('message', ({ data }) => {
    heard.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
  });
  socket.addEventListener('close', ({ code, reason }) => {
    const why = `the socket closed with ${code} ${reason}`;
    opened.close(why);
    heard.close(why);
    closed.push({ code, reason });
  });
  await opened.next('the opening of the socket');
  return { socket, heard, closed };
}

async function nextJson(heard, what) {
  const text = await heard.next(what);
  equal(typeof text, 'string', `${what}: kind of frame`);
  return JSON.parse(text);
}

async function openEnvelope(WebSocket, url, test) {
  const opened = await open(WebSocket, url, test, [PROTOCOL]);
  const first = await nextJson(opened.heard, '$ready');
  equal(first.event, '$ready', 'the first frame');
  return { ...opened, ready: first.data };
}

/** The tests, for one implementation of WebSocket. */
export function webSocketTests(WebSocket, fanwire) {
  const rawTests = {
    'raw: what others publish arrives as data alone': async (test) => {
      const channel = freshChannel('raw');
      const { heard } = await open(WebSocket, fanwire.socketUrl(channel), test);
      await fanwire.publish(channel, 'grüße');
      await fanwire.publish(channel, '{"a": 1}', { type: 'application/json' });
      await fanwire.publish(channel, new Uint8Array([0, 255]), { type: 'image/png' });
      await fanwire.publish(channel, '');
      equal(await heard.take(4, 'frames'), ['grüße', '{"a": 1}', [0, 255], ''], 'frames');
    },

    'raw: frames sent are published, text as text and binary as binary': async (test) => {
      const channel = freshChannel('rawsend');
      const { socket, heard } = await open(WebSocket, fanwire.socketUrl(channel), test);
      socket.send('text');
      socket.send(new Uint8Array([1, 2, 3]));
      equal(await heard.take(2, 'own frames'), ['text', [1, 2, 3]], 'own frames');
      const { messages } = await fanwire.read(channel);
      equal(
        messages.map(({ data, kind }) => [data, kind]),
        [['text', 'text'], ['AQID', 'binary']],
        'history',
      );
    },

    'raw: the largest message passes, one byte more closes with 1009': async (test) => {
      const channel = freshChannel('large');
      const { socket, heard, closed } = await open(WebSocket, fanwire.socketUrl(channel), test);
      const largest = 'x'.repeat(MESSAGE_LIMIT);
      socket.send(largest);
      check((await heard.next('the largest message')) === largest, 'the largest message is changed');
      socket.send(`${largest}x`);
      equal((await closed.next('the close')).code, 1009, 'close code');
    },

    'raw: a loss closes with 3010 and a cursor that goes on': async (test) => {
      const channel = freshChannel('loss');
      await fanwire.publish(channel, 'before');
      const { heard, closed } = await open(
        WebSocket,
        fanwire.socketUrl(channel, 'after=0unknown0epoch-7'),
        test,
      );
      const { code, reason } = await closed.next('the close');
      equal([code, heard.size], [3010, 0], 'close code and frames before it');
      await fanwire.publish(channel, 'after');
      const again = await open(WebSocket, fanwire.socketUrl(channel, `after=${reason}`), test);
      const frames = [await again.heard.next('a message')];
      if (frames[0] === 'before') frames.push(await again.heard.next('the next message'));
      equal(frames.at(-1), 'after', 'what the cursor of the close leads to');
    },
  };

  const envelopeTests = {
    'envelope: the subprotocol is negotiated and $ready comes first': async (test) => {
      const channel = freshChannel('envelope');
      const { socket, ready } = await openEnvelope(WebSocket, fanwire.socketUrl(channel), test);
      equal(socket.protocol, PROTOCOL, 'protocol');
      equal(socket.extensions, '', 'extensions');
      equal(ready.channels, [channel], 'channels');
      check(typeof ready.conn === 'string' && ready.cursor !== '', 'conn and cursor');
    },

    'envelope: a publish with a ref is answered by $ack with its id': async (test) => {
      const channel = freshChannel('ack');
      const { socket, heard } = await openEnvelope(WebSocket, fanwire.socketUrl(channel), test);
      socket.send(JSON.stringify({ data: { a: [1] }, event: 'score', ref: 'r1' }));
      socket.send(JSON.stringify({ data: 'plain', kind: 'text' }));
      const frames = [];
      for (let count = 0; count < 3; count += 1) frames.push(await nextJson(heard, 'a frame'));
      const ack = frames.find(({ event }) => event === '$ack');
      const [own, plain] = frames.filter(({ event }) => event !== '$ack');
      equal(ack.data, { ref: 'r1', id: own.id }, '$ack');
      equal([own.channel, own.event, own.data], [channel, 'score', { a: [1] }], 'own message');
      equal([plain.event, plain.data, plain.kind], ['message', 'plain', 'text'], 'text');
      check(Math.abs(own.ts - Date.now()) < 3_600_000, `ts ${own.ts} is in milliseconds`);
    },

    'envelope: a refusal is an $error and the socket stays open': async (test) => {
      const channel = freshChannel('refusal');
      const { socket, heard } = await openEnvelope(WebSocket, fanwire.socketUrl(channel), test);
      socket.send(JSON.stringify({ data: 1, event: '$ready', ref: 7 }));
      socket.send('not JSON');
      socket.send(JSON.stringify({ data: 'fine', ref: 8 }));
      const [reserved, malformed] = [await nextJson(heard, '$error'), await nextJson(heard, '$error')];
      equal([reserved.event, reserved.data.ref, reserved.data.code], ['$error', 7, 'invalid_event'], 'first');
      equal([malformed.event, malformed.data.code], ['$error', 'bad_request'], 'second');
      check(reserved.data.message.length > 10, 'a sentence says what to do');
      const rest = [await nextJson(heard, 'the third'), await nextJson(heard, 'the third')];
      equal(rest.map(({ event }) => event).sort(), ['$ack', 'message'], 'third');
    },

    'envelope: a binary frame closes with 1003': async (test) => {
      const channel = freshChannel('binary');
      const { socket, closed } = await openEnvelope(WebSocket, fanwire.socketUrl(channel), test);
      socket.send(new Uint8Array([1]));
      equal((await closed.next('the close')).code, 1003, 'close code');
    },

    'envelope: several channels come in the envelope without being asked': async (test) => {
      const channels = ['a', 'b'].map(freshChannel);
      const { heard } = await open(WebSocket, fanwire.socketUrl(channels.join(',')), test);
      equal((await nextJson(heard, '$ready')).data.channels, channels, 'channels');
      const { id } = await fanwire.publish(channels[1], 'x');
      const message = await nextJson(heard, 'the message');
      equal([message.id, message.channel, message.data], [id, channels[1], 'x'], 'message');
    },

    'envelope: three channels resume exactly after cuts': async (test) => {
      const channels = ['a', 'b', 'c'].map(freshChannel);
      const list = channels.join(',');
      const sent = [];
      const next = (count) =>
        Array.from({ length: count }, () => {
          const message = { channel: channels[sent.length % 3], body: `message ${sent.length}` };
          sent.push(message);
          return message;
        });
      const got = [];
      const hear = ({ id, channel, event, data }) => {
        if (event === '$cursor') return;
        equal(event, 'message', 'an event in between');
        got.push({ id, channel, body: data });
      };
      let { heard, closed, ready } = await openEnvelope(WebSocket, fanwire.socketUrl(list), test);
      let cursor = ready.cursor;
      for (let round = 0; round < 3; round += 1) {
        for (const { channel, body } of next(5)) await fanwire.publish(channel, body);
        await fanwire.outage(next(20));
        await closed.next('the close');
        while (heard.size > 0) hear(await nextJson(heard, 'a message'));
        cursor = got.at(-1)?.id ?? cursor;
        ({ heard, closed, ready } = await openEnvelope(
          WebSocket,
          fanwire.socketUrl(list, `after=${cursor}`),
          test,
        ));
        equal(ready.cursor, cursor, 'where the stream starts');
      }
      while (got.length < sent.length) hear(await nextJson(heard, `message ${got.length}`));
      equal(
        got.map(({ channel, body }) => ({ channel, body })),
        sent,
        'all messages, once, in order',
      );
    },
  };

  return { ...rawTests, ...envelopeTests };
}
