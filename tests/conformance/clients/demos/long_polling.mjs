// `GET /messages?lastId=N`, `POST /messages`.

import { check, equal } from '../lib/suite.mjs';

const post = (url, body) =>
  fetch(`${url}/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });

/** The messages behind number `last`. */
async function behind(url, last, signal) {
  const answer = await fetch(`${url}/messages?lastId=${last}`, { signal });
  equal(answer.status, 200, 'status');
  return (await answer.json()).messages;
}

export const longPollingTests = (url) => ({
  'long polling: what is there comes at once, the rest is waited for': async () => {
    const added = await post(url, '{"text":"first"}');
    equal(added.status, 201, 'status of a message');
    const { id } = await added.json();
    const there = await behind(url, id - 1);
    equal(there.map((message) => message.text), ['first'], 'what is there');
    const waiting = behind(url, id);
    const early = await Promise.race([waiting, post(url, '{"text":"second"}')]);
    check(!Array.isArray(early), 'nothing comes before there is something');
    equal((await waiting).map((message) => message.text), ['second'], 'what came');
  },

  'long polling: one of many who wait leaves, the others are told': async () => {
    const { id } = await (await post(url, '{"text":"before"}')).json();
    const leaves = new AbortController();
    const gone = behind(url, id, leaves.signal).catch((error) => error.name);
    const others = Array.from({ length: 20 }, () => behind(url, id));
    leaves.abort();
    equal(await gone, 'AbortError', 'who leaves');
    await post(url, '{"text":"for all"}');
    for (const heard of await Promise.all(others)) equal(heard[0].text, 'for all', 'what each heard');
  },

  'long polling: what is no message, or no number, is refused and harms nobody': async () => {
    for (const body of ['', 'null', '7', '[]', '{}', '{"text":7}', '{"text":""}', `{"text":"${'x'.repeat(5000)}"}`]) {
      const { status } = await post(url, body);
      check(status >= 400 && status < 500, `${body.slice(0, 20)} gets ${status}`);
    }
    for (const last of ['-1', 'x', '1e9', '99999999999999999999999']) {
      const { status } = await fetch(`${url}/messages?lastId=${last}`);
      equal(status, 400, `lastId=${last}`);
    }
    equal((await post(url, '{"text":"still here"}')).status, 201, 'a message');
  },
});
