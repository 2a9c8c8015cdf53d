// What both transports share.

import { fromBase64 } from './binary.js';

/** Why a transport failed: `message`, and in `description` what the browser told of it. */
export function transportError(message, description) {
  return Object.assign(new Error(message), { type: 'TransportError', description });
}

/**
 * A way for packets to travel. A packet is a string that begins with its type, or the bytes of a
 * message. `owner` is told: `onOpen()`, `onPacket(type, data)`, `onDrain()`, `onError(error)`,
 * `onClose(description)`; without an owner nobody is.
 */
export class Transport {
  owner = null;
  /** opening, open, pausing, paused, closed. */
  state = 'opening';

  constructor(origin, opts, sid) {
    this.origin = origin;
    this.opts = opts;
    /** The session's id, once it is known. */
    this.sid = sid;
  }

  /** Whether more waits to be sent than leaves soon. */
  get isCongested() {
    return false;
  }

  /** The session's URL; `extra` are more parameters. */
  url(extra) {
    const query = new URLSearchParams(this.opts.query);
    const own = { EIO: 4, transport: this.name, ...(this.sid && { sid: this.sid }), ...extra };
    for (const name in own) query.set(name, own[name]);
    const slash = this.opts.addTrailingSlash === false ? '' : '/';
    return `${this.origin}${this.opts.path.replace(/\/$/, '')}${slash}?${query}`;
  }

  tell(what, ...args) {
    if (this.owner) this.owner[what](...args);
  }

  /** Hands on one packet as it came. */
  receive(packet) {
    let message = packet;
    try {
      if (packet[0] === 'b') message = fromBase64(packet.slice(1));
    } catch (error) {
      this.tell('onError', transportError('parser error', error));
      return;
    }
    if (typeof message === 'string') this.tell('onPacket', message[0], message.slice(1));
    else this.tell('onPacket', '4', message);
  }
}
