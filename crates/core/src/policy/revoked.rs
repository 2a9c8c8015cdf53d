//! Whom the door lets in no more, although their tokens are still valid.

use std::sync::Arc;

use hashbrown::HashMap;

use super::User;

/// Entries, at most. At the limit a revocation is refused rather than another
/// forgotten.
pub const MAX_REVOKED: usize = 100_000;

/// What is revoked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Revoke {
    /// One token, by its `jti`.
    Token(Arc<str>),
    /// Every token of a user that was made up to now, or does not say when.
    User {
        /// Whose: `iss`; none is a token without one.
        issuer: Option<Arc<str>>,
        /// `sub`.
        id: Arc<str>,
    },
}

/// Why a revocation was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The list. An entry is forgotten once every token that it stops has expired.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    /// Stopped: what was issued up to `at`; forgotten at `until`. In ms.
    entries: HashMap<Revoke, (u64, u64), foldhash::fast::RandomState>,
}

impl Revoked {
    /// Adds an entry of `now` that is kept until `until` (ms since 1970).
    pub(super) fn add(&mut self, what: Revoke, now: u64, until: u64) -> Result<(), Full> {
        if self.entries.len() >= MAX_REVOKED && !self.entries.contains_key(&what) {
            self.entries.retain(|_, (_, until)| *until > now);
            if self.entries.len() >= MAX_REVOKED {
                return Err(Full);
            }
        }
        let entry = self.entries.entry(what).or_insert((now, until));
        *entry = (entry.0.max(now), entry.1.max(until));
        Ok(())
    }

    /// Takes an entry back; true where there was one.
    pub(super) fn remove(&mut self, what: &Revoke) -> bool {
        self.entries.remove(what).is_some()
    }

    /// Whether this user's token is stopped.
    pub(super) fn stops(&self, user: &User) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let by_token = user.token.as_ref().map(|id| Revoke::Token(id.clone()));
        let by_user = Revoke::User {
            issuer: user.issuer.clone(),
            id: user.id.clone(),
        };
        by_token.is_some_and(|what| self.entries.contains_key(&what))
            || self
                .entries
                .get(&by_user)
                .is_some_and(|(at, _)| user.issued_ms.is_none_or(|issued| issued <= *at))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn user(id: &str, token: Option<&str>, issued_ms: Option<u64>) -> User {
        User {
            id: id.into(),
            token: token.map(Arc::from),
            issued_ms,
            ..User::default()
        }
    }

    #[test]
    fn a_revoked_token_stops_and_its_users_others_do_not() {
        let mut revoked = Revoked::default();
        revoked.add(Revoke::Token("t1".into()), 10, 20).unwrap();
        assert!(revoked.stops(&user("a", Some("t1"), None)));
        assert!(!revoked.stops(&user("a", Some("t2"), None)));
        assert!(!revoked.stops(&user("a", None, None)));
        assert!(revoked.remove(&Revoke::Token("t1".into())));
        assert!(!revoked.stops(&user("a", Some("t1"), None)));
    }

    #[test]
    fn a_revoked_user_may_come_back_with_a_later_token() {
        let mut revoked = Revoked::default();
        let what = Revoke::User {
            issuer: None,
            id: "a".into(),
        };
        revoked.add(what, 1000, 9000).unwrap();
        assert!(revoked.stops(&user("a", None, Some(1000))));
        assert!(revoked.stops(&user("a", None, None)));
        assert!(!revoked.stops(&user("a", None, Some(1001))));
        assert!(!revoked.stops(&user("b", None, None)));
    }

    #[test]
    fn at_the_limit_expired_entries_go_and_living_ones_stay() {
        let mut revoked = Revoked::default();
        for n in 0..MAX_REVOKED {
            let until = if n == 0 { 5 } else { 100 };
            let what = Revoke::Token(format!("t{n}").into());
            revoked.add(what, 1, until).unwrap();
        }
        assert_eq!(revoked.add(Revoke::Token("x".into()), 4, 100), Err(Full));
        assert_eq!(revoked.add(Revoke::Token("x".into()), 5, 100), Ok(()));
        assert_eq!(revoked.add(Revoke::Token("y".into()), 5, 100), Err(Full));
        assert_eq!(revoked.len(), MAX_REVOKED);
    }
}
