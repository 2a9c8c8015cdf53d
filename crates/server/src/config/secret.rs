//! A text that no log, error or debug output shows.

use std::fmt;

/// Begins an API key that is given by its hash.
pub(crate) const HASHED: &str = "sha256:";

/// A secret. `Debug` and `Display` print `***`; only [`Secret::expose`] gives
/// the text. `==` is not constant in time: it compares configurations, never a
/// request with a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Longest secret, in bytes.
    pub const MAX: usize = 512;

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the comparison at the door.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The SHA-256 that stands for an API key, where it is written `sha256:HEX`. No
    /// key can be sent that reads so: it has no colon.
    pub(crate) fn hash(&self) -> Option<[u8; 32]> {
        let hex = self.0.strip_prefix(HASHED)?.as_bytes();
        let mut hash = [0; 32];
        if hex.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |c: u8| {
                char::from(c)
                    .to_digit(16)
                    .and_then(|n| u8::try_from(n).ok())
            };
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(hash)
    }

    /// Why this can be no API key, if it can't.
    pub fn api_key_fault(&self) -> Option<&'static str> {
        match self.0.starts_with(HASHED) {
            true if self.hash().is_none() => {
                Some("behind sha256: stand 64 hexadecimal digits (fanwire token key api)")
            }
            true => None,
            false => self.fault(),
        }
    }

    /// Why the text cannot be sent as `Authorization: Bearer` (the token68 of
    /// RFC 9110, 11.2), if it can't.
    pub fn fault(&self) -> Option<&'static str> {
        let body = self.0.trim_end_matches('=');
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        if self.0.is_empty() {
            Some("the secret is empty")
        } else if self.0.len() > Self::MAX {
            Some("a secret has at most 512 bytes")
        } else if body.is_empty() || !body.bytes().all(legal) {
            Some("a secret is made of A-Z a-z 0-9 - . _ ~ + / and may end in =")
        } else {
            None
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
