// The server that a Socket.IO client is tried against: Node's own `socket.io` with the application
// that `shared/socket_io.mjs` describes, or whatever listens on another port with the same one. In
// front of it stands a proxy that can cut.

import { createServer } from 'node:http';
import { setTimeout } from 'node:timers/promises';

import { Server } from 'socket.io';

import { listen, Proxy } from '../../conformance/clients/lib/world.mjs';

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
      if (asked === 3) args.pop()(asked);
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

/** Server and proxy. */
export class SocketIoPeer {
  #http = createServer();
  #servers = [];
  #recovering = null;
  #proxy = new Proxy();
  /** What a test may do to the connections. */
  verbs = {
    cut: async () => {
      await this.#pollsWait();
      this.#proxy.cut();
    },
    refuse: () => (this.#proxy.isRefusing = true),
    accept: () => (this.#proxy.isRefusing = false),
    freeze: () => this.#proxy.freeze(),
    thaw: () => this.#proxy.thaw(),
  };

  /** Starts it in front of `port`, or of Node's `socket.io`; gives the proxy's URL. */
  async start(port) {
    if (port === undefined) {
      this.#recovering = attach(this.#http, '/recovering/', RECOVERING);
      this.#servers = [
        attach(this.#http, '/socket.io/', {}),
        attach(this.#http, '/impatient/', IMPATIENT),
        this.#recovering,
      ];
    }
    this.#proxy.upstreamPort = port ?? (await listen(this.#http));
    return `http://127.0.0.1:${await this.#proxy.listen()}`;
  }

  /**
   * Node's server recovers nothing of a session that it believes to be alive, and notices the end
   * of one that polls only by a request that waits.
   */
  async #pollsWait() {
    const sessions = () => Object.values(this.#recovering?.engine.clients ?? {});
    const isAway = ({ transport }) => transport.name === 'polling' && !transport.writable;
    while (sessions().some(isAway)) await setTimeout(1);
  }

  /** Answers `POST /peer/VERB`; false for any other request. */
  async control(request, response) {
    const name = /^\/peer\/(\w+)$/.exec(request.url)?.[1];
    if (request.method !== 'POST' || !Object.hasOwn(this.verbs, name ?? '')) return false;
    await this.verbs[name]();
    response.writeHead(204).end();
    return true;
  }

  close() {
    this.#proxy.close();
    for (const server of this.#servers) server.close();
    this.#http.closeAllConnections();
  }
}
