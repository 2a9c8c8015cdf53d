// Runs the page suite in one browser: `node run.mjs chromium|firefox`, with the server's binary
// in FANWIRE_BIN and the browser's in FANWIRE_BROWSER. Prints TAP.

import { World } from '../conformance/clients/lib/world.mjs';
import { Inbox, runTests } from '../conformance/clients/lib/suite.mjs';
import { startPageServer } from './lib/page_server.mjs';
import { SocketIoPeer } from './lib/socketio_peer.mjs';

/** The page's host, which the server allows, and one that it does not. Both lead to loopback. */
const PAGE_HOST = 'page.test';
const FOREIGN_HOST = 'foreign.test';
/** Names of one site, for the tests with cookies. */
const SITE = '*.page.test';
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
const secureWorld = new World(binary, ['--allow-origin', origin], { tls: true });
const peer = new SocketIoPeer();
let browser = null;
let count = 0;
let failed = 0;

/** Prints one result. */
function tell(ok, what, detail) {
  count += 1;
  if (!ok) failed += 1;
  console.log(ok ? `ok ${name}: ${what}` : `not ok ${name}: ${what} # ${detail}`);
}

/** Prints what a page reports until it says that it is done; `prefix` goes before each. */
async function pageReports(prefix) {
  for (let told = 0; ; told += 1) {
    const report = await reports.next("the page's next report", REPORT_LIMIT);
    if (report.done) {
      if (report.total !== told) tell(false, `${prefix}all tests`, `${report.total} tests, ${told} reports`);
      return;
    }
    tell(report.ok, prefix + report.name, report.detail);
  }
}

/** Runs tests from here, through the driver. */
function driven(prefix, tests) {
  return runTests(tests, ({ name, ok, detail }) => tell(ok, `${prefix}: ${name}`, detail));
}

try {
  const base = await world.start();
  pages.use([world, peer]);
  const parameters = new URLSearchParams({
    base,
    // Node's server, or one on a port of this machine that has the same application.
    peer: await peer.start(process.env.FANWIRE_SOCKETIO_PORT),
    foreign: `http://${FOREIGN_HOST}:${pages.port}`,
    loopback: `http://127.0.0.1:${pages.port}`,
  });
  const { open } = await import(`./lib/${name}.mjs`);
  const url = `${origin}/page/index.html?${parameters}`;
  browser = await open(executable, url, [PAGE_HOST, FOREIGN_HOST, SITE], (line) => console.log(`# ${line}`));
  console.log(`# ${browser.version}`);
  browser.gone.then((how) => reports.close(how));
  await pageReports('');
  const control = `http://127.0.0.1:${pages.port}`;
  await driven('live page', browser.ownTests(base, control));
  if (browser.visit) {
    const secure = await secureWorld.start();
    pages.use([secureWorld]);
    await browser.visit(`${origin}/page/index.html?${new URLSearchParams({ base: secure })}`);
    await pageReports('TLS, ');
    await driven('TLS', browser.secureTests(secure, control));
    const { tests, stop } = await browser.cookieTests(binary);
    await driven('cookies', tests).finally(stop);
  }
} catch (error) {
  tell(false, 'the page suite', error.message.replaceAll(/\s+/g, ' ').slice(0, 500));
} finally {
  await browser?.close();
  await world.stop();
  await secureWorld.stop();
  peer.close();
  pages.close();
}
if (failed > 0) console.log(`# the server's last lines: ${world.serverOutput.slice(-5).join(' | ')}`);
console.log(`1..${count}`);
process.exit(failed > 0 ? 1 : 0);
