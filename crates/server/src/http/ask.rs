//! Code is asked about whoever wants to listen where it serves: before anything is
//! opened, whatever the transport.

use std::net::IpAddr;

use fanwire_core::error::Refusal;
use fanwire_core::message::Keys;
use fanwire_core::policy::Permit;
use http::{HeaderValue, request};
use serde_json::{Map, Value};

use super::handshake;
use super::listen::Reply;
use super::negotiate::Want;
use super::target::decode;
use crate::answer::{Dress, problem_with};
use crate::app::App;
use crate::clock::connection_id;
use crate::handlers::{Comer, ConnectRefusal, Hears, Visit};
use crate::refused::Who;
use crate::shown::Shown;
use crate::transport::refused_by_code;

/// Parameters that hold secrets.
const SECRETS: [&str; 2] = ["token", "sid"];

/// What code is to be asked; none where none serves any of these channels. Of who opens
/// no WebSocket it only is where it wants to be asked: there is nothing else to tell it.
pub(super) fn comer(
    app: &App,
    keys: &Keys,
    head: &request::Parts,
    client: IpAddr,
    want: Want,
) -> Option<Box<Comer>> {
    let stays = matches!(want, Want::WebSocket { .. });
    let spaces = app.spaces.served(keys, |code| stays || code.asks());
    if spaces.is_empty() {
        return None;
    }
    let request = Shown::of(head);
    Some(Box::new(Comer {
        spaces,
        auth: auth(request.query()),
        request,
        client,
        time: app.config.http.on_connect_timeout,
        rooms: app.config.socketio.rooms,
    }))
}

/// Whether code lets it in. Who holds a WebSocket goes on as code sees it; who streams
/// events or polls was asked about, and that is all.
///
/// # Errors
/// The refusal, where code says no.
pub(super) async fn ask(
    comer: Option<Box<Comer>>,
    permit: &Permit,
    want: Want,
) -> Result<Option<Box<Visit>>, ConnectRefusal> {
    let Some(comer) = comer else {
        return Ok(None);
    };
    let hears = match want {
        Want::WebSocket { envelope: true, .. } => Hears::Envelope,
        Want::WebSocket { .. } => Hears::Raw,
        _ => Hears::Nothing,
    };
    let asked = comer.asks(connection_id(), permit, hears).await;
    let visit = asked?;
    Ok((hears != Hears::Nothing).then(|| Box::new(visit)))
}

/// How somebody hears that code said no: over a WebSocket by its close, because a page
/// never sees the status of a handshake; else by a problem.
///
/// # Errors
/// What an event stream is to come back after: told so as ever.
pub(super) fn refuse(
    (app, who): (&App, Who<'_>),
    why: &ConnectRefusal,
    want: Want,
    key: &HeaderValue,
    dress: &Dress,
) -> Result<Reply, Refusal> {
    let refusal = why.as_refusal();
    if let (Want::Sse { .. }, true) = (want, refusal.code.retry()) {
        return Err(refusal);
    }
    app.refuses(&refusal, who);
    match want {
        Want::WebSocket { envelope, named } => {
            let hears = match envelope {
                true => Hears::Envelope,
                false => Hears::Raw,
            };
            let head = handshake::switching(key, named, None, dress);
            let words = refused_by_code(hears, why).into();
            Ok(Reply::Says { head, named, words })
        }
        _ => Ok(Reply::Answer(problem_with(&refusal, why.data.clone()))),
    }
}

/// The query as a JSON object of texts, without secrets. Of a name that stands twice
/// the last counts.
fn auth(query: &str) -> String {
    let mut all = Map::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let text = |part: &str| {
            let bytes = decode(part.as_bytes(), true)?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        // A broken escape is nothing that could be named.
        let (Some(name), Some(value)) = (text(name), text(value)) else {
            continue;
        };
        if !SECRETS.contains(&name.as_str()) {
            all.insert(name, Value::String(value));
        }
    }
    Value::Object(all).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_shown_to_code_as_an_object_without_secrets() {
        assert_eq!(auth(""), "{}");
        assert_eq!(
            auth("name=A%20b+c&token=x&%74oken=y&a&a=1&sid=s&bad=%zz&n=%FF"),
            "{\"a\":\"1\",\"n\":\"\u{fffd}\",\"name\":\"A b c\"}"
        );
    }
}
