//! New keys.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData as _,
};

use crate::auth::hash;

/// Bytes of randomness in a secret: as many as the longest hash of its kind has
/// (RFC 7518, 3.2), and in 86 characters.
const SECRET: usize = 64;
/// Bytes of randomness in an API key.
const API_KEY: usize = 32;

/// A kind of key pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Ed25519, for EdDSA.
    Ed25519,
    /// P-256, for ES256.
    P256,
    /// P-384, for ES384.
    P384,
    /// RSA of 3,072 bits, for RS256 to RS512 and PS256 to PS512.
    Rsa,
}

/// A key pair, both in PEM.
pub struct KeyPair {
    /// PKCS #8: for whoever makes tokens.
    pub private: String,
    /// SubjectPublicKeyInfo: for the server (`issuers.NAME.public_keys`).
    pub public: String,
}

impl KeyPair {
    /// A new one.
    ///
    /// # Errors
    /// A system that gives no randomness.
    pub fn new(kind: Kind) -> io::Result<Self> {
        let made = match kind {
            Kind::Ed25519 => rcgen::KeyPair::generate_for(&PKCS_ED25519),
            Kind::P256 => rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Kind::P384 => rcgen::KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Kind::Rsa => {
                rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_3072)
            }
        };
        let made = made.map_err(io::Error::other)?;
        Ok(Self {
            private: pem("PRIVATE KEY", &plain(made.serialized_der())),
            public: pem("PUBLIC KEY", &made.subject_public_key_info()),
        })
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// A new secret for tokens (HS256, HS384, HS512).
///
/// # Errors
/// A system that gives no randomness.
pub fn secret() -> io::Result<String> {
    random::<SECRET>()
}

/// A new API key.
///
/// # Errors
/// A system that gives no randomness.
pub fn api_key() -> io::Result<String> {
    random::<API_KEY>()
}

/// An API key as the configuration may hold it: `sha256:HEX`.
pub fn hashed(secret: &str) -> String {
    let mut text = crate::config::HASHED.to_owned();
    for byte in hash(secret.as_bytes()) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// An Ed25519 key without its public half, as RFC 8410 (section 7) writes it and
/// every tool reads it; other keys as they are.
fn plain(der: &[u8]) -> Vec<u8> {
    // Version 0, the algorithm 1.3.101.112, an octet string in an octet string.
    const HEAD: &[u8] = &[
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let (_, named) = HEAD.split_at(5);
    let found = der.windows(named.len()).position(|part| part == named);
    let key = found.and_then(|at| der.get(at + named.len()..at + named.len() + 32));
    key.map_or_else(|| der.to_vec(), |key| [HEAD, key].concat())
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = next;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn random<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
