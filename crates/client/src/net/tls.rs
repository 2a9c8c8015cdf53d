//! The client's side of TLS.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::lost;
use crate::error::Error;
use crate::options::Trust;
use crate::session::target::Base;

/// How connections are secured: the settings, and whose certificate it must be.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// For this address; none where it is `http://`. Reads the system's list of
    /// authorities where that is the one that counts.
    ///
    /// # Errors
    /// `Config` for a list that holds no certificate, and a host that can have none.
    pub(crate) fn new(base: &Base, trust: &Trust) -> Result<Option<Self>, Error> {
        if !base.secure {
            return Ok(None);
        }
        let bad = |why: &dyn std::fmt::Display| Error::Config(format!("TLS: {why}"));
        let name = ServerName::try_from(base.host.clone())
            .map_err(|_| bad(&"this host can have no certificate"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|why| bad(&why))?;
        let mut config = match trust {
            Trust::Anyone => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider))),
            trust => builder.with_root_certificates(roots(trust)?),
        }
        .with_no_client_auth();
        // What is written to the stream is HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        Ok(Some(Self { config, name }))
    }

    /// The handshake. The caller bounds the time.
    ///
    /// # Errors
    /// `Untrusted` for a certificate that is not the server's or of nobody who is
    /// trusted, `Connection` for the rest.
    pub(crate) async fn shake(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
        let connector = TlsConnector::from(self.config.clone());
        let shaken = connector.connect(self.name.clone(), tcp).await;
        shaken.map_err(|error| match untrusted(&error) {
            Some(why) => Error::Untrusted(why),
            None => lost(format_args!("TLS: {error}")),
        })
    }
}

fn untrusted(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    match error {
        rustls::Error::InvalidCertificate(why) => Some(why.to_string()),
        _ => None,
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Authorities(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let added = certificate
                    .map_err(|_| ())
                    .and_then(|one| roots.add(one).map_err(|_| ()));
                added.map_err(|()| {
                    Error::Config("the list of authorities is not PEM with certificates".into())
                })?;
            }
            if roots.is_empty() {
                let what = "the list of authorities holds no certificate in PEM";
                return Err(Error::Config(what.into()));
            }
        }
        Trust::System | Trust::Anyone => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let what = "the system has no list of certificate authorities; install ca-certificates, or name a file";
                return Err(Error::Config(what.into()));
            }
        }
    }
    Ok(roots)
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
