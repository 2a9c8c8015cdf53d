//! TLS for the raw clients: which addresses speak it, and the client's side.
//!
//! Tests hand addresses around; so it is an address that says whether its
//! connections begin with a handshake.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

static SECURED: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

/// While it lasts, connections of the raw clients to its address speak TLS.
#[derive(Debug)]
pub struct Secured(SocketAddr);

impl Secured {
    /// From now on.
    pub fn new(addr: SocketAddr) -> Self {
        let mut all = SECURED.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().insert(addr);
        Self(addr)
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let mut all = SECURED.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().remove(&self.0);
    }
}

/// Whether an address speaks TLS.
pub fn is_secured(addr: SocketAddr) -> bool {
    let all = SECURED.lock().unwrap_or_else(PoisonError::into_inner);
    all.as_ref().is_some_and(|all| all.contains(&addr))
}

/// The client's side of a handshake that offers these protocols.
///
/// # Errors
/// As the handshake's.
pub async fn shake(tcp: TcpStream, offers: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
    shake_as(tcp, config(offers, rustls::DEFAULT_VERSIONS)).await
}

/// The same, by these settings.
///
/// # Errors
/// As the handshake's.
pub async fn shake_as(
    tcp: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, tcp).await
}

/// A client that takes any certificate, and remembers sessions.
///
/// # Panics
/// Where the provider knows none of the versions.
pub fn config(
    offers: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = match builder.with_protocol_versions(versions) {
        Ok(builder) => builder,
        Err(error) => panic!("{error}"),
    };
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    Arc::new(config)
}

/// Believes every certificate; but its key must be the one that signs.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
