//! TLS (RFC 8446, RFC 5246) in front of everything else: who the server is, and
//! one handshake per connection, within bounds. Behind it a connection is what
//! it is on plain TCP, only that its own task writes.

mod carrier;
mod pair;
mod self_signed;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Acceptor, ServerSessionMemoryCache};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use self::carrier::Carrier;
use self::pair::{Files, Pair};
use crate::app::{Agreed, App, Peer};
use crate::config::Config;
use crate::http::connection;
use crate::metrics::Shaken;
use crate::refused::{Via, Who};
use crate::shutdown::Stage;
use crate::transport::{Stream, linger};

/// Bytes that a connection holds unencrypted, or encrypted and unsent: what is
/// beyond stays in the outbox, where it is counted.
const BUFFER: usize = 16 * 1024;

/// Sessions remembered for clients that take no tickets. All others carry their
/// session themselves, in a ticket that only this process can open.
const SESSIONS: usize = 1024;

/// A server's TLS.
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    pair: Arc<Pair>,
    files: Option<Files>,
    every: Duration,
    slots: Semaphore,
    time: Duration,
}

impl Tls {
    /// By the settings under `[tls]`; none where they name no certificate.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong together, in a sentence; a
    /// system that gives no randomness.
    pub(crate) fn new(config: &Config) -> io::Result<Option<Arc<Self>>> {
        let settings = &config.tls;
        if !config.has_tls() {
            return Ok(None);
        }
        // Said explicitly: which provider is the process's is not ours to choose.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (pair, files) = match settings.self_signed {
            true => (self_signed::make(&provider)?, None),
            false => {
                let files = Files::new(&settings.cert, &settings.key);
                (files.load(&provider)?, Some(files))
            }
        };
        let pair = Arc::new(Pair::new(pair));
        Ok(Some(Arc::new(Self {
            config: server_config(provider, &settings.min_version, pair.clone())?,
            pair,
            files,
            every: settings.reload_interval,
            slots: Semaphore::new(settings.handshakes),
            time: settings.handshake_timeout,
        })))
    }

    /// The SHA-256 of the certificate that was made at start; none for one of a file.
    pub(crate) fn self_signed(&self) -> Option<String> {
        let made = self.files.is_none().then(|| self.pair.now());
        made.map(|key| self_signed::fingerprint(&key))
    }

    /// Looks after the files in a task of its own.
    pub(crate) fn watch(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let files = self.files.clone()?;
        let (pair, every) = (self.pair.clone(), self.every);
        let provider = self.config.crypto_provider().clone();
        Some(tokio::spawn(files.watch(pair, provider, every)))
    }

    /// A handshake on `stream`, of which `read` has come. The error has what is
    /// left of the stream where the peer was told why.
    async fn shake(&self, stream: Stream, read: Bytes) -> Result<Secured, (io::Error, Lost)> {
        let mut hello = LazyConfigAcceptor::new(Acceptor::default(), Carrier::new(stream, read));
        let shaken = timeout(self.time, async {
            // Whoever drips its first message holds no slot meanwhile.
            let start = match (&mut hello).await {
                Ok(start) => start,
                Err(error) => return Err((error, hello.take_io())),
            };
            let Ok(_slot) = self.slots.acquire().await else {
                return Err((io::ErrorKind::Other.into(), None));
            };
            let accept = start.into_stream(self.config.clone()).into_fallible();
            accept
                .await
                .map_err(|(error, carrier)| (error, Some(carrier)))
        });
        match shaken.await {
            Ok(Ok(mut stream)) => {
                let (_, session) = stream.get_mut();
                session.set_buffer_limit(Some(BUFFER));
                let agreed = match session.alpn_protocol() {
                    Some(b"h2") => Agreed::Http2,
                    Some(_) => Agreed::Http1,
                    None => Agreed::Nothing,
                };
                Ok((Stream::Other(Box::pin(stream)), agreed))
            }
            Ok(Err((error, carrier))) => Err((error, carrier.map(Carrier::into_stream))),
            Err(_) => Err((io::ErrorKind::TimedOut.into(), None)),
        }
    }
}

type Secured = (Stream, Agreed);
type Lost = Option<Stream>;

/// Takes a connection on from where it was accepted; its handshake has a task of
/// its own. `read` has come already.
pub(crate) fn start(app: Arc<App>, tls: Arc<Tls>, peer: Peer, stream: Stream, read: Bytes) {
    tokio::spawn(async move {
        let shaken = tokio::select! {
            biased;
            () = app.reached(Stage::Closing) => return,
            shaken = tls.shake(stream, read) => shaken,
        };
        match shaken {
            Ok((stream, agreed)) => {
                app.metrics.shakes();
                let peer = Arc::new(peer.speaks(agreed));
                connection::start(app, peer, stream, Bytes::new());
            }
            Err((error, lost)) => {
                tracing::debug!(peer = %peer.address, %error, "no TLS handshake");
                let who = Who::new(peer.address, Via::Tls);
                let (code, shaken, sentence) = match error.kind() {
                    io::ErrorKind::TimedOut => (
                        Code::RequestTimeout,
                        Shaken::TimedOut,
                        "the handshake of TLS took too long",
                    ),
                    _ => (
                        Code::BadRequest,
                        Shaken::Failed,
                        "the handshake of TLS failed",
                    ),
                };
                let refusal = Refusal::new(code, sentence);
                let told = who.tell(app.on_refused.as_ref(), &refusal);
                app.metrics.shakes_not(shaken, told);
                if let Some(stream) = lost {
                    linger(stream, app.config.ws.close_wait).await;
                }
            }
        }
    });
}

fn server_config(
    provider: Arc<CryptoProvider>,
    min_version: &str,
    pair: Arc<Pair>,
) -> io::Result<Arc<ServerConfig>> {
    let versions: &[_] = match min_version {
        "1.3" => &[&rustls::version::TLS13],
        _ => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(pair);
    // All suites are good ones, so who chooses matters little; scanners want the
    // server to.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // When a node restarts, everyone comes back at once: a ticket spares most of
    // the work.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(io::Error::other)?;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    // What is sent early can be sent again by anyone who saw it: never.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
