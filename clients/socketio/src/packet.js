// Socket.IO packets, revision 5: a line of text, followed by its attachments.

import { isBinary } from './binary.js';

export const CONNECT = 0;
export const DISCONNECT = 1;
export const EVENT = 2;
export const ACK = 3;
export const CONNECT_ERROR = 4;
/** Added to EVENT and ACK where attachments follow. */
const BINARY = 3;

/** Event names that belong to the library on one side or the other. */
export const RESERVED = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
]);

/** TYPE [ATTACHMENTS-] [/NAMESPACE,] [ID] [JSON] */
const LINE = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),?)?(\d*)(.*)$/s;

/** The line of a packet, then its attachments in their order. */
export function encodePacket({ type, nsp, id, data }) {
  const attachments = [];
  // `this[key]` and not `value`: Node's `Buffer` has a `toJSON`, which was called by then.
  const json = JSON.stringify(data, function (key, value) {
    const bytes = this[key];
    if (!isBinary(bytes)) return value;
    return { _placeholder: true, num: attachments.push(bytes) - 1 };
  });
  const binary = attachments.length > 0;
  const line = [
    binary ? `${type + BINARY}${attachments.length}-` : type,
    nsp === '/' ? '' : `${nsp},`,
    id,
    json,
  ];
  return [line.join(''), ...attachments];
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isValid({ type, id, data }) {
  switch (type) {
    case CONNECT:
      return data === undefined || isObject(data);
    case DISCONNECT:
      return data === undefined;
    case EVENT:
      return (
        Array.isArray(data) &&
        (typeof data[0] === 'number' || (typeof data[0] === 'string' && !RESERVED.has(data[0])))
      );
    case ACK:
      return Array.isArray(data) && id !== undefined;
    default:
      return typeof data === 'string' || isObject(data);
  }
}

/** Puts lines and attachments together. */
export class Decoder {
  #head = null;
  #attachments = [];

  /** Takes what came next. Gives a packet that is whole, else nothing; throws where it is none. */
  add(part) {
    const isText = typeof part === 'string';
    if (isText === (this.#head !== null)) throw new Error('attachment out of place');
    if (isText) {
      const [, type, count, nsp = '/', id, json] = LINE.exec(part) || [];
      const isBinaryType = type > CONNECT_ERROR;
      if (!type || isBinaryType !== count > 0) throw new Error('unknown packet');
      this.#head = {
        type: isBinaryType ? type - BINARY : +type,
        nsp,
        id: id ? +id : undefined,
        count: isBinaryType ? +count : 0,
        json,
      };
    } else {
      this.#attachments.push(part);
    }
    return this.#attachments.length < this.#head.count ? null : this.#finish();
  }

  #finish() {
    const { count, json, ...packet } = this.#head;
    const attachments = this.#attachments;
    this.#head = null;
    this.#attachments = [];
    const revive = (_, value) => {
      if (!value || value._placeholder !== true) return value;
      const { num } = value;
      if (typeof num !== 'number' || !attachments[num]) throw new Error('no such attachment');
      return attachments[num];
    };
    if (json) packet.data = JSON.parse(json, count > 0 ? revive : undefined);
    if (!isValid(packet)) throw new Error('invalid packet');
    return packet;
  }
}
