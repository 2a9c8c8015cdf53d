// A namespace, as the application sees it.

import { callAll, Emitter } from './emitter.js';
import { ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED } from './packet.js';
import { Retries } from './retries.js';

const wantsError = (ack) => Object.assign(ack, { wantsError: true });

/** Emits what the server emits, and `connect`, `connect_error` and `disconnect`. */
export class Socket extends Emitter {
  connected = false;
  /** Whether this connection is the continuation of the one before: nothing was missed. */
  recovered = false;
  /** Known to others; absent while there is no connection. */
  id = undefined;
  /** Whether it is connected, or tries to be. */
  active = false;
  /** Events that came before the CONNECT that they belong to. */
  receiveBuffer = [];
  /** What was emitted without a connection. */
  sendBuffer = [];
  /** The connection to which CONNECT was sent. */
  #joined = null;
  /** For the next connection: the private id of this session, and the last event heard. */
  #pid = undefined;
  #offset = undefined;
  #acks = new Map();
  #ids = 0;
  #flags = {};
  #retries = null;
  #anyListeners = [];
  #anyOutgoingListeners = [];

  constructor(manager, nsp, opts) {
    super();
    this.io = manager;
    this.nsp = nsp;
    this.auth = opts.auth;
    this.opts = opts;
    if (opts.retries) {
      this.#retries = new Retries(opts.retries, (args, flags) => this.#emit(args, flags));
    }
  }

  get disconnected() {
    return !this.connected;
  }

  connect() {
    this.active = true;
    if (!this.io.isReconnecting) this.io.open();
    if (this.io.isOpen) this.join();
    return this;
  }

  open() {
    return this.connect();
  }

  /** Leaves the namespace, and the connection if nobody else is on it. */
  disconnect() {
    if (this.connected) this.#write(DISCONNECT);
    this.#release();
    if (this.connected) this.lost('io client disconnect');
    return this;
  }

  close() {
    return this.disconnect();
  }

  #release() {
    this.active = false;
    this.#joined = null;
    this.io.release();
  }

  // What the application sends.

  send(...args) {
    return this.emit('message', ...args);
  }

  /** Sends an event; a function as the last argument is called with the answer. */
  emit(...args) {
    const [event] = args;
    const flags = this.#flags;
    this.#flags = {};
    if (RESERVED.has(event)) throw new Error(`"${event}" is a reserved event name`);
    if (this.#retries && !flags.volatile) {
      this.#retries.add(args, flags);
      if (this.connected) this.#retries.next();
    } else {
      this.#emit(args, flags);
    }
    return this;
  }

  #emit(args, flags) {
    const ack = typeof args[args.length - 1] === 'function' ? args.pop() : null;
    const packet = { type: EVENT, data: args };
    if (ack) packet.id = this.#expect(ack, flags.timeout);
    if (flags.volatile) {
      if (this.connected && this.io.engine.writable) this.#send(packet);
    } else if (this.connected && !this.io.engine.isStale()) {
      this.#send(packet);
    } else {
      this.sendBuffer.push(packet);
    }
  }

  #send(packet) {
    callAll(this.#anyOutgoingListeners, this, packet.data);
    this.#write(packet.type, packet.data, packet.id);
  }

  #write(type, data, id) {
    this.io.write({ type, nsp: this.nsp, id, data });
  }

  /** Gives the id under which an answer is expected. */
  #expect(ack, timeout = this.opts.ackTimeout) {
    const id = this.#ids;
    this.#ids += 1;
    if (timeout === undefined) {
      this.#acks.set(id, ack);
      return id;
    }
    const timer = setTimeout(() => {
      this.#acks.delete(id);
      this.sendBuffer = this.sendBuffer.filter((packet) => packet.id !== id);
      ack.call(this, new Error('operation has timed out'));
    }, timeout);
    const inTime = (...answer) => {
      clearTimeout(timer);
      ack.apply(this, answer);
    };
    this.#acks.set(id, wantsError(inTime));
    return id;
  }

  emitWithAck(...args) {
    return new Promise((resolve, reject) => {
      this.emit(...args, wantsError((error, answer) => (error ? reject(error) : resolve(answer))));
    });
  }

  /** The next event is answered within so many ms, or its callback gets an error first. */
  timeout(limit) {
    this.#flags.timeout = limit;
    return this;
  }

  /** The next event is dropped where it can't be sent at once. */
  get volatile() {
    this.#flags.volatile = true;
    return this;
  }

  /** Browsers compress as they see fit. */
  compress() {
    return this;
  }

  // What the connection tells.

  /** It is open: asks for the namespace. */
  join() {
    const { engine } = this.io;
    if (this.connected || this.#joined === engine) return;
    this.#joined = engine;
    const ask = (auth) => {
      // An answer that took so long that it belongs to a connection of the past.
      if (this.#joined !== engine || this.connected) return;
      this.#write(CONNECT, this.#pid ? { pid: this.#pid, offset: this.#offset, ...auth } : auth);
    };
    if (typeof this.auth === 'function') this.auth(ask);
    else ask(this.auth);
  }

  /** It could not be opened. */
  failed(error) {
    if (!this.connected) super.emit('connect_error', error);
  }

  /** It is gone. */
  lost(reason, description) {
    this.#joined = null;
    this.receiveBuffer = [];
    if (!this.connected) {
      if (this.active) this.failed(new Error(reason));
      return;
    }
    this.connected = false;
    this.id = undefined;
    super.emit('disconnect', reason, description);
    for (const [id, ack] of [...this.#acks]) {
      if (this.sendBuffer.some((packet) => packet.id === id)) continue;
      this.#acks.delete(id);
      if (ack.wantsError) callAll([ack], this, [new Error('socket has been disconnected')]);
    }
  }

  receive({ type, id, data }) {
    switch (type) {
      case CONNECT:
        this.#connected(data);
        break;
      case EVENT:
        if (id !== undefined) data.push(this.#answer(id));
        if (this.connected) this.#hear(data);
        else this.receiveBuffer.push(data);
        break;
      case ACK:
        this.#answered(id, data);
        break;
      case DISCONNECT:
        this.#release();
        this.lost('io server disconnect');
        break;
      case CONNECT_ERROR:
        this.#release();
        this.failed(Object.assign(new Error(data.message || data), { data: data.data }));
    }
  }

  #connected({ sid, pid } = {}) {
    if (!sid) {
      this.failed(new Error('the server speaks an earlier version of Socket.IO'));
      return;
    }
    this.id = sid;
    this.recovered = Boolean(pid) && pid === this.#pid;
    this.#pid = pid;
    this.connected = true;
    for (const data of this.receiveBuffer.splice(0)) this.#hear(data);
    for (const packet of this.sendBuffer.splice(0)) this.#send(packet);
    super.emit('connect');
    if (this.#retries) this.#retries.next();
  }

  #hear(data) {
    callAll(this.#anyListeners, this, data);
    super.emit(...data);
    const last = data[data.length - 1];
    // With recovery the server ends every event with its place in the stream.
    if (this.#pid && data.length > 1 && typeof last === 'string') this.#offset = last;
  }

  #answer(id) {
    let isAnswered = false;
    return (...args) => {
      if (!isAnswered) this.#write(ACK, args, id);
      isAnswered = true;
    };
  }

  #answered(id, data) {
    const ack = this.#acks.get(id);
    this.#acks.delete(id);
    if (ack) callAll([ack], this, ack.wantsError ? [null, ...data] : data);
  }

  // Listeners that hear every event.

  onAny(listener) {
    this.#anyListeners.push(listener);
    return this;
  }

  prependAny(listener) {
    this.#anyListeners.unshift(listener);
    return this;
  }

  offAny(listener) {
    this.#anyListeners = without(this.#anyListeners, listener);
    return this;
  }

  listenersAny() {
    return this.#anyListeners;
  }

  onAnyOutgoing(listener) {
    this.#anyOutgoingListeners.push(listener);
    return this;
  }

  prependAnyOutgoing(listener) {
    this.#anyOutgoingListeners.unshift(listener);
    return this;
  }

  offAnyOutgoing(listener) {
    this.#anyOutgoingListeners = without(this.#anyOutgoingListeners, listener);
    return this;
  }

  listenersAnyOutgoing() {
    return this.#anyOutgoingListeners;
  }
}

/** All but `listener`; none where it is not given. */
function without(listeners, listener) {
  return listener ? listeners.filter((one) => one !== listener) : [];
}
