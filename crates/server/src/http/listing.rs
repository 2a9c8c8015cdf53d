//! `GET /api/connections` and `GET /api/channels`: who is here and what is listened
//! to, a page at a time (`PROTOCOL.md`, section 10).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{Channel, Filter, Place, Present, Within};
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::policy::Subject;
use serde::Serialize;

use super::target::{bad, decode, number, text};
use crate::answer::{Answer, json};
use crate::app::App;

/// Rows of a page that does not say how many.
const ROWS: usize = 100;

/// Rows of a page; more counts as this.
const MAX_ROWS: usize = 1000;

/// Bytes of a filter.
const MAX_VALUE: usize = 512;

#[derive(Serialize)]
struct Connections<'a> {
    connections: Vec<Connection<'a>>,
    /// None: these were the last.
    next: Option<String>,
}

#[derive(Serialize)]
struct Connection<'a> {
    conn: &'a str,
    transport: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// In ms since 1970.
    since: u64,
    channels: Vec<String>,
    channel_count: usize,
    pending: usize,
    behind: bool,
}

#[derive(Serialize)]
struct Channels {
    channels: Vec<Row>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    channel: String,
    subscribers: usize,
    messages: usize,
    bytes: usize,
    last: Option<String>,
}

/// The parameters of a listing, decoded; each stands once.
struct Asked<'a> {
    given: Vec<(&'a str, String)>,
}

/// A page of those who listen on this node.
///
/// # Errors
/// `bad_request`, `invalid_channel`; `unavailable` where it takes too long.
pub(super) async fn connections(app: &Arc<App>, query: &str) -> Result<Answer, Refusal> {
    let known = [
        "user",
        "channel",
        "namespace",
        "transport",
        "limit",
        "after",
    ];
    let mut asked = Asked::read(query, &known)?;
    let (limit, after) = (asked.limit()?, asked.take("after"));
    let place = match after {
        None => Place::default(),
        Some(text) => place(&text).ok_or_else(not_a_place)?,
    };
    let filter = Filter {
        conn: None,
        user: asked.take("user").map(Into::into),
        channel: asked
            .take("channel")
            .map(|name| key(name.as_bytes()))
            .transpose()?,
        namespace: asked.namespace()?,
        transport: asked.take("transport").map(Into::into),
    };
    let time = app.config.limits.operator_wait;
    let page = app.hub.present(filter, place, limit, time).await?;
    let now = app.now().wall_ms;
    let rows = page.rows.iter();
    said(&Connections {
        connections: rows.map(|row| Connection::of(row, now)).collect(),
        next: page
            .next
            .map(|next| format!("{}-{}", next.shard, next.slot)),
    })
}

/// One of them, by its public id.
///
/// # Errors
/// `not_found`; `unavailable` where it takes too long.
pub(super) async fn connection(app: &Arc<App>, conn: &str) -> Result<Answer, Refusal> {
    let sentence = "no such connection listens on this node";
    let unknown = || Refusal::new(Code::NotFound, sentence);
    let conn = decode(conn.as_bytes(), false).ok_or_else(unknown)?;
    let conn = std::str::from_utf8(&conn).map_err(|_| unknown())?;
    let filter = Filter {
        conn: Some(SocketId::new(conn)),
        ..Filter::default()
    };
    let time = app.config.limits.operator_wait;
    let mut place = Some(Place::default());
    // Bounded by the number of connections.
    while let Some(from) = place {
        let page = app.hub.present(filter.clone(), from, 1, time).await?;
        if let Some(row) = page.rows.first() {
            return said(&Connection::of(row, app.now().wall_ms));
        }
        place = page.next;
    }
    Err(unknown())
}

/// A page of the channels that anyone on this node listens to.
///
/// # Errors
/// `bad_request`; `unavailable` where it takes too long, or the broker is away.
pub(super) async fn channels(app: &Arc<App>, query: &str) -> Result<Answer, Refusal> {
    let mut asked = Asked::read(query, &["namespace", "prefix", "limit", "after"])?;
    let (limit, after) = (asked.limit()?, asked.take("after"));
    let after = match after {
        None => None,
        Some(text) => Some(last(&text).ok_or_else(not_a_place)?),
    };
    let (namespace, prefix) = (asked.namespace()?, asked.take("prefix"));
    let within = match (namespace, prefix) {
        (None, None) => Within::Everywhere,
        (namespace, prefix) => Within::Namespace(
            namespace.unwrap_or_else(Namespace::root),
            prefix.unwrap_or_default().into(),
        ),
    };
    let time = app.config.limits.operator_wait;
    let found = app.hub.channels(&within, after.as_ref(), limit, time);
    let page = found.await?;
    said(&Channels {
        channels: page.rows.iter().map(Row::of).collect(),
        next: page.next.map(|key| URL_SAFE_NO_PAD.encode(key.to_string())),
    })
}

/// One channel, also where nobody listens to it.
///
/// # Errors
/// `invalid_channel`; `unavailable` as above.
pub(super) async fn channel(app: &Arc<App>, name: &str) -> Result<Answer, Refusal> {
    let escape = || Refusal::new(Code::InvalidChannel, "the name has a broken percent escape");
    let key = key(&decode(name.as_bytes(), false).ok_or_else(escape)?)?;
    let time = app.config.limits.operator_wait;
    said(&Row::of(&app.hub.channel(key, time).await?))
}

impl<'a> Connection<'a> {
    fn of(row: &'a Present, now_ms: u64) -> Self {
        let user = row.subject.user();
        let key = match &row.subject {
            Subject::Key(name) => Some(&**name),
            Subject::User(_) | Subject::Anonymous(_) => None,
        };
        let age = u64::try_from(row.age.as_millis()).unwrap_or(u64::MAX);
        Self {
            conn: row.conn.as_str(),
            transport: row.transport,
            user: user.map(|user| &*user.id),
            iss: user.and_then(|user| user.issuer.as_deref()),
            key,
            address: row.address.map(|address| address.to_string()),
            since: now_ms.saturating_sub(age),
            channels: row.keys.iter().map(Key::to_string).collect(),
            channel_count: row.key_count,
            pending: row.pending,
            behind: row.behind,
        }
    }
}

impl Row {
    fn of(channel: &Channel) -> Self {
        Self {
            channel: channel.key.to_string(),
            subscribers: channel.subscribers,
            messages: channel.held.messages,
            bytes: channel.held.bytes,
            last: channel.held.last.map(|id| id.to_string()),
        }
    }
}

impl<'a> Asked<'a> {
    /// Strict: a filter that is misspelt must not list everything.
    fn read(query: &'a str, known: &[&str]) -> Result<Self, Refusal> {
        let mut given: Vec<(&str, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                let why = format!("is not known here; there are {}", known.join(", "));
                return Err(bad(name.as_bytes(), &why));
            }
            if given.iter().any(|(other, _)| *other == name) {
                return Err(bad(name.as_bytes(), "stands twice; send it once"));
            }
            let value = decode(value.as_bytes(), true)
                .ok_or_else(|| bad(name.as_bytes(), "has a broken percent escape"))?;
            // Empty: the default namespace, or everything.
            let value = match value.is_empty() {
                true => String::new(),
                false => text(name, value.into_owned(), MAX_VALUE)?,
            };
            given.push((name, value));
        }
        Ok(Self { given })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.given.iter().position(|(given, _)| *given == name)?;
        Some(self.given.swap_remove(at).1)
    }

    fn limit(&mut self) -> Result<usize, Refusal> {
        match self.take("limit") {
            None => Ok(ROWS),
            Some(value) => match number("limit", value.as_bytes())? {
                0 => Err(bad(b"limit", "is at least 1")),
                rows => Ok(rows.min(MAX_ROWS)),
            },
        }
    }

    fn namespace(&mut self) -> Result<Option<Namespace>, Refusal> {
        let name = self.take("namespace");
        let parsed = name.map(|name| match name.as_str() {
            "" => Ok(Namespace::root()),
            name => Namespace::new(name),
        });
        parsed
            .transpose()
            .map_err(|why| bad(b"namespace", &format!("is not one: {}", why.0)))
    }
}

fn key(name: &[u8]) -> Result<Key, Refusal> {
    Key::parse(name)
        .map_err(|why| Refusal::new(Code::InvalidChannel, why.0).at(String::from_utf8_lossy(name)))
}

fn place(text: &str) -> Option<Place> {
    let (shard, slot) = text.split_once('-')?;
    Some(Place {
        shard: shard.parse().ok()?,
        slot: slot.parse().ok()?,
    })
}

fn last(text: &str) -> Option<Key> {
    Key::parse(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn not_a_place() -> Refusal {
    bad(b"after", "is not the 'next' of a page of this listing")
}

fn said(value: &impl Serialize) -> Result<Answer, Refusal> {
    let body = serde_json::to_vec(value);
    body.map(json)
        .map_err(|why| Refusal::new(Code::Internal, why.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_parameter_that_is_misspelt_or_doubled_is_refused() {
        for bad in [
            "usr=a",
            "limit=1&limit=1",
            "limit=0",
            "limit=x",
            "after=%zz",
            "namespace=a%20b",
        ] {
            let asked = Asked::read(bad, &["limit", "after", "namespace"]);
            let read = asked.and_then(|mut asked| Ok((asked.limit()?, asked.namespace()?)));
            assert_eq!(read.unwrap_err().code, Code::BadRequest, "{bad}");
        }
        let mut asked = Asked::read("limit=100000&namespace=", &["limit", "namespace"]).unwrap();
        assert_eq!(asked.limit().unwrap(), MAX_ROWS);
        assert!(asked.namespace().unwrap().unwrap().is_root());
    }

    #[test]
    fn what_is_no_place_is_none() {
        assert_eq!(place("1-20"), Some(Place { shard: 1, slot: 20 }));
        for bad in ["", "-", "1", "1-", "-1", "1-20-3", "99999999999-1", "a-b"] {
            assert_eq!(place(bad), None, "{bad}");
        }
        assert_eq!(
            last(&URL_SAFE_NO_PAD.encode("chat:@all"))
                .unwrap()
                .to_string(),
            "chat:@all"
        );
        assert!(last("!").is_none() && last("AA").is_none());
    }
}
