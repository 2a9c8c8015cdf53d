//! Keys that tokens are verified with. The key says which algorithms it is for,
//! never the token: so a public key is no HMAC secret whoever says so.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::proven::Proven;
use crate::config::MIN_TOKEN_SECRET;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// Bytes of an uncompressed point of P-521.
const P521: usize = 133;

/// The points of Ed25519 of order 8 and less, in every way of writing them, without
/// the bit of the sign: with one as the key, a signature of zeros fits any text.
const SMALL_ORDER: [[u8; 32]; 7] = [
    ended(0x00, 0x00, 0x00),
    ended(0x01, 0x00, 0x00),
    ended(0xec, 0xff, 0x7f),
    ended(0xed, 0xff, 0x7f),
    ended(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn ended(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

fn is_small_order(key: &DecodingKey) -> bool {
    let Ok(bytes) = key.try_get_as_bytes().map(<[u8; 32]>::try_from) else {
        return false;
    };
    bytes.is_ok_and(|mut bytes| {
        bytes[31] &= 0x7f;
        SMALL_ORDER.contains(&bytes)
    })
}

/// An algorithm that signs tokens (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alg {
    /// One that the library of tokens knows.
    Known(Algorithm),
    /// ECDSA with P-521 and SHA-512, which it does not.
    Es512,
}

impl Alg {
    /// The one of exactly this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "ES512" => Some(Self::Es512),
            name => name.parse().ok().map(Self::Known),
        }
    }
}

/// One key of one issuer.
#[derive(Clone)]
pub(crate) struct TokenKey {
    /// Its name in a token's head; a key without one is tried where the token
    /// names none.
    kid: Option<String>,
    algorithms: Vec<Alg>,
    key: DecodingKey,
    /// What it was seen to have signed.
    proven: Arc<Proven>,
}

impl TokenKey {
    /// A secret for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// Shorter than [`MIN_TOKEN_SECRET`] bytes.
    pub(crate) fn secret(kid: Option<&str>, secret: &[u8]) -> Result<Self, &'static str> {
        if secret.len() < MIN_TOKEN_SECRET {
            return Err("a secret for tokens has at least 32 bytes");
        }
        Ok(Self::new(kid, HMAC, DecodingKey::from_secret(secret)))
    }

    /// A public key in PEM: RSA (2,048 bits and more), P-256, P-384, P-521 or Ed25519.
    ///
    /// # Errors
    /// Anything else, a private key too.
    pub(crate) fn pem(kid: Option<&str>, pem: &[u8]) -> Result<Self, &'static str> {
        let private = b"PRIVATE KEY";
        if pem.windows(private.len()).any(|text| text == private) {
            return Err("this is a private key; the server needs the public one");
        }
        if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            return match is_small_order(&key) {
                true => Err("this key signs everything; make another"),
                false => Ok(Self::new(kid, ED25519, key)),
            };
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            // An uncompressed point: 0x04 and two numbers of the curve's size.
            return match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(65) => Ok(Self::new(kid, P256, key)),
                Ok(97) => Ok(Self::new(kid, P384, key)),
                Ok(P521) => Ok(Self::p521(kid, key)),
                _ => Err("of elliptic curves there are P-256, P-384, P-521 and Ed25519"),
            };
        }
        DecodingKey::from_rsa_pem(pem)
            .map(|key| Self::new(kid, RSA, key))
            .map_err(|_| "not a public key in PEM (RSA, P-256, P-384, P-521 or Ed25519)")
    }

    /// A key of a JWKS; none for what tokens cannot be verified with: keys for
    /// encryption, symmetric ones, curves and algorithms that are not known here.
    pub(crate) fn jwk(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let for_others = |use_: &PublicKeyUse| *use_ != PublicKeyUse::Signature;
        if common.public_key_use.as_ref().is_some_and(for_others) {
            return None;
        }
        let verifies = |all: &Vec<KeyOperations>| all.contains(&KeyOperations::Verify);
        if !common.key_operations.as_ref().is_none_or(verifies) {
            return None;
        }
        let family = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA,
            AlgorithmParameters::EllipticCurve(one) if one.curve == EllipticCurve::P256 => P256,
            AlgorithmParameters::EllipticCurve(one) if one.curve == EllipticCurve::P384 => P384,
            AlgorithmParameters::OctetKeyPair(one) if one.curve == EllipticCurve::Ed25519 => {
                ED25519
            }
            AlgorithmParameters::EllipticCurve(one) if one.curve == EllipticCurve::P521 => {
                // Its algorithm is one that the library has no name for.
                let named = common.key_algorithm;
                let unknown = named.is_none_or(|name| name == KeyAlgorithm::UNKNOWN_ALGORITHM);
                let key = DecodingKey::from_jwk(jwk).ok().filter(|_| unknown)?;
                let whole = key
                    .try_get_as_bytes()
                    .is_ok_and(|point| point.len() == P521);
                return whole.then(|| Self::p521(common.key_id.as_deref(), key));
            }
            // A secret that everybody can fetch is none.
            _ => return None,
        };
        let key = DecodingKey::from_jwk(jwk).ok()?;
        if family == ED25519 && is_small_order(&key) {
            return None;
        }
        let mut made = Self::new(common.key_id.as_deref(), family, key);
        if let Some(only) = common.key_algorithm {
            let only = Alg::Known(only.to_string().parse().ok()?);
            made.algorithms.retain(|algorithm| *algorithm == only);
        }
        (!made.algorithms.is_empty()).then_some(made)
    }

    fn new(kid: Option<&str>, algorithms: &[Algorithm], key: DecodingKey) -> Self {
        Self {
            kid: kid.map(str::to_owned),
            algorithms: algorithms.iter().copied().map(Alg::Known).collect(),
            key,
            proven: Arc::default(),
        }
    }

    fn p521(kid: Option<&str>, key: DecodingKey) -> Self {
        Self {
            kid: kid.map(str::to_owned),
            algorithms: vec![Alg::Es512],
            key,
            proven: Arc::default(),
        }
    }

    /// Its name.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it verifies tokens of this algorithm.
    pub(crate) fn is_for(&self, algorithm: Alg) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature` (base64url) is this key's for `signed`.
    pub(crate) fn verifies(&self, algorithm: Alg, signed: &[u8], signature: &str) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        match algorithm {
            // As quick as remembering it.
            Alg::Known(known) if HMAC.contains(&known) => self.is_by(known, signed, signature),
            Alg::Known(known) => self
                .proven
                .holds(signed, signature, || self.is_by(known, signed, signature)),
            Alg::Es512 => self.proven.holds(signed, signature, || {
                self.verifies_p521(signed, signature).is_some()
            }),
        }
    }

    fn is_by(&self, algorithm: Algorithm, signed: &[u8], signature: &str) -> bool {
        crypto::verify(signature, signed, &self.key, algorithm).unwrap_or(false)
    }

    fn verifies_p521(&self, signed: &[u8], signature: &str) -> Option<()> {
        let point = self.key.try_get_as_bytes().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point);
        key.verify(signed, &signature).ok()
    }
}

/// Shows the name and what it is for, never the key.
impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
