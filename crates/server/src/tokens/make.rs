//! Making tokens.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Map, Value, json};

use crate::auth::{Claims, MAX_TOKEN, install};
use crate::config::MIN_TOKEN_SECRET;

/// An algorithm of RFC 7518 or RFC 8037 that the server verifies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alg(pub(super) Algorithm);

/// What tokens are signed with. `Debug` does not show it.
pub struct SigningKey {
    key: EncodingKey,
    /// What it signs; the first where nothing is said.
    algorithms: &'static [Algorithm],
}

/// What a token says.
#[derive(Clone, Debug, Default)]
pub struct Token {
    /// The name of its key; none is named without it.
    pub kid: Option<String>,
    /// Its claims.
    pub claims: Map<String, Value>,
}

impl FromStr for Alg {
    type Err = &'static str;

    /// As in a token's head: `HS256`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = text.to_ascii_uppercase().replace("EDDSA", "EdDSA");
        let known = known.parse::<Algorithm>().map(Self);
        known.map_err(|_| "is none of HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA")
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A secret, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// One that no server takes, because it is shorter than 32 bytes.
    pub fn secret(secret: &[u8]) -> io::Result<Self> {
        if secret.len() < MIN_TOKEN_SECRET {
            return Err(wrong("a secret for tokens has at least 32 bytes"));
        }
        Ok(Self {
            key: EncodingKey::from_secret(secret),
            algorithms: &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        })
    }

    /// A private key in PEM: RSA (2,048 bits and more), or P-256, P-384 or Ed25519
    /// as PKCS #8.
    ///
    /// # Errors
    /// Anything else. The text is not repeated.
    pub fn pem(pem: &[u8]) -> io::Result<Self> {
        install();
        let all: [(
            jsonwebtoken::errors::Result<EncodingKey>,
            &'static [Algorithm],
        ); 4] = [
            (EncodingKey::from_ed_pem(pem), &[Algorithm::EdDSA]),
            (EncodingKey::from_ec_pem(pem), &[Algorithm::ES256]),
            (EncodingKey::from_ec_pem(pem), &[Algorithm::ES384]),
            (
                EncodingKey::from_rsa_pem(pem),
                &[
                    Algorithm::RS256,
                    Algorithm::RS384,
                    Algorithm::RS512,
                    Algorithm::PS256,
                    Algorithm::PS384,
                    Algorithm::PS512,
                ],
            ),
        ];
        for (key, algorithms) in all {
            // A key of another curve is read, too, and only signing tells.
            if let Ok(key) = key
                && crypto::sign(b"", &key, algorithms[0]).is_ok()
            {
                return Ok(Self { key, algorithms });
            }
        }
        Err(wrong(
            "not a private key in PEM (RSA of 2,048 bits and more; P-256, P-384 or Ed25519 as PKCS #8)",
        ))
    }

    /// The algorithm where none is asked for.
    pub fn usual(&self) -> Alg {
        Alg(self.algorithms[0])
    }

    /// Signs a token.
    ///
    /// # Errors
    /// An algorithm that is not this key's; claims that no server would take: of
    /// a wrong type or form, or too long.
    pub fn sign(&self, alg: Alg, token: &Token) -> io::Result<String> {
        install();
        if !self.algorithms.contains(&alg.0) {
            let fits: Vec<String> = self
                .algorithms
                .iter()
                .map(|one| format!("{one:?}"))
                .collect();
            return Err(wrong(&format!(
                "this key does not sign {alg}, but {}",
                fits.join(", ")
            )));
        }
        // By the door's own reading.
        serde_json::from_value::<Claims>(Value::Object(token.claims.clone()))
            .map_err(|why| wrong(&format!("no server would take these claims: {why}")))?;
        let mut head = json!({"alg": alg.to_string(), "typ": "JWT"});
        if let Some(kid) = &token.kid {
            head["kid"] = kid.clone().into();
        }
        let claims = Value::Object(token.claims.clone());
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(head), part(claims));
        let signature = crypto::sign(text.as_bytes(), &self.key, alg.0)
            .map_err(|_| wrong("the key does not sign"))?;
        let token = format!("{text}.{signature}");
        match token.len() > MAX_TOKEN {
            true => Err(wrong(
                "a token has at most 8 KiB; grant less, or by patterns",
            )),
            false => Ok(token),
        }
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}
