// A WebSocket: a packet is a frame.

import { Transport, transportError } from './transport.js';

/** Bytes that wait in the browser, above which a volatile event is rather dropped. */
const BACKLOG = 65536;

export class WebSocketTransport extends Transport {
  name = 'websocket';
  #socket = null;

  get writable() {
    return this.state === 'open';
  }

  get isCongested() {
    return this.#socket.bufferedAmount > BACKLOG;
  }

  open() {
    try {
      this.#socket = new WebSocket(this.url().replace(/^http/, 'ws'), this.opts.protocols || []);
    } catch (error) {
      // Our owner may still be on its way to hear of us.
      setTimeout(() => this.tell('onError', transportError('websocket error', error)));
      return;
    }
    const socket = this.#socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.state = 'open';
      this.tell('onOpen');
    };
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onerror = (event) => this.tell('onError', transportError('websocket error', event));
    socket.onclose = (event) => this.tell('onClose', event);
  }

  /** The browser sends in order, and what it has taken before it closes. */
  send(packets) {
    for (const packet of packets) this.#socket.send(packet);
  }

  close() {
    this.state = 'closed';
    this.owner = null;
    if (this.#socket) this.#socket.close();
  }
}
