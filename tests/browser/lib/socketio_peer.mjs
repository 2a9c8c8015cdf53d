// The servers that a Socket.IO client is tried against, with the application that
// `shared/socket_io.mjs` describes: Node's own `socket.io`, Fanwire, or whatever listens on another
// port. In front of each stands a proxy that can cut.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

import { Server } from 'socket.io';

import { within } from '../../conformance/clients/lib/suite.mjs';
import { listen, Proxy } from '../../conformance/clients/lib/world.mjs';

/** The paths at which the application is. */
const PATHS = ['/socket.io/', '/impatient/', '/recovering/'];
const START_LIMIT = 20_000;

/** Short enough to wait for, long enough for a machine that does much else. */
const IMPATIENT = { pingInterval: 300, pingTimeout: 1700 };
const RECOVERING = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } };

/** What the application does for each socket. */
function serve(server, socket) {
  let asked = 0;
  socket.emit('auth', socket.handshake.auth);
  const handlers = {
    message: (...args) => socket.emit('message-back', ...args),
    'message-with-ack': (...args) => args.pop()(...args),
    ask: (...args) => socket.emit('question', ...args, (...answer) => socket.emit('answered', ...answer)),
    never: () => {},
    'third-time': (...args) => {
      asked += 1;
      if (asked >= 3) args.pop()(3);
    },
    join: (room, ack) => ack(socket.join(room)),
    say: (room, ...args) => args.pop()(server.to(room).emit('said', ...args)),
    about: (ack) => {
      const { query, headers } = socket.handshake;
      ack({ query, extra: headers['x-extra'], transport: socket.conn.transport.name });
    },
    leave: () => socket.disconnect(),
    drop: () => socket.conn.close(),
  };
  for (const [event, handler] of Object.entries(handlers)) socket.on(event, handler);
  const { watched } = socket.handshake.query;
  if (watched) socket.on('disconnect', (reason) => server.to(watched).emit('said', 'gone', reason));
}

function attach(http, path, options) {
  const server = new Server(http, {
    path,
    serveClient: false,
    maxHttpBufferSize: 100_000,
    cors: { origin: true, credentials: true },
    ...options,
  });
  for (const name of ['/', '/custom', '/guarded']) {
    const namespace = server.of(name);
    namespace.on('connection', (socket) => serve(namespace, socket));
  }
  server.of('/guarded').use((socket, next) => {
    if (socket.handshake.auth.token === 'open sesame') return next();
    next(Object.assign(new Error('not authorised'), { data: { code: 'token', retry: [1, 2] } }));
  });
  return server;
}

/** Node's `socket.io`: all paths on one port. */
export class NodeServer {
  #http = createServer();
  #servers = [];
  #recovering = null;

  async start() {
    this.#recovering = attach(this.#http, '/recovering/', RECOVERING);
    this.#servers = [
      attach(this.#http, '/socket.io/', {}),
      attach(this.#http, '/impatient/', IMPATIENT),
      this.#recovering,
    ];
    const port = await listen(this.#http);
    return Object.fromEntries(PATHS.map((path) => [path, port]));
  }

  /**
   * It recovers nothing of a session that it believes to be alive, and notices the end of one that
   * polls only by a request that waits.
   */
  async beforeCut() {
    const sessions = () => Object.values(this.#recovering?.engine.clients ?? {});
    const isAway = ({ transport }) => transport.name === 'polling' && !transport.writable;
    while (sessions().some(isAway)) await setTimeout(1);
  }

  close() {
    for (const server of this.#servers) server.close();
    this.#http.closeAllConnections();
  }
}

/** Fanwire, with the application in Rust for pages of `origin`: a port for each path. */
export class OwnServer {
  #binary;
  #origin;
  #child = null;

  constructor(binary, origin) {
    this.#binary = binary;
    this.#origin = origin;
  }

  start() {
    const child = spawn(this.#binary, [this.#origin], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    process.once('exit', () => child.kill('SIGKILL'));
    const ports = {};
    const printed = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => reject(new Error(`the application ended: ${signal ?? code}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [, path, port] = /^(\/\S+) http:\/\/127\.0\.0\.1:(\d+)$/.exec(line) ?? [];
        if (path) ports[path] = Number(port);
        if (PATHS.every((one) => ports[one])) resolve(ports);
      });
    });
    return within(START_LIMIT, "the application's addresses", printed);
  }

  close() {
    this.#child?.kill('SIGKILL');
  }
}

/** Whatever listens on a port of this machine. */
export class OtherServer {
  #port;

  constructor(port) {
    this.#port = Number(port);
  }

  async start() {
    return Object.fromEntries(PATHS.map((path) => [path, this.#port]));
  }

  close() {}
}

/** A server and the proxies in front of its ports. */
export class SocketIoPeer {
  #door;
  #server;
  #proxies = [];
  /** What a test may do to the connections. */
  verbs = {
    cut: async () => {
      await this.#server.beforeCut?.();
      for (const proxy of this.#proxies) proxy.cut();
    },
    refuse: () => this.#refuse(true),
    accept: () => this.#refuse(false),
    freeze: () => this.#proxies.forEach((proxy) => proxy.freeze()),
    thaw: () => this.#proxies.forEach((proxy) => proxy.thaw()),
  };

  /** Tests reach it by `POST /DOOR/VERB`. */
  constructor(door, server) {
    this.#door = door;
    this.#server = server;
  }

  /** Starts all; gives the URL for each path. */
  async start() {
    const bases = {};
    const byPort = new Map();
    for (const [path, port] of Object.entries(await this.#server.start())) {
      if (!byPort.has(port)) {
        const proxy = new Proxy();
        proxy.upstreamPort = port;
        this.#proxies.push(proxy);
        byPort.set(port, `http://127.0.0.1:${await proxy.listen()}`);
      }
      bases[path] = byPort.get(port);
    }
    return bases;
  }

  #refuse(isRefusing) {
    for (const proxy of this.#proxies) proxy.isRefusing = isRefusing;
  }

  /** Answers `POST /DOOR/VERB`; false for any other request. */
  async control(request, response) {
    const [, door, name] = /^\/(\w+)\/(\w+)$/.exec(request.url) ?? [];
    if (request.method !== 'POST' || door !== this.#door || !Object.hasOwn(this.verbs, name)) return false;
    await this.verbs[name]();
    response.writeHead(204).end();
    return true;
  }

  close() {
    for (const proxy of this.#proxies) proxy.close();
    this.#server.close();
  }
}
