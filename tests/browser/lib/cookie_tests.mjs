// A token in an HttpOnly cookie, and pages of several origins whose visitor has it: the allowed
// one does everything with it, no other one anything. Over TLS and HTTP/2, in Chromium alone,
// which tells its driver which cookies it sent and what the server answered.

import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freshChannel } from '../../conformance/clients/lib/fanwire.mjs';
import { check, equal, WAIT_LIMIT } from '../../conformance/clients/lib/suite.mjs';
import { listen, TLS, World } from '../../conformance/clients/lib/world.mjs';

/** Names of one site; `SERVER` is the server's. `foreign.test` is another site. */
const [APP, SIBLING, SERVER, REBOUND] = ['app', 'sibling', 'fanwire', 'rebound'].map(
  (name) => `${name}.page.test`,
);
const FOREIGN = 'foreign.test';
const COOKIE = 'session';
const SECRET = 'a secret of thirty-two bytes, or more';

/** A token of the user `ada`, good for an hour. */
function token() {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'ada', iss: 'pages', exp })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** An empty page for any path and host; `?samesite=` signs the visitor in for the whole site. */
function page(request, response) {
  const sameSite = new URL(request.url, 'https://x').searchParams.get('samesite');
  if (sameSite !== null) {
    const cookie = `${COOKIE}=${token()}; Domain=page.test; Path=/; HttpOnly; Secure; SameSite=${sameSite}`;
    response.setHeader('set-cookie', cookie);
  }
  response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>A page</title><link rel=icon href="data:,">');
}

/** Runs in a page: tries everything that a page can, with credentials, and says what it saw. */
async function attempts({ base, channel }) {
  const url = `${base}/c/${channel}`;
  const asked = (more, init = {}) =>
    fetch(url + more, { credentials: 'include', ...init }).then(
      (response) => response.status,
      () => 'refused',
    );
  const opened = (source, closed) =>
    new Promise((resolve) => {
      source.onopen = () => resolve('open');
      source.onerror = () => resolve(closed() ? 'refused' : 'retrying');
    }).finally(() => source.close());
  const socket = new WebSocket(url.replace('http', 'ws'));
  const webSocket = opened(socket, () => true);
  const source = new EventSource(url, { withCredentials: true });
  const eventSource = opened(source, () => source.readyState === EventSource.CLOSED);
  const json = { 'content-type': 'application/json', 'idempotency-key': channel };
  return {
    webSocket: await webSocket,
    eventSource: await eventSource,
    history: await asked(''),
    poll: await asked('?wait=1'),
    post: await asked('', { method: 'POST', body: 'by post' }),
    preflighted: await asked('', { method: 'POST', body: '"with a preflight"', headers: json }),
    blind: await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'blind' }).then(
      () => 'sent',
      () => 'not sent',
    ),
  };
}

const EVERYTHING = {
  webSocket: 'open',
  eventSource: 'open',
  history: 200,
  poll: 200,
  post: 200,
  preflighted: 200,
  blind: 'sent',
};
const NOTHING = {
  webSocket: 'refused',
  eventSource: 'refused',
  history: 'refused',
  poll: 'refused',
  post: 'refused',
  preflighted: 'refused',
};

/** What the pages of these tests stand on: pages, server, and how to get a visitor. */
class Stage {
  #folder = mkdtempSync(join(tmpdir(), 'fanwire-cookies-'));
  #servers = [];
  #world = null;

  async start(binary) {
    const keys = { cert: readFileSync(TLS['server.pem']), key: readFileSync(TLS['server.key']) };
    this.#servers = [createServer(keys, page), createServer(keys, page), createPlainServer(page)];
    const ports = [];
    for (const server of this.#servers) ports.push(await listen(server));
    this.app = `https://${APP}:${ports[0]}`;
    this.sibling = `https://${SIBLING}:${ports[0]}`;
    this.foreign = `https://${FOREIGN}:${ports[0]}`;
    this.otherPort = `https://${APP}:${ports[1]}`;
    this.otherScheme = `http://${APP}:${ports[2]}`;
    const config = join(this.#folder, 'fanwire.toml');
    const text = `
      [access]
      allow_origins = ["${this.app}"]
      allow_hosts = ["${SERVER}"]
      allow_credentials = true
      [tokens]
      cookie = "${COOKIE}"
      [issuers.pages]
      issuer = "pages"
      secret = "${SECRET}"
      [rules]
      publish = "users"
      subscribe = "users"
      history_access = "users"`;
    writeFileSync(config, text);
    this.#world = new World(binary, ['--config', config], { tls: true });
    const { port } = new URL(await this.#world.start());
    this.base = `https://${SERVER}:${port}`;
    this.rebound = `https://${REBOUND}:${port}`;
  }

  async stop() {
    await this.#world?.stop();
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A visitor's browser: signed in by a cookie, or nobody. */
async function visitor(context, stage, sameSite, { defer }) {
  context.setDefaultTimeout(WAIT_LIMIT);
  await context.clearCookies();
  const page = await context.newPage();
  defer(() => page.close());
  if (sameSite) await page.goto(`${stage.app}/?samesite=${sameSite}`);
  return page;
}

/** What a page of `origin` saw, and of its requests: `{ saw, withCookie, statuses }`. */
async function tried(page, base, channel, where = page) {
  const session = await page.context().newCDPSession(page);
  const seen = { withCookie: 0, statuses: [] };
  const sent = ({ headers = {} }) => {
    if (Object.keys(headers).some((name) => name.toLowerCase() === 'cookie')) seen.withCookie += 1;
  };
  session.on('Network.requestWillBeSentExtraInfo', sent);
  session.on('Network.webSocketWillSendHandshakeRequest', ({ request }) => sent(request));
  session.on('Network.responseReceivedExtraInfo', ({ statusCode }) => seen.statuses.push(statusCode));
  session.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
    seen.statuses.push(response.status);
  });
  await session.send('Network.enable');
  const saw = await where.evaluate(attempts, { base, channel });
  await session.detach();
  return { saw, ...seen };
}

/** What stands in a channel, as the user herself reads it from the allowed page. */
async function history(page, stage, channel) {
  await page.goto(stage.app);
  return page.evaluate(async (url) => {
    const answer = await (await fetch(url, { credentials: 'include' })).json();
    return answer.messages.map(({ data, from }) => [data, from]);
  }, `${stage.base}/c/${channel}`);
}

/** Fails unless a page got nothing, although the visitor's cookie went along where it may. */
function nothing({ saw, withCookie, statuses }, cookies) {
  const { blind, ...told } = saw;
  equal(told, NOTHING, 'what it saw');
  // Without CORS a page does not learn the answer, but the request is sent all the same: what came
  // of it stands in the history.
  check(['sent', 'not sent'].includes(blind), `blind: ${blind}`);
  // A preflight is answered by 204, without the headers that would let the request go out.
  const answers = statuses.filter((status) => status !== 204);
  if (cookies) {
    check(withCookie >= 5, `the cookie went with ${withCookie} requests`);
    check(answers.length >= 5 && answers.every((status) => status === 403), `answers: ${statuses}`);
  } else {
    equal(withCookie, 0, 'requests with the cookie');
  }
}

/**
 * The tests, with what has to be done after them. `context` is a lasting profile: a private one
 * would keep cookies from other sites by itself.
 */
export async function cookieTests(context, binary) {
  const stage = new Stage();
  await stage.start(binary);
  const none = [];

  /** A page of another origin gets nothing; `cookies`: the browser sends the cookie from there. */
  const refused = (url, sameSite, cookies) => async (test) => {
    const channel = freshChannel('refused');
    const page = await visitor(context, stage, sameSite, test);
    await page.goto(url(stage));
    nothing(await tried(page, stage.base, channel), cookies);
    equal(await history(page, stage, channel), none, 'what was published');
  };

  const tests = {
    'O1 O4: the allowed page does everything with the cookie, on each transport': async (test) => {
      const channel = freshChannel('allowed');
      const page = await visitor(context, stage, 'Lax', test);
      const { saw, withCookie } = await tried(page, stage.base, channel);
      equal(saw, EVERYTHING, 'what it saw');
      check(withCookie >= 5, `the cookie went with ${withCookie} requests`);
      equal(await page.evaluate(() => document.cookie), '', 'what a script sees of the cookie');
      const by = (text) => [text, 'ada'];
      const all = ['by post', 'with a preflight', 'blind'].map(by);
      equal(await history(page, stage, channel), all, 'history');
    },

    'O1: without the cookie the allowed page is nobody': async (test) => {
      const page = await visitor(context, stage, null, test);
      await page.goto(stage.app);
      const { saw } = await tried(page, stage.base, freshChannel('nobody'));
      equal([saw.eventSource, saw.history, saw.post], ['refused', 401, 401], 'what it saw');
    },

    'O1: a page of the same site, whose cookie goes along, gets 403 on each transport':
      refused(({ sibling }) => sibling, 'Lax', true),
    'O1: a page of another site gets 403 with a cookie that goes everywhere':
      refused(({ foreign }) => foreign, 'None', true),
    'O1: a page of another site gets 403 where the cookie stays at home':
      refused(({ foreign }) => foreign, 'Strict', false),
    'O2: the same host at another port is another origin':
      refused(({ otherPort }) => otherPort, 'None', true),
    'O2: the same host without TLS is another origin':
      refused(({ otherScheme }) => otherScheme, 'None', true),
    'O2: a data: page has no origin and gets 403': refused(() => 'data:text/html,<p>', 'None', false),

    'O2: a sandboxed frame of the allowed page has no origin and gets 403': async (test) => {
      const channel = freshChannel('sandbox');
      const page = await visitor(context, stage, 'None', test);
      await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<p>"></iframe>');
      const frame = page.frames().find((one) => one !== page.mainFrame());
      equal(await frame.evaluate(() => self.origin), 'null', 'its origin');
      // From no origin, cookies go to no other site.
      nothing(await tried(page, stage.base, channel, frame), false);
      equal(await history(page, stage, channel), none, 'what was published');
    },

    'O5: a name that was pointed at the server gets 403': async (test) => {
      const page = await visitor(context, stage, 'Lax', test);
      const response = await page.goto(stage.rebound);
      equal([response.status(), (await response.json()).code], [403, 'host_denied'], 'answer');
      const { saw } = await tried(page, stage.rebound, 'x');
      equal([saw.webSocket, saw.eventSource, saw.history, saw.post], ['refused', 'refused', 403, 403], 'saw');
    },

    'O6: no page shows the server in a frame': async (test) => {
      const page = await visitor(context, stage, 'Lax', test);
      const complaints = [];
      page.on('console', (line) => complaints.push(line.text()));
      await page.setContent(`<iframe src="${stage.base}/"></iframe>`);
      await page.waitForFunction(() => document.readyState === 'complete');
      check(complaints.some((line) => line.includes('frame-ancestors')), `console: ${complaints}`);
    },
  };
  return { tests, stop: () => stage.stop() };
}
