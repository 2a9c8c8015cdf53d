// Clients that do not know the authority of the server's certificate are right to refuse it, and
// one that asks for a version that is gone is refused; neither disturbs anybody.

import { connect } from 'node:tls';
import WebSocket from 'ws';

import { check, equal, Inbox, runTests, tap } from './lib/suite.mjs';

const base = new URL(process.env.FANWIRE_URL);

/** The code of the error that a WebSocket ends with. */
async function refusal(options) {
  const socket = new WebSocket(`wss://${base.host}/c/x`, options);
  const ends = new Inbox();
  socket.on('open', () => ends.push('open'));
  socket.on('error', (error) => ends.push(error.code ?? error.message));
  const end = await ends.next('the end of the handshake');
  socket.terminate();
  return end;
}

/** What a handshake with these options comes to. */
async function handshake(options) {
  const ends = new Inbox();
  const socket = connect({ host: base.hostname, port: base.port, rejectUnauthorized: false, ...options });
  socket.on('secureConnect', () => ends.push([socket.getProtocol(), socket.alpnProtocol]));
  socket.on('error', (error) => ends.push(error.code));
  const end = await ends.next('the end of the handshake');
  socket.destroy();
  return end;
}

const tests = {
  'a certificate of an unknown authority is refused by the client': async () => {
    equal(await refusal({}), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'why');
    equal(await refusal({ rejectUnauthorized: false }), 'open', 'where it does not ask');
  },

  'TLS 1.2 and 1.3 are spoken, and nothing older': async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const both = { minVersion: version, maxVersion: version };
      equal(await handshake({ ...both, ALPNProtocols: ['h2'] }), [version, 'h2'], version);
      equal(await handshake({ ...both, ALPNProtocols: ['http/1.1'] }), [version, 'http/1.1'], version);
    }
    // Without OpenSSL's own scruples, so that it is the server that refuses.
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
    check(/^ERR_SSL_.*_ALERT_/.test(await handshake(old)), 'an alert of the server answers TLS 1.1');
  },

  'a protocol that is not spoken is no protocol at all': async () => {
    equal(await handshake({ ALPNProtocols: ['spdy/3'] }), 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', 'ALPN');
  },
};

const { total } = await runTests(tests, tap('TLS'));
console.log(`1..${total}`);
process.exit(0);
