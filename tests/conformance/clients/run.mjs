// Runs every client against the real server: `node run.mjs`, with the binary's path in
// FANWIRE_BIN, that of the tests' Socket.IO application in FANWIRE_APP, a Python that has
// `websockets` and `socketio` in FANWIRE_PYTHON and curl in FANWIRE_CURL. Prints TAP.

import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { DemoServer } from './lib/demo_server.mjs';
import { openControlDoor, TLS, World } from './lib/world.mjs';

const here = dirname(fileURLToPath(import.meta.url));
/** How many run at once: most of their time they wait. */
const AT_ONCE = 2;
/** Longest time for all tests of one client, in ms. */
const CLIENT_LIMIT = 240_000;

const node = process.execPath;
const python = process.env.FANWIRE_PYTHON ?? 'python3';
/** What makes a client trust the authority of the tests: Node's and Python's own variables. */
const trust = { NODE_EXTRA_CA_CERTS: TLS['ca.pem'], SSL_CERT_FILE: TLS['ca.pem'] };
/** What the Socket.IO application is told: how often it pings, and how long it waits for the answer. */
const SELDOM = { FANWIRE_PING_MS: '15000' };
/** So that silence is noticed soon. */
const OFTEN = { FANWIRE_PING_MS: '3000' };
/**
 * Name, program, arguments; with `tls` the server speaks it, with `app` it is an application, with
 * `demo` it is `fanwire demo`.
 */
const clients = [
  ['eventsource 3', node, ['eventsource.mjs', 'eventsource-3']],
  ['eventsource 4', node, ['eventsource.mjs', 'eventsource-4']],
  ['ws', node, ['ws.mjs']],
  ['websockets', python, ['websockets_client.py']],
  ['curl', 'bash', ['curl.sh']],
  ['curl over HTTP/2', 'bash', ['curl.sh', '--http2-prior-knowledge']],
  ['node http2', node, ['http2.mjs']],
  ['eventsource over TLS', node, ['eventsource.mjs', 'eventsource-4'], { tls: true }],
  ['ws over TLS', node, ['ws.mjs'], { tls: true }],
  ['websockets over TLS', python, ['websockets_client.py'], { tls: true }],
  ['curl over TLS', 'bash', ['curl.sh', '--cacert', 'tls/ca.pem', '--http1.1'], { tls: true }],
  ['curl over TLS and HTTP/2', 'bash', ['curl.sh', '--cacert', 'tls/ca.pem', '--http2'], { tls: true }],
  ['node http2 over TLS', node, ['http2.mjs'], { tls: true }],
  ['socket.io-client 4.8', node, ['socketio.mjs', 'socket.io-client-4.8'], { app: SELDOM }],
  ['socket.io-client 4.0', node, ['socketio.mjs', 'socket.io-client-4.0'], { app: SELDOM }],
  ['engine.io-client', node, ['engineio.mjs'], { app: OFTEN }],
  ['python-socketio', python, ['socketio_client.py'], { app: OFTEN }],
  ['demos', node, ['demos.mjs'], { demo: true }],
  ['who is not trusted', node, ['untrusted.mjs'], { tls: true, trusts: false }],
];

/** Runs one client with a server of its own and hands on its TAP lines; gives their number. */
async function run([name, program, args, { tls = false, trusts = tls, app = null, demo = false } = {}]) {
  const binary = app ? process.env.FANWIRE_APP : process.env.FANWIRE_BIN;
  const world = demo ? new DemoServer(binary) : new World(binary, [], { tls, app });
  const door = demo ? { url: '', close() {} } : await openControlDoor(world);
  let tests = 0;
  let plan = null;
  let failed = false;
  try {
    const url = await world.start();
    const child = spawn(program, args, {
      cwd: here,
      env: {
        ...process.env,
        ...(trusts ? trust : {}),
        FANWIRE_URL: url,
        FANWIRE_WS_URL: world.wsUrl ?? '',
        FANWIRE_CONTROL: door.url,
        FANWIRE_OVER: tls ? ' over TLS' : '',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, CLIENT_LIMIT);
    const ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, signal) => resolve(signal ?? `status ${code}`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (/^1\.\.\d+$/.test(line)) {
        plan = Number(line.slice(3));
        return;
      }
      if (/^(not )?ok /.test(line)) tests += 1;
      failed ||= line.startsWith('not ok ');
      console.log(line);
    });
    const how = await ended;
    clearTimeout(timer);
    if (plan !== tests || how !== 'status 0') {
      const late = isLate ? ` after ${CLIENT_LIMIT / 1000} s` : '';
      console.log(`not ok ${name}: ended with ${how}${late}, ${tests} of ${plan ?? '?'} tests run`);
      tests += 1;
      failed = true;
    }
  } catch (error) {
    console.log(`not ok ${name}: ${error.message}`);
    tests += 1;
    failed = true;
  } finally {
    await world.stop();
    door.close();
    if (failed) console.log(`# the server's last lines: ${world.serverOutput.slice(-5).join(' | ')}`);
  }
  return { tests, failed };
}

for (const binary of ['FANWIRE_BIN', 'FANWIRE_APP']) {
  if (!process.env[binary]) throw new Error(`${binary} is not set: \`cargo xtask test --only clients\``);
}
// Whatever ends this script ends the server too: see the `exit` listener of the stage.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
const only = process.argv.slice(2);
const waiting = clients.filter(([name]) => only.length === 0 || only.includes(name));
let total = 0;
let anyFailed = false;

/** Runs one after the other, until none waits. */
async function work() {
  for (let client = waiting.shift(); client; client = waiting.shift()) {
    const { tests, failed } = await run(client);
    total += tests;
    anyFailed ||= failed;
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
console.log(`1..${total}`);
process.exit(anyFailed ? 1 : 0);
