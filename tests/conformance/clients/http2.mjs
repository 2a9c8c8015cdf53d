// Node's HTTP/2 client, and npm `eventsource` on top of it: many streams on one connection.

import { EventSource } from 'eventsource-4';

import { Fanwire } from './lib/fanwire.mjs';
import { http2Fetch } from './lib/http2_fetch.mjs';
import { runTests, tap } from './lib/suite.mjs';
import { eventSourceTests } from './shared/event_source.mjs';
import { fetchTests } from './shared/fetch.mjs';

const base = process.env.FANWIRE_URL;
const { fetch: overHttp2 } = http2Fetch(base);
// The stage's own door speaks HTTP/1.1.
const plain = globalThis.fetch;
globalThis.fetch = (url, init) => (String(url).startsWith(base) ? overHttp2 : plain)(url, init);

class EventSource2 extends EventSource {
  constructor(url, init = {}) {
    super(url, { ...init, fetch: overHttp2 });
  }
}

const fanwire = new Fanwire(base, process.env.FANWIRE_CONTROL);
let total = 0;
for (const [name, tests] of [
  ['fetch over HTTP/2', fetchTests(fanwire)],
  ['eventsource over HTTP/2', eventSourceTests(EventSource2, fanwire)],
]) {
  total += (await runTests(tests, tap(name + process.env.FANWIRE_OVER))).total;
}
console.log(`1..${total}`);
// Connections that a failed test left open must not keep the process.
process.exit(0);
