//! Who a request comes from: API keys, sent as `Authorization: Bearer`.

use std::net::IpAddr;
use std::sync::Arc;

use fanwire_core::error::{Code, Refusal};
use fanwire_core::policy::Subject;
use http::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The API keys, hashed: the secrets themselves are not kept.
#[derive(Default)]
pub(crate) struct Keys(Vec<(Arc<str>, [u8; 32])>);

impl Keys {
    /// Keys from names and secrets.
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let hashed = |(name, secret): (&str, &str)| (Arc::from(name), hash(secret.as_bytes()));
        Self(keys.into_iter().map(hashed).collect())
    }

    /// Who sent these headers. Without `Authorization` it is nobody in
    /// particular, told apart by `peer`.
    ///
    /// # Errors
    /// `unauthorized` for everything in `Authorization` that is not a known
    /// key: a wrong key is never treated as none.
    pub(crate) fn subject(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Subject, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(Subject::Anonymous(peer));
        };
        let secret = bearer(value.as_bytes()).filter(|_| values.next().is_none());
        secret
            .and_then(|secret| self.find(secret))
            .map(Subject::Key)
            .ok_or_else(|| {
                Refusal::new(
                    Code::Unauthorized,
                    "the key is not known here; send one as 'Authorization: Bearer SECRET'",
                )
            })
    }

    /// All keys are compared, each in constant time, so that the answer's time
    /// tells neither which key was near nor how near.
    fn find(&self, secret: &[u8]) -> Option<Arc<str>> {
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

/// The credentials of the scheme `Bearer`, in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| secret.trim_ascii())
        .filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn subject(values: &[&str]) -> Result<Subject, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        let keys = Keys::new([("alice", "s3cret"), ("bob", "other")]);
        keys.subject(&headers, IpAddr::from([127, 0, 0, 1]))
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_known_key_names_its_holder() {
        assert_eq!(
            subject(&["Bearer s3cret"]),
            Ok(Subject::Key("alice".into()))
        );
        assert_eq!(subject(&["bearer  other"]), Ok(Subject::Key("bob".into())));
    }

    #[test]
    fn a19_a_wrong_key_is_401_never_nobody() {
        for wrong in [
            "Bearer s3cre",
            "Bearer s3crett",
            "Bearer ",
            "Basic s3cret",
            "s3cret",
            "",
        ] {
            assert_eq!(subject(&[wrong]), Err(Code::Unauthorized), "{wrong}");
        }
        let two = ["Bearer s3cret", "Bearer s3cret"];
        assert_eq!(subject(&two), Err(Code::Unauthorized));
    }

    #[test]
    fn without_a_key_the_address_tells_who() {
        let address = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(subject(&[]), Ok(Subject::Anonymous(address)));
    }

    #[test]
    fn debug_shows_names_and_no_secret() {
        let keys = Keys::new([("alice", "s3cret")]);
        assert_eq!(format!("{keys:?}"), "[\"alice\"]");
    }
}
