//! What a token says, strict in type: a claim of another type is never taken
//! for one that is missing (RFC 7519, section 4.1).

use std::sync::Arc;

use fanwire_core::clock::Instant;
use fanwire_core::key::Key;
use fanwire_core::policy::{Grants, Right, Rights, User};
use serde::de::{Deserialize, Deserializer, Error as _};

/// Bytes of `sub`, `iss` and `jti`, each.
const MAX_TEXT: usize = 255;

/// Rooms of one token.
const MAX_ROOMS: usize = 128;

/// The claims that matter here; others are left alone.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(crate) struct Claims {
    #[serde(deserialize_with = "text")]
    pub(crate) sub: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) iss: Option<String>,
    #[serde(deserialize_with = "audience")]
    pub(crate) aud: Option<Vec<String>>,
    #[serde(deserialize_with = "seconds")]
    pub(crate) exp: Option<u64>,
    #[serde(deserialize_with = "seconds")]
    pub(crate) nbf: Option<u64>,
    #[serde(deserialize_with = "seconds")]
    pub(crate) iat: Option<u64>,
    #[serde(deserialize_with = "text")]
    pub(crate) jti: Option<String>,
    #[serde(deserialize_with = "granted")]
    pub(crate) fanwire: Given,
}

/// What the claim `fanwire` comes to.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) grants: Grants,
    pub(crate) rooms: Box<[Key]>,
}

/// The claim `fanwire`: for each right, patterns of channels.
#[derive(serde::Deserialize)]
struct Granted {
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    /// Left out: as `subscribe`, so that who may listen can come back.
    history: Option<Vec<String>>,
    #[serde(default)]
    presence: Vec<String>,
    #[serde(default)]
    call: Vec<String>,
    /// Rooms that a Socket.IO client is put into when it connects.
    #[serde(default)]
    rooms: Vec<String>,
}

impl Claims {
    /// The user, once everything else was found right.
    pub(crate) fn into_user(self, id: String, expires: Option<Instant>) -> User {
        User {
            id: id.into(),
            issuer: self.iss.map(Arc::from),
            token: self.jti.map(Arc::from),
            issued_ms: self.iat.and_then(|s| s.checked_mul(1000)),
            expires,
            grants: self.fanwire.grants,
            rooms: self.fanwire.rooms,
        }
    }
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(D::Error::custom(
            "1 to 255 bytes without control characters",
        ));
    }
    Ok(Some(text))
}

/// Whole seconds since 1970 that still fit when they are milliseconds.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let seconds = u64::deserialize(from)?;
    match seconds.checked_mul(1000) {
        Some(_) => Ok(Some(seconds)),
        None => Err(D::Error::custom("not a time")),
    }
}

fn audience<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match Audience::deserialize(from)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    }))
}

fn granted<'de, D: Deserializer<'de>>(from: D) -> Result<Given, D::Error> {
    let granted = Granted::deserialize(from)?;
    let history = granted.history.as_ref().unwrap_or(&granted.subscribe);
    let mut grants = Grants::none();
    for (right, patterns) in [
        (Right::Publish, &granted.publish),
        (Right::Subscribe, &granted.subscribe),
        (Right::History, history),
        (Right::Presence, &granted.presence),
        (Right::Call, &granted.call),
    ] {
        for pattern in patterns {
            grants
                .grant(Rights::NONE.and(right), pattern)
                .map_err(D::Error::custom)?;
        }
    }
    if granted.rooms.len() > MAX_ROOMS {
        return Err(D::Error::custom("more than 128 rooms"));
    }
    let rooms = granted.rooms.iter().map(|room| {
        match Key::parse(room.as_bytes()).map_err(D::Error::custom)? {
            room @ Key::Channel(..) => Ok(room),
            _ => Err(D::Error::custom("a room is a channel")),
        }
    });
    let rooms = rooms.collect::<Result<_, _>>()?;
    Ok(Given { grants, rooms })
}
