// `io(url, options)`: what a page calls.

import { Manager } from './manager.js';
import { Socket } from './socket.js';

/** The revision of the Socket.IO protocol. */
const protocol = 5;

/** SCHEME://[USER@]HOST[:PORT] [/NAMESPACE] [?QUERY] */
const ADDRESS = /^(https?|wss?):\/\/(?:[^/?#]*@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?/;

/** Shared connections by origin and path. */
const managers = new Map();

/** `{ origin, nsp, query }` of an address, which may leave out what the page's own has. */
function parseAddress(address) {
  const scheme = globalThis.location ? location.protocol : 'https:';
  const host = globalThis.location ? location.host : 'localhost';
  let full = address || '/';
  if (full.startsWith('//')) full = scheme + full;
  else if (full.startsWith('/')) full = `${scheme}//${host}${full}`;
  else if (!/^(https?|wss?):\/\//.test(full)) full = `${scheme}//${full}`;
  const [, kind, authority, nsp, query] = ADDRESS.exec(full);
  const secure = /s$/.test(kind);
  const origin = `http${secure ? 's' : ''}://${authority}`.replace(secure ? /:443$/ : /:80$/, '');
  return { origin, nsp: nsp || '/', query };
}

/**
 * The socket of a namespace: `io()`, `io('/namespace')`, `io('https://host/namespace', options)`,
 * `io(options)`. Namespaces of one server share a connection, unless `forceNew` or
 * `multiplex: false` says otherwise, or the same one is asked for twice.
 */
function io(address, options) {
  if (typeof address === 'object') return io(undefined, address);
  const opts = { ...options };
  const { origin, nsp, query } = parseAddress(address);
  if (query && !opts.query) opts.query = query;
  const key = `${origin} ${opts.path || '/socket.io'}`;
  let manager = managers.get(key);
  const isOwn = opts.forceNew || opts.multiplex === false || (manager && manager.nsps.has(nsp));
  if (isOwn) {
    manager = new Manager(origin, opts);
  } else if (!manager) {
    manager = new Manager(origin, opts);
    managers.set(key, manager);
  }
  return manager.socket(nsp, opts);
}

Object.assign(io, { io, connect: io, Manager, Socket, protocol });

export { io, io as connect, io as default, Manager, protocol, Socket };
