// HTTP long polling: one GET that waits for packets, one POST at a time that sends some.

import { toText } from './binary.js';
import { Transport, transportError } from './transport.js';

/** Stands between the packets of a payload. */
const SEPARATOR = '\x1e';
/** Longest time in ms for a farewell, after which the requests of a closed session are given up. */
const FAREWELL_LIMIT = 5000;

let requests = 0;

export class Polling extends Transport {
  name = 'polling';
  /** Whether nothing is under way. */
  writable = false;
  #isPolling = false;
  #whenPaused = null;
  #posting = Promise.resolve();
  #abort = new AbortController();

  open() {
    this.#poll();
  }

  /** A request for one URL is never answered from a cache, whatever stands between. */
  #url() {
    requests += 1;
    return this.url({ t: Date.now().toString(36) + requests.toString(36) });
  }

  async #request(method, body) {
    const { withCredentials, extraHeaders } = this.opts;
    const response = await fetch(this.#url(), {
      method,
      body,
      headers: extraHeaders,
      credentials: withCredentials ? 'include' : 'same-origin',
      cache: 'no-store',
      signal: this.#abort.signal,
    });
    if (response.status !== 200) throw response.status;
    return response.text();
  }

  async #poll() {
    this.#isPolling = true;
    let payload;
    try {
      payload = await this.#request('GET');
    } catch (error) {
      // The server knows of no session, or cannot be reached: nobody to say goodbye to.
      this.state = 'closed';
      this.tell('onError', transportError('xhr poll error', error));
      return;
    }
    this.#isPolling = false;
    if (this.state === 'closed') {
      this.#leaveUnopened(payload);
      return;
    }
    for (const packet of payload.split(SEPARATOR)) {
      // Whoever heard the packet before may have closed us.
      if (this.state === 'closed') return;
      if (this.state === 'opening' && packet[0] === '0') {
        this.state = 'open';
        this.writable = true;
        this.tell('onOpen');
      }
      this.receive(packet);
    }
    if (this.state === 'opening') this.tell('onError', transportError('no handshake', payload));
    else if (this.state === 'open') this.#poll();
    else this.#settle();
  }

  send(packets) {
    this.writable = false;
    this.#posting = this.#post(packets);
  }

  async #post(packets) {
    try {
      const texts = await Promise.all(packets.map(toText));
      await this.#request('POST', texts.join(SEPARATOR));
    } catch (error) {
      this.tell('onError', transportError('xhr post error', error));
      return;
    }
    this.writable = true;
    this.#settle();
    this.tell('onDrain');
  }

  /** Stops polling; calls `done` once no request is under way. */
  pause(done) {
    this.state = 'pausing';
    this.#whenPaused = done;
    this.#settle();
  }

  #settle() {
    if (this.state !== 'pausing' || this.#isPolling || !this.writable) return;
    this.state = 'paused';
    this.#whenPaused();
  }

  /** Takes back a `pause`. */
  resume() {
    this.state = 'open';
    if (!this.#isPolling) this.#poll();
  }

  /** Says goodbye after what is being sent. */
  close() {
    const state = this.state;
    this.state = 'closed';
    this.owner = null;
    if (state === 'closed') return;
    const giveUp = () => this.#abort.abort();
    const timer = setTimeout(giveUp, FAREWELL_LIMIT);
    if (state === 'opening') return;
    this.#posting
      .then(() => this.#request('POST', '1'))
      .catch(() => {})
      .then(() => clearTimeout(timer))
      .then(giveUp);
  }

  /** The session began after we had gone: the server need not wait until it times out. */
  #leaveUnopened(payload) {
    const sid = /^0.*"sid":"([^"]+)"/.exec(payload);
    if (!sid || this.sid) return;
    this.sid = sid[1];
    this.#request('POST', '1').catch(() => {});
  }
}
