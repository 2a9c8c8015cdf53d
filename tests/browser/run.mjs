// Runs the page suite in one browser: `node run.mjs chromium|firefox`, with the server's binary
// in FANWIRE_BIN and the browser's in FANWIRE_BROWSER. Prints TAP.

import { World } from '../conformance/clients/lib/world.mjs';
import { Inbox, runTests } from '../conformance/clients/lib/suite.mjs';
import { startPageServer } from './lib/page_server.mjs';

/** The page's host, which the server allows, and one that it does not. Both lead to loopback. */
const PAGE_HOST = 'page.test';
const FOREIGN_HOST = 'foreign.test';
/** Longest wait for the page's next report, in ms: more than one of its tests may take. */
const REPORT_LIMIT = 90_000;

const name = process.argv[2];
const { FANWIRE_BIN: binary, FANWIRE_BROWSER: executable } = process.env;
if (!['chromium', 'firefox'].includes(name) || !binary || !executable) {
  throw new Error('usage: FANWIRE_BIN=… FANWIRE_BROWSER=… node run.mjs chromium|firefox');
}

// Whatever ends this script ends what it started: see the `exit` listeners of server and browser.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

const reports = new Inbox();
const pages = await startPageServer((report) => reports.push(report));
const origin = `http://${PAGE_HOST}:${pages.port}`;
const world = new World(binary, ['--allow-origin', origin]);
let browser = null;
let count = 0;
let failed = 0;

/** Prints one result. */
function tell(ok, what, detail) {
  count += 1;
  if (!ok) failed += 1;
  console.log(ok ? `ok ${name}: ${what}` : `not ok ${name}: ${what} # ${detail}`);
}

try {
  const base = await world.start();
  pages.use(world);
  const parameters = new URLSearchParams({
    base,
    foreign: `http://${FOREIGN_HOST}:${pages.port}`,
    loopback: `http://127.0.0.1:${pages.port}`,
  });
  const { open } = await import(`./lib/${name}.mjs`);
  const url = `${origin}/page/index.html?${parameters}`;
  browser = await open(executable, url, [PAGE_HOST, FOREIGN_HOST], (line) => console.log(`# ${line}`));
  console.log(`# ${browser.version}`);
  browser.gone.then((how) => reports.close(how));
  for (;;) {
    const report = await reports.next("the page's next report", REPORT_LIMIT);
    if (report.done) {
      if (report.total !== count) tell(false, 'all tests', `${report.total} tests, ${count} reports`);
      break;
    }
    tell(report.ok, report.name, report.detail);
  }
  const ownTests = browser.ownTests(base, `http://127.0.0.1:${pages.port}`);
  await runTests(ownTests, ({ name, ok, detail }) => tell(ok, `live page: ${name}`, detail));
} catch (error) {
  tell(false, 'the page suite', error.message.replaceAll(/\s+/g, ' ').slice(0, 500));
} finally {
  await browser?.close();
  await world.stop();
  pages.close();
}
if (failed > 0) console.log(`# the server's last lines: ${world.serverOutput.slice(-5).join(' | ')}`);
console.log(`1..${count}`);
process.exit(failed > 0 ? 1 : 0);
