//! Paths of an application's own for channels: what is asked of them is asked of
//! `/c/…`, by the same rules.

use fanwire_core::key::Key;
use http::header::{ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, request};

use super::negotiate::wants_websocket;
use super::service::channels_of;
use crate::answer::EVENT_STREAM;
use crate::app::{App, Peer};
use crate::browser_client;
use crate::config::{Config, Problem, Problems};

/// The paths.
#[derive(Clone, Default)]
pub(crate) struct Paths(Vec<Own>);

#[derive(Clone)]
struct Own {
    path: String,
    serves: Serves,
    /// `/c/NAME`.
    target: String,
}

/// What is asked of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Serves {
    /// An upgrade to a WebSocket.
    WebSocket,
    /// Any other GET, and what a page asks before it.
    EventStream,
}

/// Methods at `/c/…`.
const CHANNEL_METHODS: &str = "GET, POST, OPTIONS";

/// Methods of a path of one's own: its others are not ours to allow.
const OWN_METHODS: &str = "GET, OPTIONS";

/// Marks a request as translated.
#[derive(Clone)]
struct Translated;

impl Paths {
    /// Serves a channel at one more path.
    ///
    /// # Errors
    /// What is no path, or stands for something else; what is no channel's name.
    pub(crate) fn add(
        &mut self,
        config: &Config,
        serves: Serves,
        (path, channel): (&str, &str),
    ) -> Result<(), Problems> {
        let wrong = |why: String| Err(Problems(vec![Problem::new("", why)]));
        let plain = path.starts_with('/') && !path.contains(['?', '#']);
        let known = PathAndQuery::try_from(path).is_ok_and(|parsed| parsed.path() == path);
        if !plain || !known {
            return wrong(format!(
                "{path:?} is not a path: write it as in /events/news"
            ));
        }
        if is_ours(config, path) {
            return wrong(format!("{path} stands for something else already"));
        }
        let same = |own: &Own| own.serves == serves && own.path == path;
        if self.0.iter().any(same) {
            return wrong(format!("{path} is given twice"));
        }
        if let Err(why) = Key::parse(channel.as_bytes()) {
            return wrong(format!("{channel:?} at {path} is not a channel: {why}"));
        }
        self.0.push(Own {
            path: path.to_owned(),
            serves,
            target: format!("/c/{}", escaped(channel)),
        });
        Ok(())
    }

    /// Without any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, head: &request::Parts) -> Option<&Own> {
        let path = head.uri.path();
        let mut all = self.0.iter().filter(|own| own.path == path).peekable();
        all.peek()?;
        let serves = match head.method {
            Method::GET if wants_websocket(&head.headers) => Serves::WebSocket,
            Method::GET => Serves::EventStream,
            // Before a WebSocket no page asks.
            Method::OPTIONS if asks_for_get(head) => Serves::EventStream,
            _ => return None,
        };
        all.find(|own| own.serves == serves)
    }
}

/// Whether a preflight (Fetch, 4.8) is for a GET; for any other method it is the
/// application's, as that is.
fn asks_for_get(head: &request::Parts) -> bool {
    let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD);
    method.is_some_and(|method| method == Method::GET.as_str())
}

/// What may be asked of a request's path, which is one for channels.
pub(super) fn methods(head: &request::Parts) -> &'static str {
    match head.extensions.get::<Translated>() {
        Some(Translated) => OWN_METHODS,
        None => CHANNEL_METHODS,
    }
}

/// Whether this request is for a channel, by a path of the application's own.
pub(super) fn is_here(app: &App, head: &request::Parts) -> bool {
    let paths = app.above.get::<Paths>();
    paths.is_some_and(|paths| paths.find(head).is_some())
}

/// The request as it would be asked of `/c/…`; none where its path is no such path.
pub(super) fn translated(app: &App, peer: &Peer, head: &request::Parts) -> Option<request::Parts> {
    let own = app
        .above
        .get::<Paths>()?
        .find(head)
        .filter(|_| !peer.admin)?;
    let target = match head.uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", own.target)),
        None => PathAndQuery::try_from(own.target.as_str()),
    };
    let mut head = head.clone();
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(target.ok()?);
    head.uri = parts.try_into().ok()?;
    head.extensions.insert(Translated);
    if own.serves == Serves::EventStream {
        let accept = HeaderValue::from_static(EVENT_STREAM);
        head.headers.insert(ACCEPT, accept);
    }
    Some(head)
}

/// Whether something of ours, but for the page, is at this path.
fn is_ours(config: &Config, path: &str) -> bool {
    let socketio = config.socketio.path.as_str();
    matches!(path, "/healthz" | "/readyz" | "/metrics")
        || path.starts_with("/api/")
        || channels_of(path).is_some()
        || path == socketio
        || path == socketio.trim_end_matches('/')
        || browser_client::is_here(socketio, path)
}

/// A name as one part of a list in a path.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte as char),
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'@' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::target;
    use super::*;

    #[test]
    fn what_is_no_path_no_channel_or_stands_for_something_else_is_refused() {
        let config = Config::default();
        let mut paths = Paths::default();
        let mut add = |serves, path, channel| paths.add(&config, serves, (path, channel));
        for path in ["", "events", "/a?b", "/a#b", "/a b", "http://a/", "*"] {
            let why = add(Serves::WebSocket, path, "wall")
                .unwrap_err()
                .to_string();
            assert!(why.contains("is not a path"), "{why}");
        }
        for path in [
            "/c",
            "/c/x",
            "/api/x",
            "/metrics",
            "/healthz",
            "/readyz",
            "/socket.io/",
            "/socket.io",
            "/socket.io/socket.io.js",
        ] {
            let why = add(Serves::EventStream, path, "wall")
                .unwrap_err()
                .to_string();
            assert!(why.contains("something else"), "{why}");
        }
        for channel in ["", "..", "@all2", "a\n"] {
            let why = add(Serves::WebSocket, "/", channel)
                .unwrap_err()
                .to_string();
            assert!(why.contains("is not a channel"), "{why}");
        }
        add(Serves::WebSocket, "/", "wall").unwrap();
        add(Serves::EventStream, "/", "wall").unwrap();
        let twice = add(Serves::WebSocket, "/", "other").unwrap_err();
        assert!(twice.to_string().contains("twice"));
    }

    #[test]
    fn a_name_of_any_kind_is_one_part_of_a_list() {
        for name in [
            "wall",
            "chat:lobby",
            "a,b",
            "50% ü?#",
            "chat:@all",
            "a+b",
            "x/y",
        ] {
            let target = escaped(name);
            let parsed = PathAndQuery::try_from(format!("/c/{target}")).unwrap();
            let list = channels_of(parsed.path()).unwrap();
            let (keys, _) = target::read(list, None).unwrap();
            assert_eq!(keys.len(), 1);
            assert_eq!(keys[0], Key::parse(name.as_bytes()).unwrap());
        }
    }
}
