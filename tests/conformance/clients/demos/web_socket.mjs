// The plain WebSocket, with npm `ws` and Node's own.

import { equal, Inbox } from '../lib/suite.mjs';

/** A socket that is in, and was told so; what it hears then arrives in an inbox: text as a string, bytes
 *  as a buffer. */
async function come(Socket, url, { defer }) {
  const socket = new Socket(url);
  socket.binaryType = 'arraybuffer';
  defer(() => socket.close());
  const heard = new Inbox();
  socket.onmessage = ({ data }) => heard.push(typeof data === 'string' ? data : Buffer.from(data));
  equal(await heard.next('the first word'), 'Connected to server!', 'the first word');
  return { socket, heard };
}

export const webSocketTests = (wsUrl, Socket, name) => ({
  [`web socket, ${name}: text and bytes reach all, the sender too, as they were`]: async (test) => {
    const all = [await come(Socket, wsUrl, test), await come(Socket, wsUrl, test)];
    const bytes = Buffer.from([0, 1, 0xff]);
    all[0].socket.send('ü {"a": 1}');
    all[0].socket.send(bytes);
    for (const { heard } of all) {
      equal(await heard.next('text'), 'ü {"a": 1}', 'text');
      const came = await heard.next('bytes');
      equal([Buffer.isBuffer(came), came.toString('hex')], [true, bytes.toString('hex')], 'bytes');
    }
  },

  [`web socket, ${name}: a file of 8 MB reaches all byte for byte`]: async (test) => {
    const all = [await come(Socket, wsUrl, test), await come(Socket, wsUrl, test)];
    const file = Buffer.alloc(8_000_000);
    for (let at = 0; at < file.length; at += 4) file.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at);
    all[0].socket.send(file);
    for (const { heard } of all) equal(Buffer.compare(await heard.next('the file'), file), 0, 'the file');
  },
});
