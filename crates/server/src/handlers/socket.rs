//! One connection of a client to a namespace, as code sees it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::cursor::Cursor;
use fanwire_core::error::{Code as ErrorCode, Refusal};
use fanwire_core::key::{Key, Name, SocketId};
use fanwire_core::message::Keys;
use fanwire_core::policy::Subject;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::acks::{Acks, Awaited};
use super::args::Args;
use super::convert::IntoArgs;
use super::emit::{Emit, Target};
use super::io::Io;
use super::refusal::AckError;
use super::space::{Space, draft, named};

/// A client in a namespace. A handle: cheap to clone; held on to, it keeps nothing
/// open.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

/// The request by which a client came.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Its address; behind configured proxies the one that they name.
    pub address: IpAddr,
    /// The headers, without those that hold secrets.
    pub headers: http::HeaderMap,
    /// The query, without secrets.
    pub query: String,
}

/// Ready when more may be sent.
pub(crate) type Room = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How the rest of the server serves a socket.
pub(crate) trait Link: Send + Sync {
    /// Sends an event past the log, behind everything sent before.
    fn send(&self, event: &str, args: &Args, ack: Option<u64>);

    /// What is to be waited for before more is sent; none where there is room.
    fn room(&self) -> Option<Room> {
        None
    }

    /// True where what is emitted goes through the log, so that it is not lost with
    /// the connection.
    fn is_logged(&self) -> bool;

    /// Hears a key from now on.
    ///
    /// # Errors
    /// Where its holder has been stopped.
    fn join(&self, space: &Space, key: Key) -> Result<Cursor, Refusal>;

    /// Hears it no more.
    fn leave(&self, key: Key);

    /// Whether it hears this key as long as it lasts.
    fn keeps(&self, _: &Key) -> bool {
        false
    }

    /// Lets it go from the namespace.
    fn disconnect(&self);

    /// Asks again whether it may be here, after the rules have changed.
    fn recheck(&self, socket: &Socket);

    /// Closes the whole connection.
    fn close(&self);

    /// The request by which it came; none where that is not kept.
    fn handshake(&self) -> Option<Handshake>;

    /// What the connection of a Socket.IO client is now; none once it is gone.
    fn transport(&self) -> Option<&'static str> {
        None
    }

    /// What its client cannot do.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }
}

/// What a client cannot do, each with a sentence that says why.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// It hears nothing but its answer, or its channels.
    pub(crate) hears: Option<&'static str>,
    /// What is said to it alone goes past the log, also what may be lost.
    pub(crate) by_link: bool,
    /// It joins and leaves nothing.
    pub(crate) fixed: Option<&'static str>,
    /// It acknowledges nothing.
    pub(crate) acks: Option<&'static str>,
}

/// Kept with a socket, by type.
pub(crate) type Data = Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>;

/// What a socket is made of.
pub(crate) struct New {
    pub(crate) space: Arc<Space>,
    pub(crate) id: SocketId,
    pub(crate) user: Subject,
    pub(crate) recovered: bool,
    /// As it had them, with where it joined them.
    pub(crate) rooms: Vec<(Name, Cursor)>,
    pub(crate) data: Data,
    pub(crate) link: Arc<dyn Link>,
    /// Rooms at most.
    pub(crate) max_rooms: usize,
    /// Acknowledgements waited for at most.
    pub(crate) max_acks: usize,
}

struct Inner {
    space: Arc<Space>,
    id: SocketId,
    user: Subject,
    recovered: bool,
    data: Data,
    link: Arc<dyn Link>,
    acks: Arc<Acks>,
    max_rooms: usize,
    /// Shared with who it was before: see [`Socket::becomes`].
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Told once it has gone; made for the first who waits.
    gone: Option<Arc<Notify>>,
    /// With where it joined them; none before it is in.
    rooms: BTreeMap<Name, Option<Cursor>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Not in yet.
    #[default]
    Coming,
    In,
    Gone,
}

impl Socket {
    pub(crate) fn new(new: New) -> Self {
        let rooms = new.rooms.into_iter().map(|(name, at)| (name, Some(at)));
        let state = State {
            rooms: rooms.collect(),
            ..State::default()
        };
        Self(Arc::new(Inner {
            space: new.space,
            id: new.id,
            user: new.user,
            recovered: new.recovered,
            data: new.data,
            link: new.link,
            acks: Acks::new(new.max_acks),
            max_rooms: new.max_rooms,
            state: Arc::new(Mutex::new(state)),
        }))
    }

    /// Its public id, which is a room of its own: others may be told of it.
    pub fn id(&self) -> &SocketId {
        &self.0.id
    }

    /// The namespace, as clients write it: `/`, `/chat`.
    pub fn namespace(&self) -> String {
        format!("/{}", self.0.space.namespace.as_str())
    }

    /// Who it is.
    pub fn user(&self) -> &Subject {
        &self.0.user
    }

    /// The request by which it came: for a POST, that one. None for a socket of
    /// Socket.IO once its connection is gone.
    pub fn handshake(&self) -> Option<Handshake> {
        self.0.link.handshake()
    }

    /// What its connection is at the moment: `polling` or `websocket`, to which clients
    /// move from polling as soon as they can; none once it is gone, and for clients that
    /// only poll, stream events or POST.
    pub fn transport(&self) -> Option<&'static str> {
        self.0.link.transport()
    }

    /// True where it came back and has its id, its rooms and its data again.
    pub fn recovered(&self) -> bool {
        self.0.recovered
    }

    /// True while the client is in.
    pub fn is_connected(&self) -> bool {
        self.0.state.lock().phase == Phase::In
    }

    /// Ready once it has gone, and at once where it has: what is done for a socket
    /// again and again ends by it. One that comes back and is recovered has gone before.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use fanwire::Socket;
    ///
    /// /// Says every second how many there were.
    /// async fn count(socket: Socket) {
    ///     tokio::spawn(async move {
    ///         let mut seconds = tokio::time::interval(Duration::from_secs(1));
    ///         for count in 0_u64.. {
    ///             tokio::select! {
    ///                 () = socket.closed() => return,
    ///                 _ = seconds.tick() => {}
    ///             }
    ///             if socket.emit("second", count).await.is_err() {
    ///                 return;
    ///             }
    ///         }
    ///     });
    /// }
    ///
    /// let application = fanwire::Application::new()
    ///     .namespace("/", |root| {
    ///         root.on("count", count);
    ///     })
    ///     .unwrap();
    /// ```
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut state = self.0.state.lock();
        // Begun under the lock: whoever goes after it is noticed.
        let gone = (state.phase != Phase::Gone).then(|| {
            let gone = state.gone.get_or_insert_default();
            gone.clone().notified_owned()
        });
        async move {
            if let Some(gone) = gone {
                gone.await;
            }
        }
    }

    /// Keeps a value with it, one of each type, also when it is recovered.
    pub fn set<T: Send + Sync + 'static>(&self, value: T) {
        self.0
            .data
            .lock()
            .insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// A value kept with it.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.0.data.lock().get(&TypeId::of::<T>())?.clone();
        value.downcast().ok()
    }

    /// Sends the client an event. With recovery on it is ordered and kept like any
    /// message, and reaches the client when it comes back; else it is lost with the
    /// connection. Await it before the next one to keep the order, and so as not to run
    /// ahead of a client that reads slowly. A raw WebSocket gets the data alone: one
    /// text as a text frame, one `Bytes` as a binary frame, anything else as a text
    /// frame of the JSON.
    ///
    /// # Errors
    /// A [`Refusal`]: `invalid_event`, `invalid_body`, `too_large`; before the client
    /// is in, and without recovery once it has gone, `unavailable`; `bad_request`
    /// for a client that hears nothing of its own, a POST, an event stream or a poll;
    /// and what publishing may be refused with.
    pub fn emit(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
        let phase = self.0.state.lock().phase;
        let logged = self.0.link.is_logged();
        let ready = match phase {
            Phase::Coming => Err(unavailable("the socket is not connected yet")),
            Phase::Gone if !logged => Err(unavailable("the socket has gone")),
            Phase::In | Phase::Gone => Ok(()),
        };
        let publishing = match ready.and_then(|()| self.hears()) {
            Ok(()) if logged => Ok(self.0.space.publish(self.own(), draft(event, args))),
            Ok(()) => Err(named(event, args).map(|(event, args)| {
                self.0.link.send(event.as_str(), &args, None);
            })),
            Err(refusal) => Err(Err(refusal)),
        };
        let room = self.0.link.room();
        async move {
            match publishing {
                Ok(publishing) => publishing.await,
                Err(done) => {
                    if let Some(room) = room {
                        room.await;
                    }
                    done
                }
            }
        }
    }

    /// Sends an event that may be lost: only who keeps up gets it, and it is not
    /// kept.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit_volatile(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
        let bounds = self.0.link.bounds();
        let sending = match self.hears() {
            Err(refusal) => Err(refusal),
            Ok(()) if bounds.by_link => named(event, args).map(|(event, args)| {
                if self.is_connected() && self.0.link.room().is_none() {
                    self.0.link.send(event.as_str(), &args, None);
                }
                None
            }),
            Ok(()) => {
                let draft = draft(event, args).map(|mut draft| {
                    draft.volatile = true;
                    draft
                });
                Ok(Some(self.0.space.publish(self.own(), draft)))
            }
        };
        async move {
            match sending? {
                Some(publishing) => publishing.await,
                None => Ok(()),
            }
        }
    }

    fn hears(&self) -> Result<(), Refusal> {
        refused(self.0.link.bounds().hears)
    }

    /// Sends an event and waits for the client's acknowledgement. It is not kept: a
    /// client that goes does not answer.
    ///
    /// # Errors
    /// None came in time, the client went, or the event cannot be sent.
    pub fn emit_with_ack(
        &self,
        event: &str,
        args: impl IntoArgs,
        time: Duration,
    ) -> impl Future<Output = Result<Args, AckError>> + Send + 'static {
        let asked = named(event, args)
            .map_err(AckError::Refused)
            .and_then(|(event, args)| self.ask(event.as_str(), &args, None));
        async move { asked?.within(time).await }
    }

    /// Asks, under `id` or one of its own.
    pub(super) fn ask(
        &self,
        event: &str,
        args: &Args,
        id: Option<u64>,
    ) -> Result<Awaited, AckError> {
        if !self.is_connected() {
            return Err(AckError::Disconnected);
        }
        let bounds = self.0.link.bounds();
        refused(bounds.hears.or(bounds.acks)).map_err(AckError::Refused)?;
        let awaited = self.0.acks.expect(id)?;
        self.0.link.send(event, args, Some(awaited.id()));
        Ok(awaited)
    }

    /// Puts it into a room: it hears what is sent there from now on.
    ///
    /// # Errors
    /// A name that breaks the rules of channels, too many rooms, a socket that has
    /// gone; `bad_request` for the client of a POST.
    pub fn join(&self, room: &str) -> Result<(), Refusal> {
        refused(self.0.link.bounds().fixed)?;
        let name = Name::new(room)
            .map_err(|why| Refusal::new(ErrorCode::InvalidChannel, why.to_string()))?;
        // Held throughout: what joins and leaves comes to the hub in one order.
        let mut state = self.0.state.lock();
        if state.phase == Phase::Gone {
            return Err(unavailable("the socket has gone"));
        }
        if state.rooms.contains_key(&name) {
            return Ok(());
        }
        if state.rooms.len() >= self.0.max_rooms {
            let sentence = format!("a socket is in at most {} rooms", self.0.max_rooms);
            return Err(Refusal::new(ErrorCode::TooManyChannels, sentence));
        }
        let at = match state.phase {
            Phase::In => Some(self.0.link.join(&self.0.space, self.room(&name))?),
            Phase::Coming | Phase::Gone => None,
        };
        state.rooms.insert(name, at);
        Ok(())
    }

    /// Takes it out of a room. A WebSocket stays in the channels of its URL.
    pub fn leave(&self, room: &str) {
        if self.0.link.bounds().fixed.is_some() {
            return;
        }
        let Ok(name) = Name::new(room) else { return };
        if self.0.link.keeps(&self.room(&name)) {
            return;
        }
        let mut state = self.0.state.lock();
        if state.rooms.remove(&name).is_some() && state.phase == Phase::In {
            self.0.link.leave(self.room(&name));
        }
    }

    /// The rooms that it is in, the channels of its URL among them.
    pub fn rooms(&self) -> Vec<String> {
        let state = self.0.state.lock();
        let names = state.rooms.keys();
        names.map(|name| name.as_str().to_owned()).collect()
    }

    /// Sends to a room or a socket, but not to this one.
    pub fn to(&self, target: impl Into<Target>) -> Emit {
        self.broadcast().to(target)
    }

    /// Sends to everyone in the namespace but this one.
    pub fn broadcast(&self) -> Emit {
        Emit::new(self.0.space.clone()).except(self.0.id.clone())
    }

    /// The namespace.
    pub fn io(&self) -> Io {
        Io::new(self.0.space.clone())
    }

    /// Lets the client go from the namespace: stock clients do not come back by
    /// themselves then. A WebSocket is closed with 3503.
    pub fn disconnect(&self) {
        self.0.link.disconnect();
    }

    /// Closes its whole connection: stock clients come back. A WebSocket is closed with
    /// 3503.
    pub fn close(&self) {
        self.0.link.close();
    }

    fn own(&self) -> Keys {
        Keys::from_iter([self.own_key()])
    }

    fn room(&self, name: &Name) -> Key {
        Key::Channel(self.0.space.namespace.clone(), name.clone())
    }
}

/// For whoever serves it.
impl Socket {
    /// The same client, known to be somebody else now. Code that holds on to the one
    /// before goes on with it, as who it was.
    pub(crate) fn becomes(&self, user: Subject) -> Self {
        let before = &*self.0;
        Self(Arc::new(Inner {
            space: before.space.clone(),
            id: before.id.clone(),
            user,
            recovered: before.recovered,
            data: before.data.clone(),
            link: before.link.clone(),
            acks: before.acks.clone(),
            max_rooms: before.max_rooms,
            state: before.state.clone(),
        }))
    }

    /// What is sent to it alone has this key.
    pub(crate) fn own_key(&self) -> Key {
        Key::Socket(self.0.space.namespace.clone(), self.0.id.clone())
    }

    /// Does something with the rooms of all of these, while none joins or leaves any.
    pub(crate) fn holding<T>(sockets: &[Self], done: impl FnOnce(Vec<Key>) -> T) -> T {
        let states: Vec<_> = sockets.iter().map(|one| one.0.state.lock()).collect();
        let all = sockets.iter().zip(&states);
        let rooms = all.flat_map(|(one, state)| state.rooms.keys().map(|name| one.room(name)));
        done(rooms.collect())
    }

    /// It comes in: `attach` gets its rooms, each with where it was joined, and
    /// gives the place from which it hears those that it has not joined yet.
    pub(crate) fn enter<E>(
        &self,
        attach: impl FnOnce(&BTreeMap<Name, Option<Cursor>>) -> Result<Cursor, E>,
    ) -> Result<(), E> {
        let mut state = self.0.state.lock();
        let at = attach(&state.rooms)?;
        state.rooms.values_mut().for_each(|joined| {
            joined.get_or_insert(at);
        });
        state.phase = Phase::In;
        Ok(())
    }

    /// It has gone; false where it had before.
    pub(crate) fn go(&self) -> bool {
        self.0.acks.close();
        self.0.space.go(self);
        let mut state = self.0.state.lock();
        if let Some(gone) = state.gone.take() {
            gone.notify_waiters();
        }
        std::mem::replace(&mut state.phase, Phase::Gone) != Phase::Gone
    }

    /// Its rooms, with where it joined them.
    pub(crate) fn joined(&self) -> Vec<(Name, Cursor)> {
        let state = self.0.state.lock();
        let rooms = state.rooms.iter();
        rooms
            .filter_map(|(name, at)| Some((name.clone(), (*at)?)))
            .collect()
    }

    pub(crate) fn is_in(&self, name: &Name) -> bool {
        self.0.state.lock().rooms.contains_key(name)
    }

    pub(crate) fn recheck(&self) {
        self.0.link.recheck(self);
    }

    pub(crate) fn acks(&self) -> &Arc<Acks> {
        &self.0.acks
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.0.space
    }

    /// Whether both are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.state, &other.0.state)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("namespace", &self.0.space.namespace)
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

fn refused(why: Option<&str>) -> Result<(), Refusal> {
    match why {
        Some(why) => Err(Refusal::new(ErrorCode::BadRequest, why)),
        None => Ok(()),
    }
}

fn unavailable(sentence: &str) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, sentence)
}
