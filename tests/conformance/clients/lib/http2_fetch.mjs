// `fetch` over HTTP/2, by Node's own client, in the clear (with prior knowledge) or over TLS (by
// ALPN, and nothing else): all requests to one origin share one connection, as a browser's do.

import http2 from 'node:http2';
import { Readable } from 'node:stream';

/** A `fetch` for one origin; `close()` ends its connection. */
export function http2Fetch(origin) {
  let session = null;

  function connected() {
    if (session && !session.closed && !session.destroyed) return session;
    const opened = http2.connect(origin);
    opened.on('error', () => {}); // Told by each stream of it.
    opened.on('goaway', () => {
      if (session === opened) session = null;
    });
    session = opened;
    return opened;
  }

  function fetch(url, { method = 'GET', headers = {}, body, signal } = {}) {
    const { pathname, search } = new URL(url);
    return new Promise((resolve, reject) => {
      const head = Object.fromEntries(new Headers(headers));
      const stream = connected().request({ ':method': method, ':path': pathname + search, ...head });
      const abort = () => stream.destroy(signal.reason);
      signal?.addEventListener('abort', abort, { once: true });
      stream.once('close', () => signal?.removeEventListener('abort', abort));
      stream.once('error', (error) => reject(new TypeError('fetch failed', { cause: error })));
      stream.once('close', () => reject(new TypeError('fetch failed')));
      stream.once('response', (answer) => {
        const status = answer[':status'];
        const names = Object.keys(answer).filter((name) => !name.startsWith(':'));
        const bodiless = status === 204 || status === 304;
        const response = new Response(bodiless ? null : Readable.toWeb(stream), {
          status,
          headers: names.map((name) => [name, String(answer[name])]),
        });
        Object.defineProperty(response, 'url', { value: String(url) });
        resolve(response);
      });
      stream.end(body);
    });
  }

  return { fetch, close: () => session?.destroy() };
}
