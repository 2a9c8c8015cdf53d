// Rooms are channels: what is published is heard in the room, what is said there by everyone else.

import { EventSource } from 'eventsource-4';

import { freshChannel } from '../lib/fanwire.mjs';
import { ask, join } from '../lib/socketio.mjs';
import { equal } from '../lib/suite.mjs';
import { open as openStream, ready } from '../shared/event_source.mjs';

/** The tests, for one `io` and the options that choose the way. */
export function roomTests(io, fanwire, way) {
  return {
    'what is posted to a channel is an event in the room': async (test) => {
      const room = freshChannel('posted');
      const { socket, heard } = await join(io, fanwire, test, { ...way, auth: { room } });
      await fanwire.publish(room, 'text', { query: 'event=score' });
      await fanwire.publish(room, '{"home":[1,2]}', { query: 'event=score', type: 'application/json' });
      await fanwire.publish(room, new Uint8Array([0, 255]), { query: 'event=score', type: 'application/octet-stream' });
      await fanwire.publish(room, '[1,"two"]', { query: 'event=score&args=1', type: 'application/json' });
      await fanwire.publish(room, 'no name');
      const events = await heard.take(5, 'events');
      equal([...events[2].pop()], [0, 255], 'bytes');
      const expected = [['score', 'text'], ['score', { home: [1, 2] }], ['score'], ['score', 1, 'two'], ['message', 'no name']];
      equal(events, expected, 'events');
      equal(await ask(socket, 'rooms'), [[room]], 'rooms');
    },

    'what is said in a room is heard by an EventSource and a long poll': async (test) => {
      const room = freshChannel('said');
      const stream = openStream(EventSource, fanwire.url(room, 'format=envelope'), test);
      const raw = openStream(EventSource, fanwire.url(room), test, ['told']);
      await ready(stream.heard);
      await ready(raw.heard);
      const { cursor } = await fanwire.read(room, 'wait=0');
      const { socket } = await join(io, fanwire, test, { ...way, auth: { room } });
      const polled = fanwire.read(room, `wait=20&after=${cursor}`);
      await ask(socket, 'tell', room, { goal: 1 });
      const message = JSON.parse((await stream.heard.next('the envelope')).data);
      equal([message.event, message.data, message.channel], ['told', { goal: 1 }, room], 'in the envelope');
      equal(JSON.parse((await raw.heard.next('the event')).data), { goal: 1 }, 'raw');
      const { messages } = await polled;
      equal(messages.map(({ event, data }) => [event, data]), [['told', { goal: 1 }]], 'polled');
    },
  };
}
