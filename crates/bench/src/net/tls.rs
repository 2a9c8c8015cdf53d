//! TLS 1.3 as a client that trusts everyone: what is measured is what the server
//! does, and checking its certificate is not that.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, NamedGroup,
    SignatureScheme,
};

use crate::error::{Error, Result};

/// Makes the sessions of one load.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Asks for one protocol by ALPN. `tickets` of the server are kept for
    /// handshakes to come; with 0 each handshake is a full one.
    pub(crate) fn new(protocol: &str, tickets: usize) -> Result<Tls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let anyone = Anyone(provider.signature_verification_algorithms);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(Error::new)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(anyone))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = match tickets {
            0 => Resumption::disabled(),
            most => Resumption::store(Arc::new(Tickets {
                most,
                kept: Mutex::default(),
            })),
        };
        Ok(Tls {
            config: Arc::new(config),
            name: ServerName::try_from("localhost").map_err(Error::new)?,
        })
    }

    /// A connection of its own.
    pub(crate) fn session(&self) -> Result<Session> {
        let session = ClientConnection::new(self.config.clone(), self.name.clone());
        let mut session = session.map_err(Error::new)?;
        session.set_buffer_limit(None);
        Ok(Session(session))
    }
}

/// One connection's TLS, between its bytes and TCP's.
#[derive(Debug)]
pub(crate) struct Session(ClientConnection);

impl Session {
    /// Takes what TCP brought, and puts what was in it at the front of `plain`,
    /// which must be 32 KiB longer than that. Gives how many bytes.
    ///
    /// # Errors
    /// Bytes that are no TLS; a server that refuses.
    pub(crate) fn open(&mut self, mut raw: &[u8], plain: &mut [u8]) -> Result<usize> {
        let mut len = 0;
        while !raw.is_empty() {
            let took = self.0.read_tls(&mut raw)?;
            let state = self.0.process_new_packets();
            state.map_err(|error| Error::new(error).doing("TLS"))?;
            while let Ok(got @ 1..) = self.0.reader().read(&mut plain[len..]) {
                len += got;
            }
            if took == 0 {
                // After the server's `close_notify`, nothing more counts.
                break;
            }
        }
        Ok(len)
    }

    /// Appends `plain` as TLS carries it, and what the handshake has to say.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.0.writer().write_all(plain)?;
        while self.0.wants_write() {
            self.0.write_tls(out)?;
        }
        Ok(())
    }

    /// Requests may go out.
    pub(crate) fn is_ready(&self) -> bool {
        !self.0.is_handshaking()
    }

    /// A ticket spared most of the handshake.
    pub(crate) fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The tickets of all clients, as if each kept its own: rustls keeps eight for a
/// server, which a thousand clients that come back at once have used up soon.
#[derive(Debug)]
struct Tickets {
    most: usize,
    kept: Mutex<VecDeque<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop_front()
    }
}
