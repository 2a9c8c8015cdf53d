//! Asking the door.

use std::io;

use fanwire_core::clock::Clock as _;
use fanwire_core::error::Refusal;
use fanwire_core::key::Key;
use fanwire_core::message::Keys;
use fanwire_core::policy::{Door, Subject, Verb};

use crate::auth::{Auth, Fetching, Now};
use crate::clock::SystemClock;
use crate::config::Config;

/// What a server of this configuration would say of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It lets its bearer in.
    Taken(Taken),
    /// It does not.
    Refused {
        /// The code of the refusal: `unauthorized`, `token_expired`, `unavailable`.
        code: &'static str,
        /// What its bearer would be told.
        why: String,
    },
}

/// Whom it lets in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Who: `sub`.
    pub sub: String,
    /// By whom: `iss`.
    pub iss: Option<String>,
    /// What may be done on the channels asked about.
    pub asked: Vec<Asked>,
}

/// What may be done on one channel; a refusal where it may not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The channel, as it was written.
    pub channel: String,
    /// Listen, live.
    pub subscribe: Result<(), String>,
    /// Listen, and read what was.
    pub history: Result<(), String>,
    /// Publish.
    pub publish: Result<(), String>,
}

/// Asks the door of a server with this configuration for the bearer of `token`,
/// now. Fetches published keys where the token's issuer has any, as the server
/// would. What was revoked on a running server is not known here.
///
/// # Errors
/// A file of a public key that cannot be read; a channel that cannot be named.
pub async fn judge(config: &Config, token: &str, channels: &[String]) -> io::Result<Verdict> {
    let clock = SystemClock::new();
    let keys = channels.iter().map(|channel| {
        let key = Key::parse(channel.as_bytes());
        key.map_err(|why| io::Error::other(format!("{channel:?}: {why}")))
    });
    let keys = keys.collect::<io::Result<Vec<Key>>>()?;
    let auth = Auth::new(config)?;
    let mut fetching = Fetching::default();
    auth.fetch(&mut fetching);
    let now = Now {
        wall_ms: clock.wall_ms(),
        hub: clock.now(),
    };
    let subject = auth.bearer(token, now).await;
    drop(fetching);
    let subject = match subject {
        Ok(subject) => subject,
        Err(refusal) => {
            return Ok(Verdict::Refused {
                code: refusal.code.as_str(),
                why: refusal.detail,
            });
        }
    };
    let door = Door::new(config.to_core().namespaces);
    let may = |verb, key: &Key| {
        let permit = door.admit(subject.clone(), verb, Keys::from_iter([key.clone()]));
        permit.map(drop).map_err(|refusal: Refusal| refusal.detail)
    };
    let asked = channels.iter().zip(&keys).map(|(channel, key)| Asked {
        channel: channel.clone(),
        subscribe: may(Verb::Subscribe, key),
        history: may(Verb::Read, key),
        publish: may(Verb::Publish, key),
    });
    Ok(Verdict::Taken(Taken {
        asked: asked.collect(),
        sub: subject
            .identity()
            .map(|id| id.to_string())
            .unwrap_or_default(),
        iss: match &subject {
            Subject::User(user) => user.issuer.as_deref().map(str::to_owned),
            Subject::Anonymous(_) | Subject::Key(_) => None,
        },
    }))
}
