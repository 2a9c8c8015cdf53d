// The browser client as a page gets it: from the server, by `<script src>` or by `import`.

import { check, equal, Inbox } from '/lib/suite.mjs';

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

/** Tests of the file that the server at `base` has; `peer` is a server to connect to. */
export function scriptTests(base, peer) {
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

    'a page that loads it by <script src> and uses it at once is served': async ({ defer }) => {
      const page = `<!doctype html><script src="${base}${PATH}"><\/script><script>
        const socket = io("${peer}/custom", { auth: { page: true } });
        socket.on("auth", (auth) => {
          parent.postMessage({ auth }, "*");
          socket.disconnect();
        });
      <\/script>`;
      const heard = new Inbox();
      const hear = ({ data }) => data.auth && heard.push(data);
      addEventListener('message', hear);
      defer(() => removeEventListener('message', hear));
      const frame = document.createElement('iframe');
      frame.srcdoc = page;
      document.body.append(frame);
      defer(() => frame.remove());
      equal(await heard.next('what the frame heard'), { auth: { page: true } }, 'auth');
    },

    'its file is asked for again, and not sent again': async () => {
      const first = await fetch(`${base}${PATH}`, { cache: 'reload' });
      equal([first.status, first.headers.get('content-type')], [200, 'text/javascript; charset=utf-8'], 'answer');
      check((await first.text()).includes('globalThis.io'), 'the script');
      const head = await fetch(`${base}${PATH}`, { method: 'HEAD' });
      equal([head.status, await head.text()], [200, ''], 'HEAD');
    },
  };
}
