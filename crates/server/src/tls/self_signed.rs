//! A certificate for development, made at start and never written down.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is valid: a server that runs longer is not under development.
const VALID: u32 = 90;

/// A certificate for the names of this machine, with its key (P-256).
///
/// # Errors
/// A system that gives no randomness.
pub(super) fn make(provider: &CryptoProvider) -> io::Result<CertifiedKey> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = rcgen::date_time_ymd(1970, 1, 1) + since.unwrap_or_default();
    // Clocks differ.
    params.not_before = now - DAY;
    params.not_after = now + DAY * VALID;
    let name = "fanwire, self-signed";
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::from_der(vec![certificate.der().clone()], key, provider).map_err(io::Error::other)
}

/// The SHA-256 of its certificate, as `AB:CD:…`.
pub(super) fn fingerprint(pair: &CertifiedKey) -> String {
    let mut out = String::new();
    let certificate = pair.cert.first().map_or(&[][..], |first| first.as_ref());
    for (at, byte) in Sha256::digest(certificate).iter().enumerate() {
        let colon = if at > 0 { ":" } else { "" };
        let _ = write!(out, "{colon}{byte:02X}");
    }
    out
}
