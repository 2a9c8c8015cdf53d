// The servers of `fanwire demo`, driven by what people have: npm `eventsource`, `ws`,
// `socket.io-client`, and Node's own `fetch`.

import { EventSource } from 'eventsource-4';
import { io } from 'socket.io-client-4.8';
import WebSocket from 'ws';

import { chatTests } from './demos/chat.mjs';
import { dashboardTests } from './demos/dashboard.mjs';
import { eventsTests } from './demos/events.mjs';
import { longPollingTests } from './demos/long_polling.mjs';
import { webSocketTests } from './demos/web_socket.mjs';
import { runTests, tap } from './lib/suite.mjs';

const { FANWIRE_URL: url, FANWIRE_WS_URL: wsUrl } = process.env;
let count = 0;
for (const tests of [
  longPollingTests(url),
  eventsTests(url, EventSource),
  dashboardTests(url, EventSource),
  chatTests(url, io, '4.8'),
  webSocketTests(url.replace('http', 'ws'), WebSocket, 'ws'),
  webSocketTests(wsUrl, WebSocket, 'ws on the second port'),
]) {
  const { total } = await runTests(tests, tap('demos'));
  count += total;
}
console.log(`1..${count}`);
// Connections that a failed test left open must not keep the process.
process.exit(0);
