//! API keys: the proofs of backends, sent as `Authorization: Bearer`.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The API keys, hashed: the secrets themselves are not kept.
#[derive(Default)]
pub(super) struct Keys(Vec<(Arc<str>, [u8; 32])>);

impl Keys {
    /// Keys from names and secrets.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let hashed = |(name, secret): (&str, &str)| (Arc::from(name), hash(secret.as_bytes()));
        Self(keys.into_iter().map(hashed).collect())
    }

    /// All keys are compared, each in constant time, so that the answer's time
    /// tells neither which key was near nor how near.
    pub(super) fn find(&self, secret: &[u8]) -> Option<Arc<str>> {
        let given = hash(secret);
        let mut found = None;
        for (name, known) in &self.0 {
            if bool::from(known.ct_eq(&given)) {
                found = Some(name.clone());
            }
        }
        found
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_names_its_holder_and_no_other_text_does() {
        let keys = Keys::new([("alice", "s3cret"), ("bob", "other")]);
        assert_eq!(keys.find(b"s3cret").as_deref(), Some("alice"));
        assert_eq!(keys.find(b"other").as_deref(), Some("bob"));
        for wrong in ["s3cre", "s3crett", "", "S3CRET", "alice"] {
            assert_eq!(keys.find(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn debug_shows_names_and_no_secret() {
        let keys = Keys::new([("alice", "s3cret")]);
        assert_eq!(format!("{keys:?}"), "[\"alice\"]");
    }
}
