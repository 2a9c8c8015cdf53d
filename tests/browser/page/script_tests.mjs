// The browser client as a page gets it: from the server, by `<script src>` or by `import`.

import { freshChannel } from '/lib/fanwire.mjs';
import { check, equal, Inbox } from '/lib/suite.mjs';
import { hearsAllOnce, pageCode } from '/shared/socket_io_page.mjs';

const PATH = '/socket.io/socket.io.js';

/** Loads it into this page; gives the global `io`, or a stand-in that fails where there is none. */
export async function loadScript(base) {
  const script = document.createElement('script');
  script.src = `${base}${PATH}`;
  await new Promise((resolve) => {
    script.onload = resolve;
    script.onerror = resolve;
    document.head.append(script);
  });
  return (
    globalThis.io ??
    (() => {
      throw new Error(`${PATH} made no io`);
    })
  );
}

/**
 * A page in a frame that loads the script from the server at `base`, by the path alone, and runs
 * `code` after it, which can `tell(...)`. Gives what is told.
 */
function framed(base, code, { defer }) {
  const name = `frame ${Math.random()}`;
  const heard = new Inbox();
  const hear = ({ data }) => data.name === name && heard.push(data.told);
  addEventListener('message', hear);
  defer(() => removeEventListener('message', hear));
  const frame = document.createElement('iframe');
  frame.srcdoc = `<!doctype html><base href="${base}/"><script src="${PATH}"><\/script><script>
    const tell = (...told) => parent.postMessage({ name: "${name}", told }, "*");
    ${code}
  <\/script>`;
  document.body.append(frame);
  defer(() => frame.remove());
  return heard;
}

/** A page of another origin misses nothing over one transport. */
function hearsAllBy(fanwire, transport) {
  return async (test) => {
    const room = freshChannel('page');
    const code = pageCode('document.baseURI, ', room, [transport]);
    await hearsAllOnce(fanwire, room, framed(fanwire.base, code, test));
  };
}

/** Tests of the file that a server has; `peer` is a server with code to connect to. */
export function scriptTests(fanwire, peer) {
  const { base } = fanwire;
  return {
    'the script makes a global io, and nothing else': () => {
      const { io } = globalThis;
      equal(typeof io, 'function', 'io');
      equal([io.protocol, io.io === io, io.connect === io], [5, true, true], 'its names');
      check(io.Manager && io.Socket && !globalThis.Manager && !globalThis.Socket, 'its classes');
    },

    'an address may leave out what the page has': () => {
      const { host, origin, protocol } = location;
      for (const [address, uri, nsp] of [
        [undefined, origin, '/'],
        ['/', origin, '/'],
        ['/some room', origin, '/some room'],
        ['//other:81/a/b', `${protocol}//other:81`, '/a/b'],
        ['other:82', `${protocol}//other:82`, '/'],
        [`${host}/x?y=z`, origin, '/x'],
        ['http://me:pass@other:80/', 'http://other', '/'],
        ['wss://other:443/ü?a=1#b', 'https://other', '/ü'],
        ['https://[::1]:8443', 'https://[::1]:8443', '/'],
      ]) {
        const socket = globalThis.io(address, { autoConnect: false, forceNew: true });
        equal([socket.io.uri, socket.nsp], [uri, nsp], String(address));
      }
      equal(globalThis.io({ autoConnect: false, forceNew: true }).io.uri, origin, 'options alone');
    },

    'the module has the same names, and connects': async ({ defer }) => {
      const module = await import(`${base}/socket.io/socket.io.esm.js`);
      const names = Object.keys(module).sort();
      equal(names, ['Manager', 'Socket', 'connect', 'default', 'io', 'protocol'], 'exports');
      const socket = module.io(peer);
      defer(() => socket.io.disconnect());
      check(socket instanceof module.Socket && socket.io instanceof module.Manager, 'classes');
      equal(await socket.emitWithAck('message-with-ack', 1), 1, 'ack');
    },

    'a page that loads it by <script src> and uses it at once is served': async (test) => {
      const code = `
        const socket = io("${peer}/custom", { auth: { page: true } });
        socket.on("auth", (auth) => {
          tell(auth);
          socket.disconnect();
        });
      `;
      equal(await framed(base, code, test).next('what the frame heard'), [{ page: true }], 'auth');
    },

    'a page of a server without code has it all once over cuts, by polling': hearsAllBy(fanwire, 'polling'),
    'a page of a server without code has it all once over cuts, by WebSocket': hearsAllBy(fanwire, 'websocket'),

    'its file is asked for again, and not sent again': async () => {
      const first = await fetch(`${base}${PATH}`, { cache: 'reload' });
      equal([first.status, first.headers.get('content-type')], [200, 'text/javascript; charset=utf-8'], 'answer');
      check((await first.text()).includes('globalThis.io'), 'the script');
      const head = await fetch(`${base}${PATH}`, { method: 'HEAD' });
      equal([head.status, await head.text()], [200, ''], 'HEAD');
    },
  };
}
