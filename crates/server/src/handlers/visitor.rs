//! Clients without Socket.IO, as code sees them: whoever sent an event by its URL,
//! with a POST or over a WebSocket. They joined nothing and were not asked about at
//! `on_connect`; who they are and what they may, the door has said.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use fanwire_core::cursor::Cursor;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{End, Subscriber};
use fanwire_core::key::{Key, SocketId};
use fanwire_core::message::Body;
use fanwire_core::policy::{Permit, Subject};
use fanwire_proto::native::args;
use fanwire_proto::native::json::write_str;
use fanwire_proto::ws::{Opcode, frame};

use super::args::Args;
use super::convert::Reply;
use super::socket::{Bounds, Data, Handshake, Link, New, Socket};
use super::space::Space;

/// The close code of a disconnection by code (`PROTOCOL.md`, section 8).
const DISCONNECTED: u16 = 3503;

const FIXED: &str = "a client without Socket.IO hears the channels of its URL: it joins and \
                     leaves no rooms, and acknowledges nothing";

/// An event on its way through code.
pub(crate) type Calling = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The client of one POST: it hears nothing but the answer.
struct Post;

/// The client of a WebSocket.
struct WebSocket {
    subscriber: Weak<Subscriber>,
    envelope: bool,
}

/// A WebSocket's socket: made at its first event, gone with the connection.
#[derive(Default)]
pub(crate) struct Visitor(OnceCell<Socket>);

/// Lets code handle what a POST brought. The permit is one to publish.
pub(crate) fn posted(
    space: Arc<Space>,
    id: SocketId,
    permit: &Permit,
    event: String,
    body: Body,
) -> Calling {
    let socket = socket(space, id, permit, Arc::new(Post));
    Box::pin(async move {
        let reply = called(socket.clone(), event, body).await;
        socket.go();
        reply
    })
}

impl Visitor {
    /// Lets code handle what came over a WebSocket. The permit is one to publish.
    pub(crate) fn calls(
        &self,
        space: Arc<Space>,
        subscriber: &Arc<Subscriber>,
        envelope: bool,
        permit: &Permit,
        (event, body): (String, Body),
    ) -> Calling {
        let made = || {
            let link = WebSocket {
                subscriber: Arc::downgrade(subscriber),
                envelope,
            };
            socket(space, subscriber.conn().clone(), permit, Arc::new(link))
        };
        let socket = self.0.get_or_init(made).clone();
        Box::pin(called(socket, event, body))
    }

    /// It goes on as somebody else, with what was kept with it.
    pub(crate) fn becomes(&mut self, user: &Subject) {
        if let Some(before) = self.0.take() {
            let _ = self.0.set(before.becomes(user.clone()));
            before.go();
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if let Some(socket) = self.0.get() {
            socket.go();
        }
    }
}

async fn called(socket: Socket, event: String, body: Body) -> Reply {
    // Asked before: it takes the event.
    let Some(code) = socket.space().code.clone() else {
        return Reply::None;
    };
    let args = Args::of_body(body);
    code.event(socket, event, args).await.unwrap_or(Reply::None)
}

fn socket(space: Arc<Space>, id: SocketId, permit: &Permit, link: Arc<dyn Link>) -> Socket {
    let now = space.now();
    let channels = permit.keys().iter().filter_map(|key| match key {
        Key::Channel(_, name) => Some((name.clone(), now)),
        Key::All(_) | Key::Socket(..) => None,
    });
    let socket = Socket::new(New {
        id,
        user: permit.subject().clone(),
        recovered: false,
        rooms: channels.collect(),
        data: Data::default(),
        link,
        max_rooms: 0,
        max_acks: 0,
        space,
    });
    match socket.enter(|_| Ok::<_, Infallible>(now)) {
        Ok(()) => socket,
        Err(never) => match never {},
    }
}

impl Link for Post {
    fn send(&self, _: &str, _: &Args, _: Option<u64>) {}

    fn is_logged(&self) -> bool {
        false
    }

    fn join(&self, _: Key) -> Result<Cursor, Refusal> {
        Err(Refusal::new(Code::BadRequest, FIXED))
    }

    fn leave(&self, _: Key) {}

    fn disconnect(&self) {}

    fn recheck(&self, _: &Socket) {}

    fn close(&self) {}

    fn handshake(&self) -> Option<Handshake> {
        None
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            hears: Some("the client of a POST hears nothing but its answer: return it"),
            by_link: true,
            fixed: Some(FIXED),
        }
    }
}

impl Link for WebSocket {
    fn send(&self, event: &str, args: &Args, _: Option<u64>) {
        if let Some(subscriber) = self.subscriber.upgrade() {
            subscriber.send(frame(Opcode::Text, &envelope(event, args)));
        }
    }

    fn is_logged(&self) -> bool {
        false
    }

    fn join(&self, _: Key) -> Result<Cursor, Refusal> {
        Err(Refusal::new(Code::BadRequest, FIXED))
    }

    fn leave(&self, _: Key) {}

    fn disconnect(&self) {
        self.close();
    }

    fn recheck(&self, _: &Socket) {}

    fn close(&self) {
        if let Some(subscriber) = self.subscriber.upgrade() {
            let reason = "disconnected by the application".to_owned();
            subscriber.end(End::Close(DISCONNECTED, reason));
        }
    }

    fn handshake(&self) -> Option<Handshake> {
        None
    }

    fn bounds(&self) -> Bounds {
        let raw = "a raw WebSocket hears nothing but its channels: connect with the envelope";
        Bounds {
            hears: (!self.envelope).then_some(raw),
            by_link: true,
            fixed: Some(FIXED),
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
}
