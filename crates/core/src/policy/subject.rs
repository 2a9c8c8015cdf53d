//! Who asks.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Grants;
use crate::clock::Instant;
use crate::key::Key;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Nobody in particular; told apart by the peer's address only.
    Anonymous(IpAddr),
    /// The holder of the API key of this name.
    Key(Arc<str>),
    /// The bearer of a verified token.
    User(Arc<User>),
}

/// What a verified token says of its bearer.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Who: `sub`, 1 to 255 bytes. The same id from two issuers is two users.
    pub id: Arc<str>,
    /// Who says so: `iss`.
    pub issuer: Option<Arc<str>>,
    /// The token's own id: `jti`.
    pub token: Option<Arc<str>>,
    /// When it was made: `iat`, in ms since 1970.
    pub issued_ms: Option<u64>,
    /// When what it opened ends: `exp` with the leeway, on the hub's clock, which
    /// does not jump when somebody sets the wall clock.
    pub expires: Option<Instant>,
    /// What its claims grant.
    pub grants: Grants,
    /// Rooms of Socket.IO that it is put into, each in its namespace.
    pub rooms: Box<[Key]>,
}

impl Subject {
    /// The scope of idempotency keys: nobody else shares it.
    pub fn publisher(&self) -> String {
        match self {
            Self::Anonymous(address) => format!("ip:{address}"),
            Self::Key(name) => format!("key:{name}"),
            Self::User(user) => {
                let issuer = user.issuer.as_deref().unwrap_or_default();
                // The length tells issuer and id apart wherever a colon stands.
                format!("user:{}:{issuer}:{}", issuer.len(), user.id)
            }
        }
    }

    /// True where both are the same holder of rights, be it by two tokens of one
    /// user.
    pub(super) fn is_holder(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User(one), Self::User(two)) => one.id == two.id && one.issuer == two.issuer,
            (one, two) => one == two,
        }
    }

    /// The verified identity, shown to others as `from`.
    pub fn identity(&self) -> Option<Arc<str>> {
        match self {
            Self::Anonymous(_) => None,
            Self::Key(name) => Some(name.clone()),
            Self::User(user) => Some(user.id.clone()),
        }
    }

    /// The bearer of a token, where it is one.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::User(user) => Some(user),
            Self::Anonymous(_) | Self::Key(_) => None,
        }
    }
}

/// Names the user; grants are long, and nobody's business in a log.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(issuer: &str, id: &str) -> Subject {
        Subject::User(Arc::new(User {
            id: id.into(),
            issuer: Some(issuer.into()),
            ..User::default()
        }))
    }

    #[test]
    fn a10_the_same_id_of_two_issuers_is_two_publishers() {
        assert_ne!(user("a", "x").publisher(), user("b", "x").publisher());
        assert_ne!(user("a:b", "c").publisher(), user("a", "b:c").publisher());
        assert_ne!(
            user("", "x").publisher(),
            Subject::Key("x".into()).publisher()
        );
    }
}
