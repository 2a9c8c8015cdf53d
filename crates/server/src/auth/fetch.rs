//! One GET, for keys: no redirects, no more than so many bytes, within so much
//! time. Redirects are not followed because whoever can answer with one could
//! send the server anywhere in its own network.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::io::Io;

/// Bytes of an answer's body, at most.
const MAX_BODY: usize = 256 * 1024;

/// Why nothing was fetched.
#[derive(Debug)]
pub(super) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn failed(what: &str) -> impl Fn(&dyn fmt::Display) -> Failed {
    move |why| Failed(format!("{what}: {why}"))
}

/// Fetches `url` within `time`.
///
/// # Errors
/// Everything but a 200 whose body came whole, in time and within [`MAX_BODY`].
pub(super) async fn get(url: &Uri, time: Duration, trust: &Trust) -> Result<Bytes, Failed> {
    match tokio::time::timeout(time, fetch(url, trust)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failed(format!("no answer within {time:?}"))),
    }
}

async fn fetch(url: &Uri, trust: &Trust) -> Result<Bytes, Failed> {
    let host = url.host().ok_or_else(|| Failed("no host".to_owned()))?;
    let host = host.trim_matches(['[', ']']);
    let secure = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|error| failed("cannot connect")(&error))?;
    if !secure {
        return ask(Io(tcp), url).await;
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| failed("not a name for TLS")(&error))?;
    let tls = tokio_rustls::TlsConnector::from(trust.tls().await?)
        .connect(name, tcp)
        .await
        .map_err(|error| failed("TLS")(&error))?;
    ask(Io(tls), url).await
}

async fn ask<T: Read + Write + Unpin + Send + 'static>(io: T, url: &Uri) -> Result<Bytes, Failed> {
    let (mut sender, connection) = http1::handshake(io)
        .await
        .map_err(|error| failed("HTTP")(&error))?;
    // Ends with the sender; what goes wrong in it is heard there.
    let driving = tokio::spawn(connection);
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let target = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(target)
        .header(HOST, authority)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("fanwire/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed("HTTP")(&error))?;
    let answered = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| failed("HTTP")(&error))?;
        if answer.status() != http::StatusCode::OK {
            return Err(Failed(format!("answered {}", answer.status())));
        }
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        body.map(|body| body.to_bytes())
            .map_err(|error| failed("body")(&error))
    };
    let outcome = answered.await;
    driving.abort();
    outcome
}

/// Whom the system trusts (`SSL_CERT_FILE` names another list): its list is read
/// before the first fetch by TLS, and again by a server that is started anew. A
/// list that is empty is read again at the next fetch.
pub(super) struct Trust {
    known: OnceCell<Arc<ClientConfig>>,
    load: fn() -> RootCertStore,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            known: OnceCell::new(),
            load: system,
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

impl Trust {
    /// The settings of a connection.
    async fn tls(&self) -> Result<Arc<ClientConfig>, Failed> {
        let load = self.load;
        let known = self.known.get_or_try_init(|| async move {
            // Some hundred certificates on a disk.
            let roots = tokio::task::spawn_blocking(load).await;
            let roots = roots.map_err(|error| failed("TLS")(&error))?;
            client_tls(roots).map(Arc::new)
        });
        known.await.cloned()
    }
}

fn client_tls(roots: RootCertStore) -> Result<ClientConfig, Failed> {
    if roots.is_empty() {
        let what = "the system has no list of certificate authorities; install ca-certificates";
        return Err(Failed(what.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("TLS")(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn the_systems_list_is_read_once_and_an_empty_one_again() {
        static READ: AtomicUsize = AtomicUsize::new(0);
        fn load() -> RootCertStore {
            let mut roots = RootCertStore::empty();
            // Empty at first.
            if READ.fetch_add(1, Ordering::SeqCst) > 0 {
                let key = rcgen::KeyPair::generate().unwrap();
                let made = rcgen::CertificateParams::default().self_signed(&key);
                roots.add(made.unwrap().der().clone()).unwrap();
            }
            roots
        }
        let trust = Trust {
            known: OnceCell::new(),
            load,
        };
        assert!(trust.tls().await.is_err());
        let (one, other) = tokio::join!(trust.tls(), trust.tls());
        let (one, other, later) = (one.unwrap(), other.unwrap(), trust.tls().await.unwrap());
        assert!(Arc::ptr_eq(&one, &other) && Arc::ptr_eq(&one, &later));
        assert_eq!(READ.load(Ordering::SeqCst), 2);
    }
}
