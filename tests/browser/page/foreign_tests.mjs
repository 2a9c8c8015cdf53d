// What a page of another origin can do: nothing, unless it is one of this machine. It stands in a
// frame, tries, and tells this page what it saw.

import { check, equal, Inbox } from '/lib/suite.mjs';
import { freshChannel } from '/lib/fanwire.mjs';

/** Asks a page of another origin to try one thing; gives what it saw. */
async function attempt(foreign, what, url, { defer }) {
  const answers = new Inbox();
  const listener = ({ origin, data }) => {
    if (origin === foreign) answers.push(data);
  };
  addEventListener('message', listener);
  defer(() => removeEventListener('message', listener));
  const frame = document.createElement('iframe');
  frame.src = `${foreign}/page/foreign.html?${new URLSearchParams({ what, url })}`;
  document.body.append(frame);
  defer(() => frame.remove());
  return answers.next(`the other page's attempt (${what})`);
}

/** The tests; `foreign` is an origin that is not allowed, `loopback` one of this machine. */
export function foreignTests(fanwire, foreign, loopback) {
  return {
    'a page of a loopback origin is let in': async (test) => {
      const channel = freshChannel('loopback');
      const saw = [
        await attempt(loopback, 'webSocket', fanwire.socketUrl(channel), test),
        await attempt(loopback, 'post', fanwire.url(channel), test),
        await attempt(loopback, 'get', fanwire.url(channel), test),
      ];
      equal(saw, ['open', 'answered 200', 'answered 200'], 'what it saw');
    },

    'a foreign page has its WebSocket refused with 403': async (test) => {
      const channel = freshChannel('foreign');
      await fanwire.heads();
      const saw = await attempt(foreign, 'webSocket', fanwire.socketUrl(channel), test);
      equal(saw, 'refused', 'what it saw');
      const { heads } = await fanwire.heads();
      check(heads.some((head) => head.startsWith('HTTP/1.1 403')), `answers: ${heads}`);
    },

    'a foreign page has its POST refused and nothing is published': async (test) => {
      const channel = freshChannel('foreign');
      equal(await attempt(foreign, 'post', fanwire.url(channel), test), 'refused', 'what it saw');
      // Without CORS a page does not learn the answer, but the request is sent all the same.
      equal(await attempt(foreign, 'blindPost', fanwire.url(channel), test), 'sent', 'what it saw');
      await fanwire.publish(channel, 'own');
      const { messages } = await fanwire.read(channel);
      equal(messages.map(({ data }) => data), ['own'], 'history');
    },

    'a foreign page can read neither history nor a stream': async (test) => {
      const channel = freshChannel('foreign');
      await fanwire.publish(channel, 'secret');
      equal(await attempt(foreign, 'get', fanwire.url(channel), test), 'refused', 'history');
      const stream = fanwire.url(channel, 'rewind=1');
      equal(await attempt(foreign, 'eventSource', stream, test), 'refused', 'stream');
    },
  };
}
