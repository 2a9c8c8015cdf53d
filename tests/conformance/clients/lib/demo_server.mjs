// `fanwire demo` on free ports.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { within } from './suite.mjs';

const START_LIMIT = 20_000;
/** The lines that it prints when it listens. */
const PAGES = /(http:\/\/localhost:\d+)/;
const SOCKET = /(ws:\/\/localhost:\d+)/;

/** One run of it. */
export class DemoServer {
  #binary;
  #child = null;
  #exited = null;
  /** Its last lines, for a failure's detail. */
  serverOutput = [];
  /** Where the pages are. */
  url = '';
  /** Where a WebSocket client of the tutorial looks. */
  wsUrl = '';

  constructor(binary) {
    this.#binary = binary;
  }

  /** Gives `url`. */
  async start() {
    const child = spawn(this.#binary, ['demo', '--port', '0', '--ws-port', '0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        process.removeListener('exit', kill);
        resolve(signal ?? `status ${code}`);
      });
      child.once('error', (error) => resolve(error.message));
    });
    const printed = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.serverOutput.push(line);
          if (this.serverOutput.length > 200) this.serverOutput.shift();
          this.url ||= PAGES.exec(line)?.[1] ?? '';
          this.wsUrl ||= SOCKET.exec(line)?.[1] ?? '';
          if (this.url && this.wsUrl) resolve();
        });
      }
    });
    const died = this.#exited.then((how) => {
      throw new Error(`the demos ended (${how}): ${this.serverOutput.join(' | ')}`);
    });
    await within(START_LIMIT, 'the lines with the addresses', Promise.race([printed, died]));
    return this.url;
  }

  /** Ends it, as Ctrl-C does. */
  async stop() {
    if (this.#child === null) return;
    this.#child.kill('SIGINT');
    await within(START_LIMIT, 'the end of the demos', this.#exited);
  }
}
