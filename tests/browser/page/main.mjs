// Runs every test in this page with the browser's own EventSource, WebSocket and fetch, and
// reports each result to the server that the page came from.

import { Fanwire } from '/lib/fanwire.mjs';
import { runTests } from '/lib/suite.mjs';
import { eventSourceTests } from '/shared/event_source.mjs';
import { fetchTests } from '/shared/fetch.mjs';
import { handOverTests } from '/shared/hand_over.mjs';
import { webSocketTests } from '/shared/web_socket.mjs';
import { foreignTests } from '/page/foreign_tests.mjs';
import { MAIN_PATH, socketIoTests } from '/shared/socket_io.mjs';
import { loadScript, scriptTests } from '/page/script_tests.mjs';
import { partTests } from '/shared/socket_io_parts.mjs';

const parameters = new URLSearchParams(location.search);
const fanwire = new Fanwire(parameters.get('base'), location.origin);
/** What is done to the connections of the Socket.IO tests is done by the server of this page. */
const stage = (door) =>
  new Proxy({}, { get: (_, verb) => () => fetch(`/${door}/${verb}`, { method: 'POST' }) });

async function report(result) {
  const line = document.createElement('li');
  line.textContent = JSON.stringify(result);
  document.getElementById('results').append(line);
  const response = await fetch('/report', { method: 'POST', body: JSON.stringify(result) });
  if (!response.ok) throw new Error(`the report was answered with ${response.status}`);
}

const suites = {
  EventSource: eventSourceTests(EventSource, fanwire),
  WebSocket: webSocketTests(WebSocket, fanwire),
  fetch: fetchTests(fanwire),
  'hand-over': handOverTests(EventSource, WebSocket, fanwire),
};
// The servers of the Socket.IO client are given.
if (parameters.has('peer')) {
  const [peer, own] = ['peer', 'own'].map((name) => JSON.parse(parameters.get(name)));
  const client = await loadScript(fanwire.base);
  suites['Socket.IO script'] = scriptTests(fanwire, peer[MAIN_PATH]);
  suites['Socket.IO parts'] = partTests();
  suites['Socket.IO client'] = socketIoTests(client, peer, stage('peer'));
  // As a page of that server loads it.
  const ownClient = await loadScript(own[MAIN_PATH]);
  suites['Socket.IO client, own server'] = socketIoTests(ownClient, own, stage('own'));
}
// Pages of other origins are given where they are to try.
if (parameters.has('foreign')) {
  suites['other pages'] = foreignTests(fanwire, parameters.get('foreign'), parameters.get('loopback'));
}
const only = parameters.get('only') ?? '';
let total = 0;
for (const [suite, tests] of Object.entries(suites)) {
  const chosen = Object.entries(tests).filter(([name]) => `${suite}: ${name}`.includes(only));
  const result = await runTests(Object.fromEntries(chosen), ({ name, ...rest }) =>
    report({ name: `${suite}: ${name}`, ...rest }),
  );
  total += result.total;
}
await report({ done: true, total });
