// npm `eventsource`, unmodified, in the version that the first argument names.

import { Fanwire } from './lib/fanwire.mjs';
import { runTests, tap } from './lib/suite.mjs';
import { eventSourceTests } from './shared/event_source.mjs';

const name = process.argv[2];
const { EventSource } = await import(name);
const fanwire = new Fanwire(process.env.FANWIRE_URL, process.env.FANWIRE_CONTROL);
const { total } = await runTests(eventSourceTests(EventSource, fanwire), tap(name + process.env.FANWIRE_OVER));
console.log(`1..${total}`);
// Connections that a failed test left open must not keep the process.
process.exit(0);
