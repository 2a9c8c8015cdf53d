//! A text that no log, error or debug output shows.

use std::fmt;

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
