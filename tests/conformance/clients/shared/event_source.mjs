// What any EventSource must hear: the browsers' own and npm's run this one list.

import { check, equal, Inbox } from '../lib/suite.mjs';
import { freshChannel } from '../lib/fanwire.mjs';

/** `(2)` in every EventSource: it has given up. */
const CLOSED = 2;
/** The system events that a stream may send. */
const SYSTEM = ['$ready', '$gap', '$cursor'];

/** An EventSource with all it hears in one inbox, in order: `{ event, data, id }`. */
export function open(EventSource, url, { defer }, events = []) {
  const source = new EventSource(url);
  defer(() => source.close());
  const heard = new Inbox();
  const errors = new Inbox();
  for (const event of ['message', ...SYSTEM, ...events]) {
    source.addEventListener(event, ({ data, lastEventId }) => {
      heard.push({ event, data, id: lastEventId });
    });
  }
  source.addEventListener('error', (error) => {
    if (source.readyState === CLOSED) {
      heard.close(`the EventSource gave up (${error.message ?? 'no reason given'})`);
    }
    errors.push({ state: source.readyState, code: error.code });
  });
  return { source, heard, errors };
}

/** Waits for the opening block's `$ready` and gives its data. */
export async function ready(heard) {
  const first = await heard.next('$ready');
  equal(first.event, '$ready', 'the first event');
  return JSON.parse(first.data);
}

/** The tests, for one implementation of EventSource. */
export function eventSourceTests(EventSource, fanwire) {
  return {
    'a message is heard by its event name, with its data and id': async (test) => {
      const channel = freshChannel('named');
      const { heard } = open(EventSource, fanwire.url(channel), test, ['score']);
      await ready(heard);
      const plain = await fanwire.publish(channel, 'hello');
      const named = await fanwire.publish(channel, '{"home": 1}', {
        type: 'application/json',
        query: 'event=score',
      });
      equal(await heard.take(2, 'both messages'), [
        { event: 'message', data: 'hello', id: plain.id },
        { event: 'score', data: '{"home": 1}', id: named.id },
      ], 'the messages');
    },

    '$ready names where the stream starts, its channels and the connection': async (test) => {
      const channel = freshChannel('ready');
      const { heard } = open(EventSource, fanwire.url(channel), test);
      const data = await ready(heard);
      equal(data.channels, [channel], 'channels');
      check(/^[A-Za-z0-9._~-]{1,100}$/.test(data.cursor), `cursor ${data.cursor}`);
      check(typeof data.conn === 'string' && data.conn !== '', `conn ${data.conn}`);
    },

    'data of several lines arrives whole, whatever ends its lines': async (test) => {
      const channel = freshChannel('lines');
      const { heard } = open(EventSource, fanwire.url(channel), test);
      await ready(heard);
      const cases = [
        ['one\ntwo\n\nfour', 'one\ntwo\n\nfour'],
        ['a\nb\r\nc\rd', 'a\nb\nc\nd'],
        ['ends with one\n', 'ends with one\n'],
        [' a space, a: colon', ' a space, a: colon'],
        ['', ''],
        ['grüße 🛰', 'grüße 🛰'],
      ];
      for (const [sent, expected] of cases) {
        await fanwire.publish(channel, sent);
        equal((await heard.next('the message')).data, expected, 'data');
      }
    },

    'binary arrives as base64 and several arguments as a JSON array': async (test) => {
      const channel = freshChannel('kinds');
      const { heard } = open(EventSource, fanwire.url(channel), test);
      await ready(heard);
      await fanwire.publish(channel, new Uint8Array([0, 1, 254, 255]), {
        type: 'application/octet-stream',
      });
      equal((await heard.next('the binary message')).data, 'AAH+/w==', 'binary');
      await fanwire.publish(channel, '[1,"two"]', { type: 'application/json', query: 'args=1' });
      equal(JSON.parse((await heard.next('the arguments')).data), [1, 'two'], 'arguments');
    },

    'an event named error arrives as a message in the envelope': async (test) => {
      const channel = freshChannel('error');
      const { heard, errors } = open(EventSource, fanwire.url(channel), test);
      await ready(heard);
      const { id } = await fanwire.publish(channel, 'disk full', { query: 'event=error' });
      const message = await heard.next('the message');
      equal([message.event, message.id], ['message', id], 'event and id');
      const envelope = JSON.parse(message.data);
      equal([envelope.event, envelope.data, envelope.id], ['error', 'disk full', id], 'envelope');
      equal(errors.size, 0, 'connection errors');
    },

    'rewind gives the last messages, then what is live': async (test) => {
      const channel = freshChannel('rewind');
      for (const body of ['1', '2', '3']) await fanwire.publish(channel, body);
      const { heard } = open(EventSource, fanwire.url(channel, 'rewind=2'), test);
      await ready(heard);
      equal((await heard.take(2, 'the replay')).map(({ data }) => data), ['2', '3'], 'replay');
      await fanwire.publish(channel, '4');
      equal((await heard.next('the live message')).data, '4', 'live');
    },

    'a connection that a publisher excludes does not hear the message': async (test) => {
      const channel = freshChannel('exclude');
      const { heard } = open(EventSource, fanwire.url(channel), test);
      const { conn } = await ready(heard);
      await fanwire.publish(channel, 'not for you', { query: `exclude=${conn}` });
      await fanwire.publish(channel, 'for all');
      equal((await heard.next('the second message')).data, 'for all', 'heard');
    },

    'three channels on one EventSource lose nothing over cuts': async (test) => {
      const channels = ['a', 'b', 'c'].map(freshChannel);
      const { heard, errors } = open(EventSource, fanwire.url(channels.join(',')), test);
      await ready(heard);
      const sent = [];
      const next = (count) =>
        Array.from({ length: count }, () => {
          const message = {
            channel: channels[(sent.length * 7 + (sent.length >> 1)) % 3],
            body: `message ${sent.length}`,
          };
          sent.push(message);
          return message;
        });
      const got = [];
      const hear = async () => {
        const one = await heard.next(`message ${got.length} of ${sent.length}`);
        if (one.event === 'message') got.push({ ...JSON.parse(one.data), lastEventId: one.id });
        else check(['$ready', '$cursor'].includes(one.event), `${one.event} ${one.data}`);
        return one.event;
      };
      for (let round = 0; round < 3; round += 1) {
        for (const { channel, body } of next(5)) await fanwire.publish(channel, body);
        // Cut while some of these are still on their way, and publish more while it is away.
        const { connections } = await fanwire.outage(next(20));
        check(connections > 0, 'there was nothing to cut');
        await errors.next('the error event of the cut');
        for (const { channel, body } of next(5)) await fanwire.publish(channel, body);
        while ((await hear()) !== '$ready');
      }
      while (got.length < sent.length) await hear();
      equal(
        got.map(({ channel, data }) => ({ channel, body: data })),
        sent,
        'all messages, once, in order',
      );
      check(got.every(({ id, lastEventId }) => id === lastEventId), 'ids of events and envelopes');
      const { id } = await fanwire.publish(channels[0], 'the end');
      const last = await heard.next('the end');
      equal([last.event, last.id], ['message', id], 'what follows the last message');
    },

    'a cursor that is none is told by $gap before the stream starts': async (test) => {
      const channel = freshChannel('malformed');
      const { heard } = open(EventSource, fanwire.url(channel, 'after=no%20cursor'), test);
      const [gap, opening] = await heard.take(2, 'the opening');
      equal([gap.event, opening.event], ['$gap', '$ready'], 'the opening');
      const data = JSON.parse(gap.data);
      equal([data.channel, data.reason], [channel, 'malformed'], 'the gap');
      equal(data.cursor, JSON.parse(opening.data).cursor, 'where the stream goes on');
    },

    'a restart of the server is told by $gap before any message': async (test) => {
      const channel = freshChannel('restart');
      const { heard } = open(EventSource, fanwire.url(channel), test);
      await ready(heard);
      await fanwire.publish(channel, 'before');
      equal((await heard.next('the first message')).data, 'before', 'heard');
      await fanwire.restart([
        { channel, body: 'while you were away' },
        { channel, body: 'and again' },
      ]);
      const [gap, opening, ...messages] = await heard.take(4, 'what came after the restart');
      equal([gap.event, opening.event], ['$gap', '$ready'], 'the opening');
      equal(JSON.parse(gap.data).reason, 'epoch_unknown', 'reason');
      equal(gap.id === opening.id, false, 'the gap must not carry the new id');
      equal(messages.map(({ data }) => data), ['while you were away', 'and again'], 'history held');
      await fanwire.publish(channel, 'live');
      equal((await heard.next('the live message')).data, 'live', 'live');
    },

    'what a retry cannot mend stops the EventSource': async (test) => {
      const { errors } = open(EventSource, fanwire.url('@nobody'), test);
      equal((await errors.next('the error')).state, CLOSED, 'state');
    },
  };
}
