// The parts of the browser client for Socket.IO that need no server. In Node the modules are given;
// a page has them from the server that it came from.

import { check, equal, Inbox } from '../lib/suite.mjs';

const FOLDER = '/socketio';

/** The tests; `folder` is where the modules are. */
export function partTests(folder = FOLDER) {
  const load = (name) => import(`${folder}/${name}.js`);
  return {
    'packets are written as the protocol has them': async () => {
      const { encodePacket } = await load('packet');
      const bytes = new Uint8Array([1]);
      const withJson = { toJSON: () => 'as it says', buffer: bytes.buffer };
      for (const [packet, expected] of [
        [{ type: 0, nsp: '/' }, ['0']],
        [{ type: 0, nsp: '/admin', data: { token: 1 } }, ['0/admin,{"token":1}']],
        [{ type: 1, nsp: '/admin' }, ['1/admin,']],
        [{ type: 2, nsp: '/', data: ['a', undefined, 1] }, ['2["a",null,1]']],
        [{ type: 2, nsp: '/', id: 0, data: ['a'] }, ['20["a"]']],
        [{ type: 2, nsp: '/x', id: 12, data: ['a', withJson] }, ['2/x,12["a","as it says"]']],
        [{ type: 3, nsp: '/x', id: 7, data: [] }, ['3/x,7[]']],
        [
          { type: 2, nsp: '/', data: ['a', { b: [bytes] }, bytes.buffer] },
          ['51-', bytes, bytes.buffer],
        ],
      ]) {
        const [line, ...attachments] = encodePacket(packet);
        if (expected.length === 1) {
          equal([line, attachments.length], [expected[0], 0], 'the line');
        } else {
          equal(line, '52-["a",{"b":[{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}]', 'the line');
          check(attachments[0] === bytes && attachments[1] === bytes.buffer, 'attachments');
        }
      }
    },

    'packets are read as the protocol has them': async () => {
      const { Decoder } = await load('packet');
      const decoder = new Decoder();
      for (const [line, expected] of [
        ['0{"sid":"a"}', { type: 0, nsp: '/', data: { sid: 'a' } }],
        ['0/admin,{"sid":"a"}', { type: 0, nsp: '/admin', data: { sid: 'a' } }],
        ['1/admin', { type: 1, nsp: '/admin' }],
        ['1/admin?a=1,', { type: 1, nsp: '/admin?a=1' }],
        ['212["a",1]', { type: 2, nsp: '/', id: 12, data: ['a', 1] }],
        ['2/x,0["a\u2028b\\n"]', { type: 2, nsp: '/x', id: 0, data: ['a\u2028b\n'] }],
        ['2[1]', { type: 2, nsp: '/', data: [1] }],
        ['3/x,7[]', { type: 3, nsp: '/x', id: 7, data: [] }],
        ['4{"message":"no"}', { type: 4, nsp: '/', data: { message: 'no' } }],
        ['4/x,"no"', { type: 4, nsp: '/x', data: 'no' }],
      ]) {
        const packet = decoder.add(line);
        for (const name of ['type', 'nsp', 'id', 'data']) equal(packet[name], expected[name], `${line} ${name}`);
      }
      equal(decoder.add('62-/x,1[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]'), null, 'a head');
      const [one, two] = [new ArrayBuffer(1), new ArrayBuffer(2)];
      equal(decoder.add(one), null, 'a part');
      const { data, type, id } = decoder.add(two);
      check(data[0] === two && data[1] === one && type === 3 && id === 1, 'attachments in their places');
    },

    'what is no packet is refused, and the next one is none the worse': async () => {
      const { Decoder } = await load('packet');
      for (const parts of [
        [''], ['7'], ['x'], ['2'], ['2{}'], ['2[]'], ['2[null]'], ['2["connect"]'], ['2["a"'], ['20'],
        ['0[]'], ['0"x"'], ['1{}'], ['3[1]'], ['3'], ['4'], ['4[]'], ['4null'], ['21-["a"]'], ['5["a"]'],
        ['50-["a"]'], [new ArrayBuffer(1)], ['51-["a"]', '2["a"]'],
        ['51-["a",{"_placeholder":true,"num":1}]', new ArrayBuffer(1)],
        ['51-["a",{"_placeholder":true,"num":"length"}]', new ArrayBuffer(1)],
        ['51-["a",{"_placeholder":true}]', new ArrayBuffer(1)],
      ]) {
        const decoder = new Decoder();
        let thrown = false;
        try {
          for (const part of parts) decoder.add(part);
        } catch {
          thrown = true;
        }
        check(thrown, `${parts.map(String)} was taken`);
      }
    },

    'base64 keeps every byte': async () => {
      const { fromBase64, payloadSize, toText } = await load('binary');
      const bytes = new Uint8Array(70_000).map((_, at) => at ^ (at >> 8));
      for (const [part, whole] of [
        [bytes.buffer, bytes],
        [bytes.subarray(1, 3), bytes.slice(1, 3)],
        [new DataView(bytes.buffer, 300, 5), bytes.slice(300, 305)],
        [new Blob([bytes.slice(0, 4)]), bytes.slice(0, 4)],
        [new ArrayBuffer(0), bytes.slice(0, 0)],
      ]) {
        const text = await toText(part);
        equal(text[0], 'b', 'the mark');
        equal([...new Uint8Array(fromBase64(text.slice(1)))], [...whole], 'the bytes');
        equal(payloadSize(part), text.length, 'the size');
      }
      equal([await toText('4ü'), payloadSize('4ü')], ['4ü', 3], 'text');
    },

    'delays double, stay within their jitter, and below the highest': async () => {
      const { Backoff } = await load('backoff');
      for (let run = 0; run < 200; run += 1) {
        const backoff = new Backoff();
        for (const base of [1000, 2000, 4000, 5000, 5000]) {
          const delay = backoff.next(1000, 5000, 0.5);
          check(delay >= base / 2 && delay <= Math.min(5000, base * 1.5), `${delay} for ${base}`);
        }
        equal(backoff.attempts, 5, 'attempts');
      }
      const steady = new Backoff();
      equal([0, 0, 0].map(() => steady.next(10, 30, 0)), [10, 20, 30], 'without jitter');
      steady.attempts = 5000;
      equal(steady.next(10, 30, 0.5) <= 30, true, 'after many attempts');
    },

    'a listener that throws stops no other, and the error is reported': async ({ defer }) => {
      const { Emitter } = await load('emitter');
      const reported = new Inbox();
      const report = (event) => {
        event.preventDefault?.();
        reported.push((event.error ?? event).message);
      };
      if (globalThis.addEventListener) addEventListener('error', report);
      else process.on('uncaughtException', report);
      defer(() => {
        if (globalThis.removeEventListener) removeEventListener('error', report);
        else process.off('uncaughtException', report);
      });
      const emitter = new Emitter();
      const told = [];
      emitter.on('a', () => {
        throw new Error('mine');
      });
      emitter.once('a', (n) => told.push(n));
      emitter.emit('a', 1).emit('a', 2);
      equal(told, [1], 'told');
      equal(await reported.take(2, 'reports'), ['mine', 'mine'], 'reported');
    },
  };
}
