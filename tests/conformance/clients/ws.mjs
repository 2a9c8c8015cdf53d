// npm `ws`, unmodified, Node's own `fetch`, and going from one transport to another.

import { EventSource } from 'eventsource-4';
import WebSocket from 'ws';

import { freshChannel, Fanwire } from './lib/fanwire.mjs';
import { equal, Inbox, runTests, tap } from './lib/suite.mjs';
import { fetchTests } from './shared/fetch.mjs';
import { handOverTests } from './shared/hand_over.mjs';
import { open, webSocketTests } from './shared/web_socket.mjs';

const fanwire = new Fanwire(process.env.FANWIRE_URL, process.env.FANWIRE_CONTROL);

/** What only `ws` can do: headers of its own, pings, frames in pieces, the refusal's answer. */
const ownTests = {
  'a ping is answered with its payload': async (test) => {
    const { socket } = await open(WebSocket, fanwire.socketUrl(freshChannel('ping')), test);
    const pongs = new Inbox();
    socket.on('pong', (payload) => pongs.push(payload.toString()));
    socket.ping('are you there');
    equal(await pongs.next('the pong'), 'are you there', 'payload');
  },

  'a message in fragments is one message': async (test) => {
    const channel = freshChannel('fragments');
    const { socket, heard } = await open(WebSocket, fanwire.socketUrl(channel), test);
    socket.send('one ', { fin: false });
    socket.ping('in between');
    socket.send('two ', { fin: false });
    socket.send('three', { fin: true });
    equal(await heard.next('the message'), 'one two three', 'data');
  },

  'a close is answered with its code': async (test) => {
    const { socket, closed } = await open(WebSocket, fanwire.socketUrl(freshChannel('bye')), test);
    socket.close(1000, 'bye');
    equal((await closed.next('the close')).code, 1000, 'code');
  },

  'a foreign origin is refused with 403': async () => {
    const socket = new WebSocket(fanwire.socketUrl('x'), { origin: 'http://evil.example' });
    const answers = new Inbox();
    socket.on('error', (error) => answers.close(error.message));
    socket.on('open', () => answers.close('it was let in'));
    socket.on('unexpected-response', (_, response) => {
      const connection = response.socket;
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => {
        answers.push([response.statusCode, JSON.parse(text).code]);
        // The connection is kept alive, and nobody else looks after it.
        connection.destroy();
      });
    });
    equal(await answers.next('the refusal'), [403, 'origin_denied'], 'answer');
  },
};

const all = {
  'ws': { ...webSocketTests(WebSocket, fanwire), ...ownTests },
  'node fetch': fetchTests(fanwire),
  'hand-over': handOverTests(EventSource, WebSocket, fanwire),
};
let count = 0;
for (const [name, tests] of Object.entries(all)) {
  count += (await runTests(tests, tap(name + process.env.FANWIRE_OVER))).total;
}
console.log(`1..${count}`);
process.exit(0);
