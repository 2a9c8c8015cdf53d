//! Tokens of our own making: JSON Web Tokens by HS256 (RFC 7515, RFC 2104), so
//! that the server's reading is checked against another writing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanwire::Config;
use fanwire::config::{Secret, TokenIssuer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::base64;

/// The secret that [`configure`] sets.
pub const SECRET: &str = "not-so-secret-0123456789abcdefghij";

/// Takes tokens by [`SECRET`], to the second.
pub fn configure(config: &mut Config) {
    let issuer = TokenIssuer {
        secret: Some(Secret::new(SECRET)),
        leeway: Duration::ZERO,
        ..TokenIssuer::default()
    };
    config.issuers.by_name.insert("us".into(), issuer);
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A token of `sub` that ends in so many seconds and grants this.
pub fn of(sub: &str, seconds: u64, granted: Value) -> String {
    signed(
        SECRET.as_bytes(),
        &json!({"sub": sub, "iat": now(), "exp": now() + seconds, "fanwire": granted}),
    )
}

/// A token of these claims.
pub fn signed(secret: &[u8], claims: &Value) -> String {
    let head = json!({"alg": "HS256", "typ": "JWT"});
    let text = format!("{}.{}", part(&head), part(claims));
    let signature = url(&hmac(secret, text.as_bytes()));
    format!("{text}.{signature}")
}

/// As the value of `Authorization`.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn part(value: &Value) -> String {
    url(value.to_string().as_bytes())
}

/// Base64url without padding.
fn url(bytes: &[u8]) -> String {
    let text = base64::encode(bytes).replace('+', "-").replace('/', "_");
    text.trim_end_matches('=').to_owned()
}

/// HMAC-SHA-256 with a secret of at most 64 bytes.
fn hmac(secret: &[u8], text: &[u8]) -> [u8; 32] {
    let mut key = [0; 64];
    key[..secret.len()].copy_from_slice(secret);
    let inner = Sha256::digest([&key.map(|byte| byte ^ 0x36)[..], text].concat());
    Sha256::digest([&key.map(|byte| byte ^ 0x5c)[..], &inner].concat()).into()
}
