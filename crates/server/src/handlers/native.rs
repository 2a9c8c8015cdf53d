//! How clients without Socket.IO are served: those of a POST, which hear its answer;
//! those who only listen; and WebSockets, which can be sent to.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use fanwire_core::cursor::Cursor;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{End, Subscriber};
use fanwire_core::key::Key;
use fanwire_core::message::{Body, Keys};
use fanwire_core::policy::{Permit, Subject};
use fanwire_proto::native::args;
use fanwire_proto::native::envelope::Body as Written;
use fanwire_proto::native::json::write_str;
use fanwire_proto::ws::{Opcode, frame};
use parking_lot::Mutex;

use super::args::Args;
use super::meter::Meter;
use super::socket::{Bounds, Handshake, Link, Room, Socket};
use super::space::Space;
use crate::shown::Shown;

/// The close code of a disconnection by code (`PROTOCOL.md`, section 8).
const DISCONNECTED: u16 = 3503;

const ACKS: &str = "a client without Socket.IO acknowledges nothing";

/// The client of one POST: it hears nothing but the answer.
pub(crate) struct Post {
    request: Shown,
    client: IpAddr,
}

/// How it hears what code says to it alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hears {
    /// As data in a frame, without the event's name.
    Raw,
    /// As an envelope in a text frame.
    Envelope,
    /// Not at all: an event stream, a poll, history.
    Nothing,
}

/// A client that listens at channels of its URL.
pub(super) struct Native {
    hears: Hears,
    /// The right to listen, as it was shown last; to the channels of the URL.
    permit: Mutex<Permit>,
    request: Shown,
    client: IpAddr,
    /// None before it is in.
    subscriber: OnceLock<Weak<Subscriber>>,
    meter: Arc<Meter>,
}

impl Post {
    pub(crate) fn new(request: Shown, client: IpAddr) -> Self {
        Self { request, client }
    }
}

impl Native {
    pub(super) fn new(hears: Hears, permit: &Permit, request: Shown, client: IpAddr) -> Self {
        Self {
            hears,
            permit: Mutex::new(permit.clone()),
            request,
            client,
            subscriber: OnceLock::new(),
            meter: Arc::default(),
        }
    }

    /// It is in, by this subscriber.
    pub(super) fn goes_by(&self, subscriber: &Arc<Subscriber>) {
        // Said once, as it comes in.
        let _ = self.subscriber.set(Arc::downgrade(subscriber));
    }

    /// Its code has said what was to come first.
    pub(super) fn greeted(&self) {
        if let Some(subscriber) = self.subscriber() {
            subscriber.greeted();
        }
    }

    fn subscriber(&self) -> Option<Arc<Subscriber>> {
        self.subscriber.get()?.upgrade()
    }

    /// Hears keys that the server gives it, beside those of its URL.
    ///
    /// # Errors
    /// Where its holder has been stopped, or it has gone.
    pub(super) fn hear(&self, space: &Space, keys: Keys) -> Result<Cursor, Refusal> {
        let permit = given(space, &self.permit.lock(), keys)?;
        match self.subscriber() {
            Some(subscriber) => Ok(subscriber.join(permit)),
            None => Err(Refusal::new(Code::Unavailable, "the socket has gone")),
        }
    }

    /// It goes on by another permit for the channels of its URL; `keys` it hears
    /// beside them.
    pub(super) fn renews(&self, space: &Space, permit: &Permit, keys: Keys) {
        let mut known = self.permit.lock();
        *known = permit.clone();
        let mut whole = permit.clone();
        if let (Ok(given), Some(subscriber)) = (given(space, permit, keys), self.subscriber()) {
            whole.join(given);
            subscriber.renew(whole);
        }
    }

    /// Who it is.
    pub(super) fn user(&self) -> Subject {
        self.permit.lock().subject().clone()
    }
}

fn given(space: &Space, permit: &Permit, keys: Keys) -> Result<Permit, Refusal> {
    space.give(permit.subject().clone(), permit.verb(), keys)
}

impl Link for Post {
    fn send(&self, _: &str, _: &Args, _: Option<u64>) {}

    fn is_logged(&self) -> bool {
        false
    }

    fn join(&self, _: &Space, _: Key) -> Result<Cursor, Refusal> {
        Err(Refusal::new(Code::BadRequest, FIXED))
    }

    fn leave(&self, _: Key) {}

    fn disconnect(&self) {}

    fn recheck(&self, _: &Socket) {}

    fn close(&self) {}

    fn handshake(&self) -> Option<Handshake> {
        Some(handshake(&self.request, self.client))
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            hears: Some("the client of a POST hears nothing but its answer: return it"),
            by_link: true,
            fixed: Some(FIXED),
            acks: Some(ACKS),
        }
    }
}

const FIXED: &str = "the client of a POST joins and leaves no rooms";

impl Link for Native {
    fn send(&self, event: &str, args: &Args, _: Option<u64>) {
        let unit = match self.hears {
            Hears::Raw => raw(args),
            Hears::Envelope => frame(Opcode::Text, &envelope(event, args)),
            Hears::Nothing => return,
        };
        if let Some(subscriber) = self.subscriber() {
            subscriber.send(self.meter.count(unit));
        }
    }

    fn room(&self) -> Option<Room> {
        let meter = self.meter.clone();
        (!meter.has_room()).then(|| -> Room { Box::pin(async move { meter.room().await }) })
    }

    fn is_logged(&self) -> bool {
        false
    }

    fn join(&self, space: &Space, key: Key) -> Result<Cursor, Refusal> {
        self.hear(space, Keys::from_iter([key]))
    }

    fn leave(&self, key: Key) {
        if let Some(subscriber) = self.subscriber() {
            subscriber.leave(Keys::from_iter([key]));
        }
    }

    fn keeps(&self, key: &Key) -> bool {
        self.permit.lock().keys().contains(key)
    }

    fn disconnect(&self) {
        self.close();
    }

    /// What it hears, the hub asks about.
    fn recheck(&self, _: &Socket) {}

    fn close(&self) {
        if let Some(subscriber) = self.subscriber() {
            let reason = "disconnected by the application".to_owned();
            subscriber.end(End::Close(DISCONNECTED, reason));
        }
    }

    fn handshake(&self) -> Option<Handshake> {
        Some(handshake(&self.request, self.client))
    }

    fn transport(&self) -> Option<&'static str> {
        self.subscriber().map(|_| "websocket")
    }

    fn bounds(&self) -> Bounds {
        let nothing = "who streams events or polls hears nothing but its channels";
        Bounds {
            hears: (self.hears == Hears::Nothing).then_some(nothing),
            by_link: true,
            fixed: None,
            acks: Some(ACKS),
        }
    }
}

fn handshake(request: &Shown, client: IpAddr) -> Handshake {
    Handshake {
        address: client,
        headers: request.headers(),
        query: request.query().to_owned(),
    }
}

/// Data for one client, in one frame: what a raw reader of a channel would get of the
/// same message.
fn raw(args: &Args) -> Bytes {
    match args.clone().into_body() {
        Body::Binary(bytes) => frame(Opcode::Binary, &bytes),
        Body::Text(bytes) | Body::Json(bytes) => frame(Opcode::Text, &bytes),
        Body::Args { json, attachments } => {
            let mut text = Vec::with_capacity(args.size());
            let body = Written::Args {
                json: &json,
                attachments: &attachments,
            };
            body.write_raw_text(&mut text);
            frame(Opcode::Text, &text)
        }
    }
}

/// An event for one client, as it stands in no channel: no id, no channel.
fn envelope(event: &str, args: &Args) -> Vec<u8> {
    let mut text = Vec::with_capacity(64 + args.size());
    text.extend_from_slice(b"{\"event\":");
    write_str(&mut text, event);
    text.extend_from_slice(b",\"data\":");
    let count = args.len();
    if count == 1 {
        text.extend_from_slice(args.to_value().as_bytes());
    } else {
        args::write_surface(&mut text, args.json().as_bytes(), args.attachments());
        text.extend_from_slice(format!(",\"args\":{count}").as_bytes());
    }
    text.push(b'}');
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handlers::IntoArgs;

    #[test]
    fn an_event_for_one_client_has_neither_id_nor_channel() {
        let text = |elements: &str| {
            let args = Args::received(elements, Vec::new());
            String::from_utf8(envelope("a\"b", &args)).unwrap()
        };
        assert_eq!(text("{\"x\":1}"), r#"{"event":"a\"b","data":{"x":1}}"#);
        assert_eq!(text("1,2"), r#"{"event":"a\"b","data":[1,2],"args":2}"#);
        assert_eq!(text(""), r#"{"event":"a\"b","data":[],"args":0}"#);
    }

    #[test]
    fn raw_is_the_text_the_bytes_or_the_json_in_one_frame() {
        fn sent(args: impl IntoArgs) -> Vec<u8> {
            raw(&args.into_args().unwrap()).to_vec()
        }
        assert_eq!(sent("a\"b"), b"\x81\x03a\"b");
        assert_eq!(sent(Bytes::from_static(b"\x00\xff")), b"\x82\x02\x00\xff");
        assert_eq!(sent(serde_json::json!({"a": 1})), b"\x81\x07{\"a\":1}");
        assert_eq!(sent(("a", 1)), b"\x81\x07[\"a\",1]");
        assert_eq!(sent(()), b"\x81\x02[]");
        let both = sent((Bytes::from_static(b"\x01"), 1));
        assert_eq!(&both[2..], br#"[{"$bin":"AQ=="},1]"#);
    }
}
