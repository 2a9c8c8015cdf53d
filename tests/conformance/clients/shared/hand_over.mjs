// One cursor, any transport: a client may start on one and go on by another.

import { equal } from '../lib/suite.mjs';
import { freshChannel } from '../lib/fanwire.mjs';
import { open as openStream, ready } from './event_source.mjs';
import { open as openSocket } from './web_socket.mjs';

/** The tests, for one EventSource and one WebSocket. */
export function handOverTests(EventSource, WebSocket, fanwire) {
  return {
    'an event stream goes on as a WebSocket, a poll and an event stream': async (test) => {
      const channels = ['a', 'b'].map(freshChannel);
      const list = channels.join(',');
      let count = 0;
      const publish = async () => {
        for (const channel of channels) await fanwire.publish(channel, `message ${(count += 1)}`);
      };

      const stream = openStream(EventSource, fanwire.url(list), test);
      await ready(stream.heard);
      await publish();
      const first = await stream.heard.next('the first message');
      equal(JSON.parse(first.data).data, 'message 1', 'on the stream');
      stream.source.close();
      await publish();

      const url = fanwire.socketUrl(list, `after=${first.id}`);
      const socket = await openSocket(WebSocket, url, test);
      const frames = (await socket.heard.take(3, 'frames')).map((frame) => JSON.parse(frame));
      equal(frames.map(({ event }) => event), ['$ready', 'message', 'message'], 'frames');
      equal(frames.slice(1).map(({ data }) => data), ['message 2', 'message 3'], 'on the socket');
      await publish();

      const polled = await fanwire.read(list, `wait=15&limit=2&after=${frames[2].id}`);
      equal(polled.messages.map(({ data }) => data), ['message 4', 'message 5'], 'by poll');

      const last = openStream(EventSource, fanwire.url(list, `after=${polled.cursor}`), test);
      await ready(last.heard);
      const message = await last.heard.next('the last message');
      equal(JSON.parse(message.data).data, 'message 6', 'on the stream again');
    },
  };
}
