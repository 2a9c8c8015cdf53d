// What a program needs to talk to a Fanwire server and to the stage around it: `fetch` alone.

import { check, within, WAIT_LIMIT } from './suite.mjs';

/** A channel that no other test uses. */
export function freshChannel(stem) {
  return `${stem}-${Math.random().toString(36).slice(2, 10)}`;
}

/** One server, as seen from outside. */
export class Fanwire {
  /** `base`: the server's URL, through the stage's proxy. `control`: the stage's own URL. */
  constructor(base, control) {
    this.base = base;
    this.control = control;
  }

  /** The URL of a list of channels. */
  url(channels, query = '') {
    return `${this.base}/c/${channels}${query ? `?${query}` : ''}`;
  }

  /** The same for a WebSocket. */
  socketUrl(channels, query = '') {
    return this.url(channels, query).replace('http', 'ws');
  }

  /** A bounded request. */
  request(url, init = {}) {
    return fetch(url, { ...init, signal: init.signal ?? AbortSignal.timeout(WAIT_LIMIT) });
  }

  /** Publishes and gives the answer's JSON; text unless `type` says something else. */
  async publish(channels, body, { type = 'text/plain', query = '', headers = {} } = {}) {
    const response = await this.request(this.url(channels, query), {
      method: 'POST',
      body,
      headers: { 'content-type': type, ...headers },
    });
    const answer = await response.text();
    check(response.ok, `publishing to ${channels}: ${response.status} ${answer}`);
    return JSON.parse(answer);
  }

  /** History or a long poll: `{ messages, cursor }`. */
  async read(channels, query = '') {
    const response = await this.request(this.url(channels, query));
    const answer = await response.text();
    check(response.ok, `reading ${channels}: ${response.status} ${answer}`);
    return JSON.parse(answer);
  }

  async #ask(verb, body = {}) {
    const asked = fetch(`${this.control}/control/${verb}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    const response = await within(WAIT_LIMIT, `the stage's ${verb}`, asked);
    const answer = await response.text();
    check(response.ok, `the stage's ${verb}: ${answer}`);
    return JSON.parse(answer);
  }

  /** Cuts every connection with RST. */
  cut() {
    return this.#ask('cut');
  }

  /**
   * Cuts every connection with RST, refuses new ones, publishes `messages`
   * (`[{ channel, body }]`) past the proxy, and lets connections in again.
   */
  outage(messages) {
    return this.#ask('outage', { messages });
  }

  /**
   * Loses whatever is sent on the connections there are from now on, without a word to either
   * side, and refuses new ones.
   */
  silence() {
    return this.#ask('silence');
  }

  /** Publishes `messages` past the proxy, and lets connections in again. */
  admit(messages = []) {
    return this.#ask('admit', { messages });
  }

  /** Kills the server, starts a new one, publishes `messages` to it, lets connections in. */
  restart(messages = []) {
    return this.#ask('restart', { messages });
  }

  /** How many connections to the server are open: `{ connections }`. */
  connections() {
    return this.#ask('connections');
  }

  /** The first line of the first answer on each connection since the last call. */
  heads() {
    return this.#ask('heads');
  }
}
