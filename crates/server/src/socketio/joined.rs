//! What a session has in one namespace.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use fanwire_core::cursor::Cursor;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{End, Subscriber};
use fanwire_core::key::{Key, Name, Namespace, SocketId};
use fanwire_core::message::Keys;
use fanwire_core::policy::{Door, Subject, Verb};
use fanwire_proto::engineio::query::Transport;
use parking_lot::Mutex;

use super::conversation::Conversation;
use super::units;
use crate::dialect::socketio as dialect;
use crate::engineio::{Engine, Reason};
use crate::handlers::{Args, Handshake, Link, Room, Socket, Space};
use crate::rates::Account;

/// A socket and what serves it.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) joined: Arc<Joined>,
    pub(super) socket: Socket,
}

/// One namespace of a session.
pub(super) struct Joined {
    pub(super) namespace: Namespace,
    /// As the client writes it.
    pub(super) written: String,
    pub(super) id: SocketId,
    pub(super) subject: Subject,
    /// Who pays for what comes.
    pub(super) account: Account,
    /// What is emitted goes through the log, and events carry offsets.
    pub(super) recovers: bool,
    pub(super) home: Weak<Conversation>,
    pub(super) engine: Weak<Engine>,
    pub(super) door: Arc<Door>,
    /// Rooms that it asked for itself, through the door.
    pub(super) asked: Mutex<Vec<Name>>,
    /// None before it is in, and once the hub has let it go.
    pub(super) subscriber: Mutex<Option<Subscriber>>,
}

impl Joined {
    /// Sends a finished unit, behind everything sent before.
    pub(super) fn reply(&self, unit: Bytes) {
        if let Some(subscriber) = &*self.subscriber.lock() {
            self.owe(unit.len());
            subscriber.send(unit);
        }
    }

    /// Its code has said what was to come first.
    pub(super) fn greeted(&self) {
        if let Some(subscriber) = &*self.subscriber.lock() {
            subscriber.greeted();
        }
    }

    fn owe(&self, bytes: usize) {
        if let Some(engine) = self.engine.upgrade() {
            engine.owe(bytes);
        }
    }

    /// The peer takes bytes again.
    pub(super) fn writable(&self) {
        if let Some(subscriber) = &*self.subscriber.lock() {
            subscriber.writable();
        }
    }

    /// Lets it go behind everything sent before, and says so to the client where it
    /// is `told`.
    pub(super) fn end(&self, told: bool) {
        // It stays until the hub has written what it has.
        if let Some(subscriber) = &*self.subscriber.lock() {
            if told {
                subscriber.send(units::disconnect(&self.written));
            }
            subscriber.end(End::Close(1000, String::new()));
        }
    }

    /// The right to hear `keys`, given by the server: who may be here was asked
    /// before.
    pub(super) fn permit(&self, keys: Keys) -> Result<fanwire_core::policy::Permit, Refusal> {
        self.door.give(self.subject.clone(), Verb::Read, keys)
    }
}

impl Link for Joined {
    fn send(&self, event: &str, args: &Args, ack: Option<u64>) {
        let (written, event, args) = (self.written.clone(), event.to_owned(), args.clone());
        // Behind its arguments a client puts the function that acknowledges: there it
        // looks for no offset, and handlers expect none.
        let recovers = self.recovers && ack.is_none();
        if let Some(subscriber) = &*self.subscriber.lock() {
            self.owe(args.size());
            subscriber.emit(Box::new(move |cursor| {
                let at = recovers.then_some(cursor);
                dialect::event(&written, &event, units::body(&args), ack, at)
            }));
        }
    }

    fn room(&self) -> Option<Room> {
        let engine = self.engine.upgrade()?;
        let full = !engine.has_room();
        full.then(|| -> Room { Box::pin(async move { engine.room().await }) })
    }

    fn is_logged(&self) -> bool {
        self.recovers
    }

    fn join(&self, _: &Space, key: Key) -> Result<Cursor, Refusal> {
        let permit = self.permit(Keys::from_iter([key]))?;
        match &*self.subscriber.lock() {
            Some(subscriber) => Ok(subscriber.join(permit)),
            None => Err(Refusal::new(Code::Unavailable, "the socket has gone")),
        }
    }

    fn leave(&self, key: Key) {
        if let Some(subscriber) = &*self.subscriber.lock() {
            subscriber.leave(Keys::from_iter([key]));
        }
    }

    fn disconnect(&self) {
        if let Some(home) = self.home.upgrade() {
            home.part(self, Reason::ServerNamespaceDisconnect, true);
        }
    }

    fn recheck(&self, socket: &Socket) {
        let ask = |key: &Key| self.door.ask(&self.subject, Verb::Subscribe, key);
        let app = self.engine.upgrade().map(|engine| engine.app.clone());
        let served = socket.space().code.is_some()
            || app.is_none_or(|app| app.config.socket_rules(&self.namespace).on);
        let here = match served {
            true => ask(&Key::All(self.namespace.clone())),
            false => Err(Refusal::new(
                Code::Forbidden,
                "this namespace is no longer served",
            )),
        };
        if let Err(refusal) = here {
            if let Some(home) = self.home.upgrade() {
                home.refuse(self, &refusal);
            }
            return;
        }
        let asked = self.asked.lock().clone();
        for name in asked {
            let key = Key::Channel(self.namespace.clone(), name.clone());
            if let Err(refusal) = ask(&key) {
                self.asked.lock().retain(|room| *room != name);
                socket.leave(name.as_str());
                self.send("$error", &units::error(&refusal.into(), None), None);
            }
        }
    }

    fn close(&self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.close(Reason::ForcedServerClose);
        }
    }

    fn handshake(&self) -> Option<Handshake> {
        let engine = self.engine.upgrade()?;
        Some(Handshake {
            address: engine.handshake.client,
            headers: engine.handshake.request.headers(),
            query: engine.handshake.request.query().to_owned(),
        })
    }

    fn transport(&self) -> Option<&'static str> {
        let engine = self.engine.upgrade()?;
        Some(match engine.transport() {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        })
    }
}
