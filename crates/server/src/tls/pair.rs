//! Certificate and key: read from their files, and again when those change.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Bytes of a file, at most: a long chain has ten thousand.
const MAX_FILE: u64 = 1024 * 1024;

/// The certificate in force, with its key.
#[derive(Debug)]
pub(super) struct Pair(RwLock<Arc<CertifiedKey>>);

impl Pair {
    pub(super) fn new(pair: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(pair)))
    }

    pub(super) fn now(&self) -> Arc<CertifiedKey> {
        self.0.read().clone()
    }

    fn put(&self, pair: CertifiedKey) {
        *self.0.write() = Arc::new(pair);
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What tells one state of a file from another.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Files {
    pub(super) fn new(cert: &str, key: &str) -> Self {
        let (cert, key) = (cert.into(), key.into());
        Self { cert, key }
    }

    /// Reads both.
    ///
    /// # Errors
    /// In a sentence with the file's name: it cannot be read, holds no such
    /// thing, or the key is another certificate's.
    pub(super) fn load(&self, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
        let (text, _) = read(&self.cert, "tls.cert")?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| bad(&self.cert, "tls.cert", &error))?;
        if chain.is_empty() {
            return Err(bad(&self.cert, "tls.cert", &"holds no certificate in PEM"));
        }
        let (text, about) = read(&self.key, "tls.key")?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            // What is wrong with it is said without a word of it.
            .map_err(|_| bad(&self.key, "tls.key", &"holds no private key in PEM"))?;
        if about.permissions().mode() & 0o004 != 0 {
            tracing::warn!(
                file = %self.key.display(),
                "every user of this machine can read the private key; chmod o-r"
            );
        }
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let what = format!(
                    "is not the key of the certificate in {}",
                    self.cert.display()
                );
                bad(&self.key, "tls.key", &what)
            }
            // A key of a kind that is unknown, or a certificate that is none.
            error => bad(&self.key, "tls.key", &error),
        })
    }

    fn stamps(&self) -> [Stamp; 2] {
        let stamp = |path: &Path| {
            let about = fs::metadata(path).ok()?;
            let changed = (about.mtime(), about.mtime_nsec());
            Some((about.ino(), about.size(), changed.0, changed.1))
        };
        [stamp(&self.cert), stamp(&self.key)]
    }

    /// Puts what the files hold in force whenever they have changed. What is not
    /// good changes nothing, and is said once.
    pub(super) async fn watch(
        self,
        pair: Arc<Pair>,
        provider: Arc<CryptoProvider>,
        every: Duration,
    ) {
        let mut known = None;
        loop {
            let look = {
                let (files, provider, known) = (self.clone(), provider.clone(), known);
                move || {
                    // Before reading: whatever changes meanwhile is seen next time.
                    let stamps = files.stamps();
                    let changed = known.is_some_and(|known| known != stamps);
                    (stamps, changed.then(|| files.load(&provider)))
                }
            };
            // Files may be on a disk that is slow.
            let Ok((stamps, loaded)) = tokio::task::spawn_blocking(look).await else {
                return;
            };
            known = Some(stamps);
            match loaded {
                Some(Ok(good)) => {
                    pair.put(good);
                    tracing::info!(file = %self.cert.display(), "certificate read again");
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the certificate stays as it was");
                }
                None => {}
            }
            tokio::time::sleep(every).await;
        }
    }
}

fn read(path: &Path, setting: &str) -> io::Result<(Vec<u8>, Metadata)> {
    use io::Read as _;
    let mut text = Vec::new();
    let read = fs::File::open(path).and_then(|file| {
        let about = file.metadata()?;
        file.take(MAX_FILE).read_to_end(&mut text)?;
        Ok(about)
    });
    match read {
        Ok(about) => Ok((text, about)),
        Err(error) => Err(bad(path, setting, &error)),
    }
}

fn bad(path: &Path, setting: &str, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{setting}: {}: {why}", path.display()))
}
