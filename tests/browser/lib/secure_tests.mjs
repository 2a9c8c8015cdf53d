// What a browser does by itself once there is TLS: everything of a page goes over one HTTP/2
// connection, WebSockets too (RFC 8441).

import { Fanwire, freshChannel } from '../../conformance/clients/lib/fanwire.mjs';
import { check, equal } from '../../conformance/clients/lib/suite.mjs';

/** Runs in a page of the server: more streams than HTTP/1.1 would give it, and what they heard. */
async function together({ channel }) {
  const heard = [];
  const sources = Array.from({ length: 8 }, () => new EventSource(`/c/${channel}`));
  const open = (one) => new Promise((resolve, reject) => ([one.onopen, one.onerror] = [resolve, reject]));
  await Promise.all(sources.map(open));
  const sockets = Array.from({ length: 2 }, () => new WebSocket(`wss://${location.host}/c/${channel}`));
  await Promise.all(sockets.map(open));
  const listeners = [...sources, ...sockets];
  const all = listeners.map(
    (one) => new Promise((resolve) => (one.onmessage = ({ data }) => resolve(heard.push(data)))),
  );
  const { cursor } = await (await fetch(`/c/${channel}`)).json();
  const poll = fetch(`/c/${channel}?wait=15&after=${cursor}`).then((answer) => answer.json());
  await fetch(`/c/${channel}`, { method: 'POST', body: 'to all' });
  const polled = (await poll).messages.map(({ data }) => data);
  await Promise.all(all);
  const hops = performance.getEntriesByType('resource').map(({ nextHopProtocol }) => nextHopProtocol);
  window.listeners = listeners;
  return { heard, polled, hops: [...new Set(hops)] };
}

/** The tests. */
export function secureTests(context, base, control) {
  const fanwire = new Fanwire(base, control);
  return {
    'a page has one connection for ten streams, polls and publishes': async ({ defer }) => {
      await fanwire.cut();
      const page = await context.newPage();
      defer(() => page.close());
      await page.goto(`${base}/healthz`);
      const saw = await page.evaluate(together, { channel: freshChannel('together') });
      equal(saw.heard, Array(10).fill('to all'), 'what the streams heard');
      equal(saw.polled, ['to all'], 'what the poll heard');
      equal(saw.hops, ['h2'], 'protocols');
      const { connections } = await fanwire.connections();
      check(connections === 1, `${connections} connections`);
    },
  };
}
