// The stage: the real server, a TCP proxy in front of it that can cut, and a control door through
// which a client (a page, a script in another language) asks for trouble.

import { spawn } from 'node:child_process';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { within } from './suite.mjs';

const LOOPBACK = '127.0.0.1';
const START_LIMIT = 20_000;
/**
 * A certificate for localhost, 127.0.0.1 and the names of the pages, with its key, and the
 * authority above it. Good for a hundred years; the authority's key is gone.
 */
export const TLS = Object.fromEntries(
  ['ca.pem', 'server.pem', 'server.key'].map((name) => {
    const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'tls');
    return [name, join(folder, name)];
  }),
);
/** What makes the server speak TLS, with a door in the clear for the stage itself. */
const TLS_ARGS = [
  ['--tls-cert', TLS['server.pem']],
  ['--tls-key', TLS['server.key']],
  ['--listen-plain', `${LOOPBACK}:0`],
].flat();
/** In the line that a server prints when it listens. */
const ADDRESS = /^(?:.*serves )?(https?):\/\/127\.0\.0\.1:(\d+)/;
/** Longest body of a request to the control door, in characters. */
const CONTROL_LIMIT = 1 << 20;

/** Starts a listening server on a free port and gives the port. */
export function listen(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, LOOPBACK, () => resolve(server.address().port));
  });
}

/** One run of a server's binary. */
class Server {
  #child;
  #output = [];
  #exited;

  constructor(binary, args, env = {}) {
    this.#child = spawn(binary, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = () => this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => process.removeListener('exit', kill));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
      this.#child.once('error', (error) => resolve(error.message));
    });
  }

  /** The ports `{ https, http }`, from the lines that the server prints when it listens. */
  async start(schemes) {
    const ports = {};
    const printed = new Promise((resolve) => {
      for (const stream of [this.#child.stdout, this.#child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.#output.push(line);
          if (this.#output.length > 200) this.#output.shift();
          const [, scheme, port] = ADDRESS.exec(line) ?? [];
          if (port) ports[scheme] = Number(port);
          if (schemes.every((scheme) => ports[scheme])) resolve(ports);
        });
      }
    });
    const died = this.#exited.then((how) => {
      throw new Error(`the server ended (${how}) before it listened: ${this.#output.join(' | ')}`);
    });
    return within(START_LIMIT, "the server's line with its address", Promise.race([printed, died]));
  }

  /** Its last lines, for a failure's detail. */
  get output() {
    return this.#output;
  }

  /** Kills it, the way a crash would. */
  async kill() {
    this.#child.kill('SIGKILL');
    await within(START_LIMIT, "the server's end", this.#exited);
  }
}

/** A TCP proxy that can cut all connections with RST, refuse new ones, and hold all bytes back. */
export class Proxy {
  /** Where connections go. */
  upstreamPort = 0;
  /** New connections are reset at once. */
  isRefusing = false;
  #isFrozen = false;
  #pairs = new Set();
  #heads = [];
  #server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));

  listen() {
    return listen(this.#server);
  }

  #accept(client) {
    client.on('error', () => {});
    if (this.isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ host: LOOPBACK, port: this.upstreamPort, allowHalfOpen: true });
    const pair = { client, upstream };
    this.#pairs.add(pair);
    upstream.on('error', () => client.resetAndDestroy());
    upstream.once('data', (chunk) => {
      this.#heads.push(chunk.toString('latin1').split('\r\n', 1)[0]);
    });
    client.on('close', () => {
      if (pair.isSilent) return;
      upstream.destroy();
      this.#pairs.delete(pair);
    });
    upstream.on('close', () => {
      client.destroy();
      this.#pairs.delete(pair);
    });
    if (this.#isFrozen) return;
    client.pipe(upstream);
    upstream.pipe(client);
  }

  /** Connections stay open, but nothing goes through them, until `thaw`. */
  freeze() {
    this.#isFrozen = true;
    for (const { client, upstream } of this.#pairs) {
      client.unpipe(upstream);
      upstream.unpipe(client);
    }
  }

  /** Cuts what was frozen; new connections are as before. */
  thaw() {
    this.#isFrozen = false;
    this.cut();
  }

  /** Both sides see a reset, at this very moment and with whatever was under way lost. */
  cut() {
    const count = this.#pairs.size;
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
    this.#pairs.clear();
    return count;
  }

  /**
   * What either side sends on the connections there are is lost from now on, its end too:
   * both believe in the other. New ones are refused.
   */
  silence() {
    this.isRefusing = true;
    for (const pair of this.#pairs) {
      pair.isSilent = true;
      const { client, upstream } = pair;
      client.unpipe(upstream);
      upstream.unpipe(client);
      client.resume();
      upstream.resume();
    }
    return this.#pairs.size;
  }

  /** Connections that are open. */
  get size() {
    return this.#pairs.size;
  }

  /** The first line of the first answer on each connection since the last call. */
  takeHeads() {
    return this.#heads.splice(0);
  }

  close() {
    this.cut();
    this.#server.close();
  }
}

/** Server, proxy and what can be done to them. */
export class World {
  #binary;
  #args;
  #env;
  #scheme;
  #server = null;
  /** Where the server speaks in the clear, past the proxy. */
  #plainPort = 0;
  #proxy = new Proxy();

  /**
   * `args` are those of `fanwire serve`, and with `tls` the proxy leads to where it speaks TLS.
   * With `app`, an object of environment variables, the binary is an application of its own,
   * which takes a port.
   */
  constructor(binary, args = [], { tls = false, app = null } = {}) {
    const serve = ['serve', '--listen', `${LOOPBACK}:0`, ...(tls ? TLS_ARGS : []), ...args];
    this.#binary = binary;
    this.#args = app ? ['0'] : serve;
    this.#env = app ?? {};
    this.#scheme = tls ? 'https' : 'http';
  }

  /** Starts both and gives the URL of the proxy, which stays the same over restarts. */
  async start() {
    const port = await this.#proxy.listen();
    await this.#startServer();
    return `${this.#scheme}://${LOOPBACK}:${port}`;
  }

  async #startServer() {
    this.#server = new Server(this.#binary, this.#args, this.#env);
    const ports = await this.#server.start([...new Set([this.#scheme, 'http'])]);
    this.#proxy.upstreamPort = ports[this.#scheme];
    this.#plainPort = ports.http;
  }

  async #publishAll(messages) {
    const ids = [];
    for (const { channel, body } of messages) {
      const url = `http://${LOOPBACK}:${this.#plainPort}/c/${channel}`;
      const response = await fetch(url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'text/plain' },
        signal: AbortSignal.timeout(START_LIMIT),
      });
      const answer = await response.text();
      if (!response.ok) throw new Error(`publishing to ${url}: ${response.status} ${answer}`);
      ids.push(JSON.parse(answer).id);
    }
    return ids;
  }

  /** What a client may ask for, by name. */
  #verbs = {
    cut: async () => ({ connections: this.#proxy.cut() }),
    heads: async () => ({ heads: this.#proxy.takeHeads() }),
    connections: async () => ({ connections: this.#proxy.size }),
    outage: async ({ messages }) => {
      this.#proxy.isRefusing = true;
      try {
        const connections = this.#proxy.cut();
        return { connections, ids: await this.#publishAll(messages) };
      } finally {
        this.#proxy.isRefusing = false;
      }
    },
    silence: async () => ({ connections: this.#proxy.silence() }),
    admit: async ({ messages }) => {
      const ids = await this.#publishAll(messages);
      this.#proxy.isRefusing = false;
      return { ids };
    },
    restart: async ({ messages }) => {
      this.#proxy.isRefusing = true;
      try {
        this.#proxy.cut();
        await this.#server.kill();
        await this.#startServer();
        return { ids: await this.#publishAll(messages) };
      } finally {
        this.#proxy.isRefusing = false;
      }
    },
  };

  /** Answers `POST /control/VERB`; false for any other request. */
  async control(request, response) {
    const name = /^\/control\/(\w+)$/.exec(request.url)?.[1];
    const verb = request.method === 'POST' && Object.hasOwn(this.#verbs, name) && this.#verbs[name];
    if (!verb) return false;
    try {
      const answer = await verb(JSON.parse((await readBody(request)) || '{}'));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error));
    }
    return true;
  }

  /** The server's last lines. */
  get serverOutput() {
    return this.#server?.output ?? [];
  }

  async stop() {
    this.#proxy.close();
    await this.#server?.kill();
  }
}

/** A request's whole body as text. */
export async function readBody(request) {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) {
    text += chunk;
    if (text.length > CONTROL_LIMIT) throw new Error('the request is too long');
  }
  return text;
}

/** A control door of its own, for clients that are no pages. Gives its URL and the server. */
export async function openControlDoor(world) {
  const door = createHttpServer(async (request, response) => {
    if (!(await world.control(request, response))) response.writeHead(404).end();
  });
  const port = await listen(door);
  return { url: `http://${LOOPBACK}:${port}`, close: () => door.close() };
}
