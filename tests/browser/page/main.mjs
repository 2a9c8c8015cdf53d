// Runs every test in this page with the browser's own EventSource, WebSocket and fetch, and
// reports each result to the server that the page came from.

import { Fanwire } from '/lib/fanwire.mjs';
import { runTests } from '/lib/suite.mjs';
import { eventSourceTests } from '/shared/event_source.mjs';
import { fetchTests } from '/shared/fetch.mjs';
import { handOverTests } from '/shared/hand_over.mjs';
import { webSocketTests } from '/shared/web_socket.mjs';
import { foreignTests } from '/page/foreign_tests.mjs';

const parameters = new URLSearchParams(location.search);
const fanwire = new Fanwire(parameters.get('base'), location.origin);

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
// Pages of other origins are given where they are to try.
if (parameters.has('foreign')) {
  suites['other pages'] = foreignTests(fanwire, parameters.get('foreign'), parameters.get('loopback'));
}
let total = 0;
for (const [suite, tests] of Object.entries(suites)) {
  const result = await runTests(tests, ({ name, ...rest }) =>
    report({ name: `${suite}: ${name}`, ...rest }),
  );
  total += result.total;
}
await report({ done: true, total });
