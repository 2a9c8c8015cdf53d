// Runs the page suite in one browser: `node run.mjs chromium|firefox [TEXT]`, with the server's
// binary in FANWIRE_BIN, that of the tests' Socket.IO application in FANWIRE_PAGE_APP and the
// browser's in FANWIRE_BROWSER. Prints TAP. With TEXT only the first page's tests whose names hold it
// are run; with FANWIRE_SOCKETIO_PORT the Socket.IO client is tried against what listens there instead
// of Node's server.

import { World } from '../conformance/clients/lib/world.mjs';
import { Inbox, runTests } from '../conformance/clients/lib/suite.mjs';
import { startPageServer } from './lib/page_server.mjs';
import { NodeServer, OtherServer, OwnServer, SocketIoPeer } from './lib/socketio_peer.mjs';

/** The page's host, which the server allows, and one that it does not. Both lead to loopback. */
const PAGE_HOST = 'page.test';
const FOREIGN_HOST = 'foreign.test';
/** Names of one site, for the tests with cookies. */
const SITE = '*.page.test';
/** Longest wait for the page's next report, in ms: more than one of its tests may take. */
const REPORT_LIMIT = 90_000;

const [name, only] = process.argv.slice(2);
const {
  FANWIRE_BIN: binary,
  FANWIRE_PAGE_APP: application,
  FANWIRE_BROWSER: executable,
  FANWIRE_SOCKETIO_PORT: otherPort,
} = process.env;
if (!['chromium', 'firefox'].includes(name) || !binary || !application || !executable) {
  throw new Error('usage: FANWIRE_BIN=… FANWIRE_PAGE_APP=… FANWIRE_BROWSER=… node run.mjs chromium|firefox [TEXT]');
}

// Whatever ends this script ends what it started: see the `exit` listeners of server and browser.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

const reports = new Inbox();
const pages = await startPageServer((report) => reports.push(report));
const origin = `http://${PAGE_HOST}:${pages.port}`;
const world = new World(binary, ['--allow-origin', origin]);
const secureWorld = new World(binary, ['--allow-origin', origin], { tls: true });
const peer = new SocketIoPeer('peer', otherPort ? new OtherServer(otherPort) : new NodeServer());
const own = new SocketIoPeer('own', new OwnServer(application, origin));
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
  pages.use([world, peer, own]);
  const parameters = new URLSearchParams({
    base,
    peer: JSON.stringify(await peer.start()),
    own: JSON.stringify(await own.start()),
    foreign: `http://${FOREIGN_HOST}:${pages.port}`,
    loopback: `http://127.0.0.1:${pages.port}`,
    ...(only ? { only } : {}),
  });
  const { open } = await import(`./lib/${name}.mjs`);
  const url = `${origin}/page/index.html?${parameters}`;
  browser = await open(executable, url, [PAGE_HOST, FOREIGN_HOST, SITE], (line) => console.log(`# ${line}`));
  console.log(`# ${browser.version}`);
  browser.gone.then((how) => reports.close(how));
  await pageReports('');
  const control = `http://127.0.0.1:${pages.port}`;
  if (browser.scriptTests) await driven('Socket.IO script', browser.scriptTests(base, control));
  if (!only) await driven('live page', browser.ownTests(base, control));
  if (browser.visit && !only) {
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
  own.close();
  pages.close();
}
if (failed > 0) console.log(`# the server's last lines: ${world.serverOutput.slice(-5).join(' | ')}`);
console.log(`1..${count}`);
process.exit(failed > 0 ? 1 : 0);
