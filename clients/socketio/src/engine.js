// An Engine.IO session, revision 4: handshake, heartbeat, and the move from one transport to
// another.

import { payloadSize } from './binary.js';
import { Emitter } from './emitter.js';
import { Polling } from './polling.js';
import { transportError } from './transport.js';
import { WebSocketTransport } from './websocket.js';

const TRANSPORTS = { polling: Polling, websocket: WebSocketTransport };
/** Whether the last WebSocket worked: for `rememberUpgrade`. */
let webSocketWorked = false;

/**
 * Emits `open`, `message` (text or bytes), `ping`, `drain`, `upgrading`, `upgrade` and
 * `upgradeError`, `error`, and once, at its end, `close` with the reason.
 */
export class Engine extends Emitter {
  /** The secret by which the server knows this session. */
  id = null;
  /** opening, open, closing, closed. */
  state = 'opening';
  transport = null;
  #buffer = [];
  #names;
  /** The transport that is being tried for an upgrade. */
  #probe = null;
  /** Whether nothing may be sent, because the next packet belongs to the next transport. */
  #isUpgrading = false;
  #heartbeat = null;
  #silence = 0;
  #deadline = Infinity;
  #maxPayload = Infinity;
  #onOffline = () => this.#close('transport close', { description: 'network connection lost' });

  constructor(origin, opts) {
    super();
    this.origin = origin;
    this.opts = opts;
    this.#names = (opts.transports || ['polling', 'websocket']).filter((name) => name in TRANSPORTS);
    // A browser that goes offline still reaches its own machine.
    if (globalThis.addEventListener && !/^\w+:\/\/localhost(:|$)/.test(origin)) {
      addEventListener('offline', this.#onOffline);
    }
    this.#open();
  }

  #open() {
    const [first] = this.#names;
    if (!first) {
      setTimeout(() => this.#fail(new Error('No transports available')));
      return;
    }
    const remembers = this.opts.rememberUpgrade && webSocketWorked;
    this.#use(this.#make(remembers && this.#names.includes('websocket') ? 'websocket' : first));
    this.transport.open();
  }

  #make(name) {
    const { transportOptions = {}, ...opts } = this.opts;
    return new TRANSPORTS[name](this.origin, { ...opts, ...transportOptions[name] }, this.id);
  }

  #use(transport) {
    if (this.transport) this.transport.owner = null;
    this.transport = transport;
    transport.owner = {
      onOpen: () => {},
      onPacket: (type, data) => this.#receive(type, data),
      onDrain: () => this.#flush(),
      onError: (error) => this.#fail(error),
      onClose: (description) => this.#close('transport close', description),
    };
  }

  #receive(type, data) {
    switch (type) {
      case '0':
        this.#shakeHands(data);
        break;
      case '1':
        this.#close('transport close', { description: 'transport closed by the server' });
        break;
      case '2':
        this.#expectPing();
        this.write('3');
        this.emit('ping');
        break;
      case '4':
        this.emit('message', data);
        break;
      case '3':
      case '6':
        break;
      default:
        this.#fail(transportError('server error', 'parser error'));
    }
  }

  #shakeHands(json) {
    if (this.state !== 'opening') return;
    let session;
    try {
      session = { upgrades: [], ...JSON.parse(json) };
    } catch (error) {
      this.#fail(transportError('server error', error));
      return;
    }
    this.id = session.sid;
    this.transport.sid = session.sid;
    this.#silence = session.pingInterval + session.pingTimeout;
    this.#maxPayload = session.maxPayload || Infinity;
    this.#expectPing();
    webSocketWorked = this.transport.name === 'websocket';
    this.state = 'open';
    this.emit('open');
    this.#flush();
    const [upgrade] = session.upgrades.filter((name) => this.#names.includes(name));
    if (upgrade && this.opts.upgrade !== false && this.state === 'open') this.#upgrade(upgrade);
  }

  /** The server pings once in an interval: the connection is dead where it does not. */
  #expectPing() {
    clearTimeout(this.#heartbeat);
    this.#deadline = Date.now() + this.#silence;
    this.#heartbeat = setTimeout(() => this.#close('ping timeout'), this.#silence);
  }

  /** Whether the ping is overdue: a machine that wakes from sleep knows it before its timers do. */
  isStale() {
    const isStale = Date.now() > this.#deadline;
    if (isStale) setTimeout(() => this.#close('ping timeout'));
    return isStale;
  }

  /** Whether what is written now leaves now. */
  get writable() {
    const { writable, isCongested } = this.transport;
    return this.state === 'open' && !this.#isUpgrading && writable && !isCongested;
  }

  /** Sends a packet, as soon as the transport takes it. */
  write(packet) {
    if (this.state === 'closing' || this.state === 'closed') return;
    this.#buffer.push(packet);
    this.#flush();
  }

  #flush() {
    if (this.#isUpgrading || this.state === 'opening' || this.state === 'closed') return;
    while (this.#buffer.length > 0 && this.transport.writable) this.transport.send(this.#batch());
    if (this.transport.writable) {
      this.emit('drain');
      if (this.state === 'closing') this.#close('forced close');
    }
  }

  /** What goes at once: all, or as much as the server takes in one request. */
  #batch() {
    let count = this.#buffer.length;
    if (this.transport.name === 'polling') {
      let bytes = -1;
      count = this.#buffer.findIndex((packet) => (bytes += 1 + payloadSize(packet)) > this.#maxPayload);
      if (count < 0) count = this.#buffer.length;
    }
    // What is too long alone goes alone, and the server says so.
    return this.#buffer.splice(0, count || 1);
  }

  /**
   * Tries `name` beside the present transport, and moves there once the server has answered a
   * probe and the old one has come to rest, so that nothing overtakes. If it fails, the old one
   * goes on.
   */
  #upgrade(name) {
    const probe = this.#make(name);
    this.#probe = probe;
    const fail = (error) => {
      this.#dropProbe();
      if (this.#isUpgrading) {
        this.#isUpgrading = false;
        this.transport.resume();
      }
      this.emit('upgradeError', Object.assign(new Error(`probe error: ${error}`), { transport: name }));
      this.#flush();
    };
    const move = () => {
      if (this.#probe !== probe) return;
      this.#probe = null;
      this.#use(probe);
      probe.send(['5']);
      this.#isUpgrading = false;
      webSocketWorked = true;
      this.emit('upgrade', probe);
      this.#flush();
    };
    probe.owner = {
      onOpen: () => probe.send(['2probe']),
      onPacket: (type, data) => {
        if (type + data !== '3probe') {
          fail('the server did not answer');
          return;
        }
        this.#isUpgrading = true;
        this.emit('upgrading', probe);
        if (this.#probe === probe) this.transport.pause(move);
      },
      onError: fail,
      onClose: () => fail('transport closed'),
    };
    probe.open();
  }

  #dropProbe() {
    if (this.#probe) this.#probe.close();
    this.#probe = null;
  }

  /** Closes after what was written has been sent. */
  close() {
    if (this.state === 'opening') {
      this.#close('forced close');
    } else if (this.state === 'open') {
      this.state = 'closing';
      this.#flush();
    }
    return this;
  }

  #fail(error) {
    webSocketWorked = false;
    if (this.opts.tryAllTransports && this.state === 'opening' && this.#names.length > 1) {
      this.#names.shift();
      this.transport.close();
      this.#open();
      return;
    }
    if (this.state === 'closed') return;
    this.emit('error', error);
    this.#close('transport error', error);
  }

  #close(reason, description) {
    if (this.state === 'closed') return;
    this.state = 'closed';
    clearTimeout(this.#heartbeat);
    if (globalThis.removeEventListener) removeEventListener('offline', this.#onOffline);
    this.#dropProbe();
    if (this.transport) this.transport.close();
    this.id = null;
    this.#buffer = [];
    this.emit('close', reason, description);
  }
}
