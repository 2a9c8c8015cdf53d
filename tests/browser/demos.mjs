// Drives the demos in Chromium: `node demos.mjs [NAME]`, with the server's binary in FANWIRE_BIN and
// the browser's in FANWIRE_BROWSER. Prints TAP. With NAME only `demos/NAME.mjs` is run; with
// FANWIRE_SHOTS screenshots are written into that folder.
//
// A file of `demos/` exports its tests, an object of name → async function(stage), as its default.
// The stage has
//   url            where the pages are: `http://localhost:PORT`
//   wsUrl          the second port: `ws://localhost:PORT`
//   open(path, options)  a page of its own visitor (Playwright's, with options of its context), at a
//                  path. A test fails where a page of it complains on its console.
//   shot(page, name)  a screenshot, where they are wanted
//   defer(f)       what is to be done after the test
// Each file has a server of its own. Bots and people of an earlier test may still be leaving: tests
// name their own.

import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { DemoServer } from '../conformance/clients/lib/demo_server.mjs';
import { runTests, tap, WAIT_LIMIT } from '../conformance/clients/lib/suite.mjs';

const { FANWIRE_BIN: binary, FANWIRE_BROWSER: executablePath, FANWIRE_SHOTS: shots } = process.env;
if (!binary || !executablePath) {
  throw new Error('usage: FANWIRE_BIN=… FANWIRE_BROWSER=… node demos.mjs [NAME]');
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

/** How many demos are driven at once: most of their time they wait. */
const AT_ONCE = 2;

const here = new URL('demos/', import.meta.url);
const only = process.argv[2];
const names = readdirSync(here)
  .map((file) => file.replace(/\.mjs$/, ''))
  .filter((name) => !only || name === only)
  .sort();
let total = 0;
let failed = 0;

/** What a test gets. */
function stage(browser, server, { defer }, complaints) {
  return {
    url: server.url,
    wsUrl: server.wsUrl,
    defer,
    async open(path, options = {}) {
      const context = await browser.newContext(options);
      defer(() => context.close());
      const page = await context.newPage();
      page.setDefaultTimeout(WAIT_LIMIT);
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (said) => {
        if (said.type() === 'error') complaints.push(said.text());
      });
      await page.goto(server.url + path);
      return page;
    },
    async shot(page, name) {
      if (!shots) return;
      mkdirSync(shots, { recursive: true });
      await page.screenshot({ path: join(shots, `${name}.png`) });
    },
  };
}

/** A test that also fails where a page complained. */
function watched(browser, server, body) {
  return async (test) => {
    const complaints = [];
    await body(stage(browser, server, test, complaints));
    if (complaints.length > 0) throw new Error(`the console says: ${complaints.join(' | ')}`);
  };
}

const waiting = [...names];

/** Drives one demo, with a server of its own. */
async function drive(browser, name) {
  const server = new DemoServer(binary);
  try {
    await server.start();
    const { default: tests } = await import(new URL(`${name}.mjs`, here));
    const all = Object.entries(tests).map(([what, body]) => [what, watched(browser, server, body)]);
    const ran = await runTests(Object.fromEntries(all), tap(name));
    total += ran.total;
    failed += ran.failed;
    if (ran.failed > 0) console.log(`# the server's last lines: ${server.serverOutput.slice(-5).join(' | ')}`);
  } finally {
    await server.stop();
  }
}

/** Drives one after the other, until none waits. */
async function work(browser) {
  for (let name = waiting.shift(); name; name = waiting.shift()) await drive(browser, name);
}

let browser;
try {
  browser = await chromium.launch({
    executablePath,
    args: [
      ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-proxy-server',
      '--host-resolver-rules=MAP localhost 127.0.0.1',
    ],
  });
  await Promise.all(Array.from({ length: AT_ONCE }, () => work(browser)));
  if (total === 0) throw new Error('there is no such test');
} catch (error) {
  console.log(`not ok demos: ${String(error.message).replaceAll(/\s+/g, ' ').slice(0, 500)}`);
  total += 1;
  failed += 1;
} finally {
  await browser?.close();
}
console.log(`1..${total}`);
process.exit(failed > 0 ? 1 : 0);
