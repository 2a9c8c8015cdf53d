//! `/api/…`: what backends ask of the server itself (`PROTOCOL.md`, section 10). API keys alone may: neither tokens nor whoever is on this machine.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{End, Whom};
use fanwire_core::key::SocketId;
use fanwire_core::policy::{Revoke, Subject};
use fanwire_proto::ws::CloseCode;
use http::{HeaderMap, Method};

use super::handshake::has_body;
use super::listing;
use super::publish::{Sent, read};
use super::reload::reload;
use crate::answer::{Answer, json, not_allowed};
use crate::app::App;

/// Bytes of a name in a request.
const MAX_NAME: usize = 255;

/// Bytes of a reason: what a close frame has room for (RFC 6455, 5.5).
const MAX_REASON: usize = 123;

/// A request about tokens. Exactly one of `sub` and `jti`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    sub: Option<String>,
    iss: Option<String>,
    jti: Option<String>,
    /// When the last of them expires, in seconds since 1970.
    until: Option<u64>,
}

/// A request to end connections. Exactly one of `sub`, `key` and `conn`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    sub: Option<String>,
    iss: Option<String>,
    key: Option<String>,
    conn: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
}

/// A request, without its body.
pub(super) struct Asked<'a> {
    /// What stands after `/api/`, undecoded.
    pub(super) path: &'a str,
    /// What stands after `?`, undecoded.
    pub(super) query: &'a str,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
}

/// Answers a request.
///
/// # Errors
/// `unauthorized` and `forbidden` for whoever shows no API key, whatever the path;
/// `not_found`; `invalid_body`; `overloaded` where no more can be revoked.
pub(super) async fn answer(
    app: &Arc<App>,
    subject: &Subject,
    asked: Asked<'_>,
    body: Option<Sent<'_>>,
) -> Result<Answer, Refusal> {
    key(subject)?;
    let Asked {
        path,
        query,
        method,
        headers,
    } = asked;
    let (what, one) = match path.split_once('/') {
        Some((what, one)) => (what, Some(one)),
        None => (path, None),
    };
    if let "connections" | "channels" = what {
        if method != Method::GET {
            return Ok(not_allowed("GET"));
        }
        if has_body(headers) {
            let sentence = "a GET here has no body";
            return Err(Refusal::new(Code::BadRequest, sentence));
        }
        return match (what, one) {
            ("connections", None) => listing::connections(app, query).await,
            ("connections", Some(conn)) => listing::connection(app, conn).await,
            (_, None) => listing::channels(app, query).await,
            (_, Some(name)) => listing::channel(app, name).await,
        };
    }
    if !matches!(path, "revoke" | "reinstate" | "disconnect" | "reload") {
        let sentence = "there is GET /api/connections and /api/channels, and POST /api/revoke, \
                        /api/reinstate, /api/disconnect and /api/reload";
        return Err(Refusal::new(Code::NotFound, sentence));
    }
    if method != Method::POST {
        return Ok(not_allowed("POST"));
    }
    if path == "reload" {
        return reload(app.clone()).await;
    }
    let Some(body) = body else {
        return Err(invalid("the request is a JSON object in the body"));
    };
    let body = read(app, headers, body, app.config.limits.message).await?;
    match path {
        "revoke" => revoke(app, parse(&body)?),
        "reinstate" => reinstate(app, parse(&body)?),
        _ => disconnect(app, parse(&body)?),
    }
}

/// Only the holder of an API key passes.
///
/// # Errors
/// `unauthorized`, and `forbidden` for a token.
pub(super) fn key(subject: &Subject) -> Result<(), Refusal> {
    match subject {
        Subject::Key(_) => Ok(()),
        Subject::User(_) => {
            let sentence = "this is for API keys, not for tokens";
            Err(Refusal::new(Code::Forbidden, sentence))
        }
        Subject::Anonymous(_) => {
            let sentence = "send an API key as 'Authorization: Bearer …'";
            Err(Refusal::new(Code::Unauthorized, sentence))
        }
    }
}

fn revoke(app: &App, tokens: Tokens) -> Result<Answer, Refusal> {
    let now = app.now().wall_ms;
    let until = match tokens.until {
        None => u64::MAX,
        Some(seconds) => seconds.saturating_mul(1000),
    };
    if until <= now {
        return Err(invalid("until lies ahead, in seconds since 1970"));
    }
    let what = tokens.what()?;
    app.door.revoke(what, now, until).map_err(|_| {
        let sentence = "too many revocations; send 'until', or change the issuer's key";
        Refusal::new(Code::Overloaded, sentence)
    })?;
    // Who listens already is asked again, now.
    app.hub.recheck();
    Ok(said(
        &serde_json::json!({ "revocations": app.door.revocations() }),
    ))
}

fn reinstate(app: &App, tokens: Tokens) -> Result<Answer, Refusal> {
    let was = app.door.reinstate(&tokens.what()?);
    Ok(said(&serde_json::json!({ "reinstated": was })))
}

fn disconnect(app: &App, asked: Disconnect) -> Result<Answer, Refusal> {
    let whom = match (asked.sub, asked.key, asked.conn) {
        (Some(id), None, None) => Whom::User {
            issuer: asked.iss.map(name).transpose()?,
            id: name(id)?,
        },
        (None, Some(key), None) if asked.iss.is_none() => Whom::Key(name(key)?),
        (None, None, Some(conn)) if asked.iss.is_none() => {
            Whom::Connection(SocketId::new(&name(conn)?))
        }
        _ => return Err(invalid("name one: sub (with or without iss), key or conn")),
    };
    let code = asked.code.unwrap_or(CloseCode::DISCONNECTED.0);
    if !(3000..=4999).contains(&code) {
        return Err(invalid("code is 3000 to 4999"));
    }
    let reason = asked
        .reason
        .unwrap_or_else(|| "ended by the application".to_owned());
    if reason.len() > MAX_REASON {
        return Err(invalid("reason has at most 123 bytes"));
    }
    app.hub.dismiss(whom, End::Close(code, reason));
    Ok(said(&serde_json::json!({})))
}

impl Tokens {
    fn what(self) -> Result<Revoke, Refusal> {
        match (self.sub, self.jti) {
            (Some(id), None) => Ok(Revoke::User {
                issuer: self.iss.map(name).transpose()?,
                id: name(id)?,
            }),
            (None, Some(token)) if self.iss.is_none() => Ok(Revoke::Token(name(token)?)),
            _ => Err(invalid("name one: sub (with or without iss), or jti")),
        }
    }
}

fn name(text: String) -> Result<Arc<str>, Refusal> {
    match text.len() {
        1..=MAX_NAME => Ok(text.into()),
        _ => Err(invalid("a name has 1 to 255 bytes")),
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(body: &'a Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|why| invalid(&why.to_string()))
}

fn invalid(why: &str) -> Refusal {
    Refusal::new(Code::InvalidBody, why)
}

fn said(value: &serde_json::Value) -> Answer {
    json(value.to_string())
}
