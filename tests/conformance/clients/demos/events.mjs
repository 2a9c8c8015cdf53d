// `/events…` and `POST /broadcast`, with npm `eventsource`.

import { check, equal, Inbox } from '../lib/suite.mjs';

/** An EventSource whose events of these names arrive in an inbox. */
function listen(EventSource, url, { defer }, names = ['message']) {
  const source = new EventSource(url);
  defer(() => source.close());
  const heard = new Inbox();
  for (const name of names) {
    source.addEventListener(name, ({ type, data, lastEventId }) => heard.push({ type, data, lastEventId }));
  }
  const opened = new Promise((resolve) => source.addEventListener('open', resolve, { once: true }));
  return { source, heard, opened };
}

const broadcast = (url, body) =>
  fetch(`${url}/broadcast`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });

export const eventsTests = (url, EventSource) => ({
  'events: a word at once, then a greeting with the time': async (test) => {
    const { heard } = listen(EventSource, `${url}/events`, test);
    equal((await heard.next('the first event')).data, 'Connected', 'the first event');
    const { time, message } = JSON.parse((await heard.next('a greeting')).data);
    equal(message, 'Hello!', 'the greeting');
    equal(new Date(time).toISOString(), time, 'its time');
  },

  'events: a broadcast reaches all, in one order, and its sender is told': async (test) => {
    const listeners = Array.from({ length: 3 }, () => listen(EventSource, `${url}/events/stream`, test));
    await Promise.all(listeners.map(({ opened }) => opened));
    const texts = Array.from({ length: 20 }, (_, n) => `number ${n}\n<b>&"`);
    for (const message of texts) {
      const answer = await broadcast(url, JSON.stringify({ message }));
      equal(answer.headers.get('access-control-allow-origin'), '*', 'who may read the answer');
      equal(await answer.json(), { success: true }, 'the answer');
    }
    for (const { heard } of listeners) {
      const said = await heard.take(texts.length, 'broadcasts');
      equal(said.map(({ data }) => JSON.parse(data).message), texts, 'what each heard');
    }
  },

  'events: each name has its own listeners': async (test) => {
    const { heard } = listen(EventSource, `${url}/events/typed`, test, ['message', 'notification', 'update']);
    const round = await heard.take(3, 'one of each');
    equal(round.map(({ type }) => type), ['message', 'notification', 'update'], 'names');
    equal(round[0].data, 'Hello', 'message');
    equal(round[1].data, 'New notification!', 'notification');
    equal(JSON.parse(round[2].data), { count: 10 }, 'update');
  },

  'events: who comes back with the last id goes on behind it': async (test) => {
    const before = listen(EventSource, `${url}/events/resumable`, test);
    const [first, second] = await before.heard.take(2, 'numbers');
    equal([first.lastEventId, first.data], ['1', 'Event 1'], 'the first');
    equal([second.lastEventId, second.data], ['2', 'Event 2'], 'the second');
    before.source.close();
    const answer = await fetch(`${url}/events/resumable`, { headers: { 'last-event-id': '2' } });
    const pieces = answer.body.getReader();
    test.defer(() => pieces.cancel());
    const { value } = await pieces.read();
    equal(new TextDecoder().decode(value), 'id: 3\ndata: Event 3\n\n', 'what comes next');
  },

  'events: a client is told when to come back': async (test) => {
    const { heard } = listen(EventSource, `${url}/events/retry`, test);
    equal((await heard.next('an event')).data, 'Connected', 'the event');
    const answer = await fetch(`${url}/events/retry`);
    const pieces = answer.body.getReader();
    test.defer(() => pieces.cancel());
    const { value } = await pieces.read();
    equal(new TextDecoder().decode(value), 'retry: 5000\ndata: Connected\n\n', 'the wire');
  },

  'events: what is no broadcast is refused': async () => {
    for (const body of ['', 'null', '7', '{}', '{"message":7}', '{"message":""}', `{"message":"${'x'.repeat(5000)}"}`]) {
      const { status } = await broadcast(url, body);
      check(status >= 400 && status < 500, `${body.slice(0, 20)} gets ${status}`);
    }
    equal((await broadcast(url, '{"message":"still here"}')).status, 200, 'a broadcast');
  },
});
