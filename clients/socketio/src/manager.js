// One connection for many namespaces, and its coming back.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { Engine } from './engine.js';
import { Decoder, encodePacket } from './packet.js';
import { Socket } from './socket.js';

/** Emits `open`, `ping`, `error`, `close`, and the `reconnect_…` events. */
export class Manager extends Emitter {
  /** The Engine.IO session, alive or not; absent before the first `open`. */
  engine = undefined;
  /** Every namespace ever asked for, by its name. */
  nsps = new Map();
  /** closed, opening, open. */
  #state = 'closed';
  #isReconnecting = false;
  /** Whether the application wants no connection. */
  #isDone = false;
  #backoff = new Backoff();
  #timer = null;
  #decoder = null;
  #detach = () => {};

  /** `origin`: `https://host:port`. `opts`: as of `io`. */
  constructor(origin, opts) {
    super();
    this.uri = origin;
    this.opts = {
      path: '/socket.io',
      reconnection: true,
      reconnectionAttempts: Infinity,
      reconnectionDelay: 1000,
      reconnectionDelayMax: 5000,
      randomizationFactor: 0.5,
      timeout: 20000,
      autoConnect: true,
    };
    for (const name in opts) if (opts[name] !== undefined) this.opts[name] = opts[name];
    if (this.opts.autoConnect) this.open();
  }

  get isOpen() {
    return this.#state === 'open';
  }

  /** The socket of a namespace. */
  socket(nsp, opts = {}) {
    let socket = this.nsps.get(nsp);
    if (!socket) {
      socket = new Socket(this, nsp, opts);
      this.nsps.set(nsp, socket);
    }
    if (this.opts.autoConnect && !socket.active) socket.connect();
    return socket;
  }

  #active() {
    return [...this.nsps.values()].filter((socket) => socket.active);
  }

  /** Opens the connection unless there is one; `done(error)` is told how that went. */
  open(done) {
    if (this.#state !== 'closed') return this;
    this.#state = 'opening';
    this.#isDone = false;
    clearTimeout(this.#timer);
    const engine = new Engine(this.uri, this.opts);
    const decoder = new Decoder();
    this.engine = engine;
    const fail = (error) => {
      this.#detach();
      this.#state = 'closed';
      this.#isReconnecting = false;
      engine.close();
      this.#failed(error);
      if (done) done(error);
      else this.#reconnect();
    };
    const heard = {
      open: () => {
        clearTimeout(this.#timer);
        this.#state = 'open';
        this.#isReconnecting = false;
        this.#backoff.attempts = 0;
        this.emit('open');
        for (const socket of this.#active()) socket.join();
        if (done) done();
      },
      error: (error) => (this.isOpen ? this.#failed(error) : fail(error)),
      // Before the handshake; afterwards it is a connection that was lost.
      close: (reason, description) => {
        if (this.isOpen) this.#lost(reason, description);
        else fail(new Error(reason));
      },
      ping: () => this.emit('ping'),
      message: (part) => this.#receive(decoder, part),
    };
    for (const event in heard) engine.on(event, heard[event]);
    this.#detach = () => {
      clearTimeout(this.#timer);
      for (const event in heard) engine.off(event, heard[event]);
    };
    const { timeout } = this.opts;
    if (timeout !== false) this.#timer = setTimeout(() => fail(new Error('timeout')), timeout);
    return this;
  }

  connect(done) {
    return this.open(done);
  }

  #receive(decoder, part) {
    let packet;
    try {
      packet = decoder.add(part);
    } catch (error) {
      this.#lost('parse error', error);
      return;
    }
    const socket = packet && this.nsps.get(packet.nsp);
    if (socket && socket.active) socket.receive(packet);
  }

  /** Sends a packet of a namespace. */
  write(packet) {
    for (const part of encodePacket(packet)) {
      this.engine.write(typeof part === 'string' ? `4${part}` : part);
    }
  }

  #failed(error) {
    this.emit('error', error);
    for (const socket of this.#active()) socket.failed(error);
  }

  #lost(reason, description) {
    this.#detach();
    this.#state = 'closed';
    this.#isReconnecting = false;
    if (this.engine) this.engine.close();
    this.#backoff.attempts = 0;
    this.emit('close', reason, description);
    for (const socket of this.#active()) socket.lost(reason, description);
    this.#reconnect();
  }

  /** A socket is active no more: without any, there is no connection. */
  release() {
    if (this.#active().length === 0) this.disconnect();
  }

  /** Closes the connection, for good. */
  disconnect() {
    this.#isDone = true;
    this.#lost('forced close');
    return this;
  }

  /** Whether an attempt waits for its time or is being made: nobody else need open. */
  get isReconnecting() {
    return this.#isReconnecting;
  }

  #reconnect() {
    const { reconnection, reconnectionAttempts, ...opts } = this.opts;
    // Whoever heard what happened may have opened it anew.
    if (!reconnection || this.#isDone || this.#state !== 'closed') return;
    if (this.#backoff.attempts >= (reconnectionAttempts || Infinity)) {
      this.#backoff.attempts = 0;
      this.emit('reconnect_failed');
      return;
    }
    this.#isReconnecting = true;
    const { reconnectionDelay, reconnectionDelayMax, randomizationFactor } = opts;
    const delay = this.#backoff.next(reconnectionDelay, reconnectionDelayMax, randomizationFactor);
    this.#timer = setTimeout(() => {
      const attempt = this.#backoff.attempts;
      this.emit('reconnect_attempt', attempt);
      // Whoever heard that may want no connection any more.
      if (this.#isDone) return;
      this.open((error) => {
        if (error) {
          this.#reconnect();
          this.emit('reconnect_error', error);
        } else {
          this.emit('reconnect', attempt);
        }
      });
    }, delay);
  }
}

// `manager.reconnectionDelay()` reads, `manager.reconnectionDelay(500)` sets.
for (const name of [
  'reconnection',
  'reconnectionAttempts',
  'reconnectionDelay',
  'reconnectionDelayMax',
  'randomizationFactor',
  'timeout',
]) {
  Manager.prototype[name] = function (...value) {
    if (value.length === 0) return this.opts[name];
    this.opts[name] = value[0];
    return this;
  };
}
