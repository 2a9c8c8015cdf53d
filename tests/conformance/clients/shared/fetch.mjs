// What plain requests must get, from a page of an allowed origin as from a program.

import { check, equal } from '../lib/suite.mjs';
import { freshChannel } from '../lib/fanwire.mjs';

const bodies = ({ messages }) => messages.map(({ data }) => data);

/** The tests; `fetch` is the platform's own. */
export function fetchTests(fanwire) {
  return {
    'history gives the last messages, and goes on after a cursor': async () => {
      const channel = freshChannel('history');
      const ids = [];
      for (const body of ['1', '2', '3']) ids.push((await fanwire.publish(channel, body)).id);
      const last = await fanwire.read(channel, 'limit=2');
      equal(bodies(last), ['2', '3'], 'the last two');
      equal(last.messages.map(({ id }) => id), ids.slice(1), 'their ids');
      equal(last.cursor, ids[2], 'cursor');
      equal(bodies(await fanwire.read(channel, `after=${ids[0]}`)), ['2', '3'], 'after the first');
      equal(bodies(await fanwire.read(channel, 'after=earliest&limit=1')), ['1'], 'the earliest');
    },

    'a long poll hears what is published while it waits': async () => {
      const channel = freshChannel('poll');
      const { cursor } = await fanwire.read(channel);
      const polled = fanwire.read(channel, `wait=15&after=${cursor}`);
      const { id } = await fanwire.publish(channel, '{"a":1}', { type: 'application/json' });
      const answer = await polled;
      equal(answer.messages.map(({ id, channel, event, data }) => [id, channel, event, data]), [
        [id, channel, 'message', { a: 1 }],
      ], 'messages');
      equal(answer.cursor, id, 'cursor');
    },

    'a long poll with nothing to tell ends with an empty list and a cursor': async () => {
      const channel = freshChannel('quiet');
      const answer = await fanwire.read(channel, 'wait=1');
      equal(answer.messages, [], 'messages');
      const { id } = await fanwire.publish(channel, 'next');
      const next = await fanwire.read(channel, `wait=15&after=${answer.cursor}`);
      equal(next.messages.map((message) => message.id), [id], 'what follows');
    },

    'polls lose nothing over a cut': async () => {
      const channel = freshChannel('pollcut');
      let { cursor } = await fanwire.read(channel);
      // A browser may repeat it by itself: only what the later polls tell counts.
      const hanging = fanwire.read(channel, `wait=15&after=${cursor}`).catch(() => {});
      const messages = Array.from({ length: 30 }, (_, n) => ({ channel, body: `message ${n}` }));
      await fanwire.outage(messages);
      await hanging;
      const got = [];
      while (got.length < messages.length) {
        const answer = await fanwire.read(channel, `wait=15&limit=7&after=${cursor}`);
        check(answer.messages.length > 0, 'an empty answer before the end');
        got.push(...bodies(answer));
        cursor = answer.cursor;
      }
      equal(got, messages.map(({ body }) => body), 'all messages, once, in order');
    },

    'the same idempotency key is delivered once': async () => {
      const channel = freshChannel('once');
      const headers = { 'idempotency-key': freshChannel('key') };
      const first = await fanwire.publish(channel, 'x', { headers });
      const second = await fanwire.publish(channel, 'x', { headers });
      equal(second, { id: first.id, duplicate: true }, 'the second answer');
      equal(bodies(await fanwire.read(channel)), ['x'], 'history');
    },

    'one message to several channels is heard once': async () => {
      const [a, b] = ['a', 'b'].map(freshChannel);
      const { id } = await fanwire.publish(`${a},${b}`, 'both');
      equal((await fanwire.read(`${a},${b}`)).messages.map((m) => m.id), [id], 'both together');
      equal((await fanwire.read(b)).messages.map((m) => [m.id, m.channel]), [[id, b]], 'the second');
    },

    'a refusal is a problem with a code and a sentence': async () => {
      const channels = Array.from({ length: 17 }, (_, n) => `c${n}`).join(',');
      const cases = [
        [fanwire.url('@nobody'), {}, 400, 'invalid_channel'],
        [fanwire.url(channels), {}, 400, 'too_many_channels'],
        [fanwire.url('x', 'event=%24ready'), { method: 'POST', body: 'x' }, 400, 'invalid_event'],
        [fanwire.url('x', 'limit=1&limit=2'), {}, 400, 'bad_request'],
      ];
      for (const [url, init, status, code] of cases) {
        const response = await fanwire.request(url, init);
        equal(response.headers.get('content-type'), 'application/problem+json', `${code}: type`);
        const problem = await response.json();
        equal([response.status, problem.status, problem.code], [status, status, code], url);
        check(problem.detail.length > 10, `${code}: a sentence says what to do`);
      }
    },
  };
}
