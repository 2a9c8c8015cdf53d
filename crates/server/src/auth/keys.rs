//! API keys: the proofs of backends, sent as `Authorization: Bearer`.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::Secret;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// The API keys, hashed: the secrets themselves are not kept.
#[derive(Default)]
pub(super) struct Keys(Vec<(Arc<str>, Hash)>);

impl Keys {
    /// Keys from names and secrets, or the hashes of such.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let hashed = |(name, secret): (&str, &Secret)| {
            let known = secret.hash();
            (
                Arc::from(name),
                known.unwrap_or_else(|| hash(secret.expose().as_bytes())),
            )
        };
        Self(keys.into_iter().map(hashed).collect())
    }

    /// Whose this secret is.
    pub(super) fn find(&self, secret: &[u8]) -> Option<Arc<str>> {
        let given = hash(secret);
        self.find_by(|known| known.ct_eq(&given).into())
    }

    /// All keys are compared, each in constant time, so that the answer's time
    /// tells neither which key was near nor how near.
    fn find_by(&self, mut is_it: impl FnMut(&Hash) -> bool) -> Option<Arc<str>> {
        let mut found = None;
        for (name, known) in &self.0 {
            if is_it(known) {
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

pub(crate) fn hash(secret: &[u8]) -> Hash {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(all: &[(&str, &str)]) -> Keys {
        let all: Vec<_> = all
            .iter()
            .map(|(name, key)| (*name, Secret::new(*key)))
            .collect();
        Keys::new(all.iter().map(|(name, key)| (*name, key)))
    }

    #[test]
    fn a_known_key_names_its_holder_and_no_other_text_does() {
        let keys = keys(&[("alice", "s3cret"), ("bob", "other")]);
        assert_eq!(keys.find(b"s3cret").as_deref(), Some("alice"));
        assert_eq!(keys.find(b"other").as_deref(), Some("bob"));
        for wrong in ["s3cre", "s3crett", "", "S3CRET", "alice"] {
            assert_eq!(keys.find(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a18_a_key_that_is_configured_by_its_hash_opens_and_its_hash_does_not() {
        // SHA-256 of "abc" (FIPS 180-2, B.1).
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for text in [text.to_owned(), text.to_uppercase().replace("SHA", "sha")] {
            let keys = keys(&[("plain", "s3cret"), ("hashed", &text)]);
            assert_eq!(keys.find(b"abc").as_deref(), Some("hashed"));
            assert_eq!(keys.find(b"s3cret").as_deref(), Some("plain"));
            let hex = text.split_once(':').map(|(_, hex)| hex);
            for wrong in [Some(text.as_str()), hex, Some("ABC"), Some("plain")] {
                assert_eq!(wrong.map(|wrong| keys.find(wrong.as_bytes())), Some(None));
            }
        }
    }

    #[test]
    fn a18_every_key_is_compared_whole_whichever_it_is() {
        let names = ["a", "b", "c", "d", "e"];
        let all: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
        let keys = keys(&all);
        // At the front, in the middle, at the end, and none of them.
        for secret in ["a", "c", "e", "x"] {
            let (given, mut compared) = (hash(secret.as_bytes()), Vec::new());
            let found = keys.find_by(|known| {
                compared.push(*known);
                known.ct_eq(&given).into()
            });
            let known: Vec<Hash> = names.iter().map(|name| hash(name.as_bytes())).collect();
            assert_eq!(compared, known, "{secret}");
            assert_eq!(found.as_deref(), names.contains(&secret).then_some(secret));
        }
    }

    #[test]
    fn debug_shows_names_and_no_secret() {
        assert_eq!(format!("{:?}", keys(&[("alice", "s3cret")])), "[\"alice\"]");
    }
}
