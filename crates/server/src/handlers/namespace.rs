//! The handlers of a namespace.

use std::fmt;

use super::around::Around;
use super::code::{Code, erased};
use super::context::{Arrival, Call, Departure, Entry};
use super::convert::{IntoReply, Reply};
use super::handler::Handler;
use super::refusal::{ConnectRefusal, Rejected};
use super::states::Needs;

/// The handlers of one namespace, for the clients of every transport: an `emit` of
/// Socket.IO, a frame of a WebSocket at `/c/chat:lobby` (its `event`; `message` where
/// it is raw) and `POST /c/chat:lobby?event=say`. Who sends by its URL has the right
/// to publish there, is in the channels that the URL names, and gets what the handler
/// returns as its `$ack` or answer.
///
/// Who is asked about and told of: sockets of Socket.IO and WebSockets at a channel of
/// the namespace are asked about at `on_connect` and told of at `on_connected` and
/// `on_disconnect`. Event streams, each long poll and history there are asked about at
/// `on_connect`, so that nobody walks around it; they hear their channels and nothing
/// else, and are not told of again. A POST hears nothing: it is not asked about.
///
/// A [handler](Handler) is an async function whose parameters say what it asks for.
/// Those of one client run one after the other, in
/// the order in which it sent its events, and are acknowledged in it. One that
/// panics ends nothing but itself. One that waits keeps this client's next events
/// waiting, and no other's. None is cut, also not when its client goes: `on_disconnect`
/// comes behind it. What may never come is waited for beside
/// [`Socket::closed`](crate::Socket::closed), or for a time; here none takes longer than 10 s:
///
/// ```
/// # fanwire::Application::new().namespace("/", |root| {
/// use std::time::Duration;
///
/// use fanwire::{Call, Next, Rejected, Reply};
///
/// root.around(async |call: Call, next: Next| -> Result<Reply, Rejected> {
///     let done = tokio::time::timeout(Duration::from_secs(10), next.run(call)).await;
///     done.map_err(|_| Rejected::new("timeout", "this takes too long"))
/// });
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct Handlers(pub(super) Code);

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.events.keys()).finish()
    }
}

impl Handlers {
    /// Asked before a client comes in: it may refuse, put the socket into rooms and
    /// keep things with it. Nothing of the client is heard before it says yes. Asked
    /// again for a fresh socket where one could not be recovered after all; then
    /// the first one is gone without a further word.
    ///
    /// Several are asked in the order in which they were given, until one refuses.
    ///
    /// Who POSTs is not asked. What is only for those who were let in asks for what was kept
    /// with them then ([`Kept`](crate::Kept)), or is judged [around](Self::around) all events.
    ///
    /// **Tokens of an application's own.** `Authorization`, cookies and `?token=` are the
    /// server's: a token that is none of its `[issuers]` is refused in the first before code is
    /// asked, and code sees none of them. What code checks itself comes in
    /// [`Auth`](crate::Auth) (Socket.IO's `auth`, where the server has no issuers `auth.token`
    /// too), in another member of the query (`?jwt=`), or in a header of its own
    /// ([`Socket::handshake`](crate::Socket::handshake)). Otherwise let the server check it:
    /// an issuer with the same secret or keys makes a `User` of who shows it.
    ///
    /// [`Auth`](crate::Auth) is what a client of Socket.IO shows; of anyone else it is the
    /// query of the URL, as an object of texts without secrets, and
    /// `http.on_connect_timeout` bounds how long they may take together. Over a WebSocket
    /// a refusal is its close: by the code that `data.code` names in the table of errors,
    /// else 3507, with the message; over plain HTTP it is a problem with that code's
    /// status, else 403.
    ///
    /// ```
    /// # fanwire::Application::new().namespace("/", |root| {
    /// use fanwire::{Auth, ConnectRefusal, Socket};
    ///
    /// root.on_connect(async |auth: Auth| match auth.get::<String>("word").as_deref() {
    ///     Some("please") => Ok(()),
    ///     _ => Err(ConnectRefusal::new("say the word").with(serde_json::json!({ "tries": 1 }))),
    /// });
    /// root.on_connect(async |socket: Socket| Ok(socket.join("lobby")?));
    /// # }).unwrap();
    /// ```
    pub fn on_connect<M, H>(&mut self, handler: H) -> &mut Self
    where
        M: 'static,
        H: Handler<Arrival, M, Output = Result<(), ConnectRefusal>>,
    {
        self.needs("on_connect".to_owned(), H::needs);
        self.0.connect.push(erased(handler, asked));
        self
    }

    /// Called once a client is in. What is emitted to it here, until the last handler
    /// ends, comes right behind its `connect` and before any message of its channels,
    /// live or replayed: those wait, at most `http.on_connected_wait` (2 s), and none is
    /// lost but what is volatile. What takes longer, or never ends, comes among them.
    /// Several are called in their order.
    ///
    /// Where sockets of Socket.IO are recovered, what is emitted to one is a message with
    /// a place in the one order, and comes behind what was said in its rooms before.
    ///
    /// ```
    /// # fanwire::Application::new().namespace("/chat", |chat| {
    /// use fanwire::Socket;
    ///
    /// // new WebSocket("ws://…/c/chat:lobby"): a text frame of exactly this.
    /// chat.on_connected(async |socket: Socket| {
    ///     // It may have gone already.
    ///     let _ = socket.emit("message", "Connected to server!").await;
    /// });
    /// # }).unwrap();
    /// ```
    pub fn on_connected<M, H>(&mut self, handler: H) -> &mut Self
    where
        M: 'static,
        H: Handler<Entry, M, Output = ()>,
    {
        self.needs("on_connected".to_owned(), H::needs);
        self.0.connected.push(erased(handler, |done| done));
        self
    }

    /// Called for an event of this name; of two for one name the last one counts.
    ///
    /// Its parameters take the event's arguments in their order: the first of an
    /// argument's type takes the first, and so on; a tuple takes as many as it has.
    /// Too few, or others, are refused as `bad_request` with the place of the one that is
    /// wrong (`args[1].name`). More than are taken are left aside, as Socket.IO servers
    /// do: a client that says more than it did last year is not locked out. Who minds
    /// asks for [`Args`](crate::Args).
    ///
    /// Names that Socket.IO keeps for itself (`connect`, `disconnect` …) come from nobody: a
    /// server with a handler for one does not start. What else cannot be the name of a
    /// message (`open`, a leading `$`, over 255 bytes) comes by Socket.IO alone.
    ///
    /// `curl -d '{…}'` sends a text, and says so: a handler that takes
    /// [`Json`](crate::Json) wants `-H 'content-type: application/json'`; several arguments
    /// are `?args=1` and a JSON array.
    pub fn on<M, H>(&mut self, event: &str, handler: H) -> &mut Self
    where
        M: 'static,
        H: Handler<Call, M>,
        H::Output: IntoReply,
    {
        self.needs(format!("on({event:?})"), H::needs);
        let handler = erased(handler, replied);
        self.0.events.insert(event.to_owned(), handler);
        self
    }

    /// Called for every event without a handler of its own, which is told apart by
    /// [`EventName`](crate::EventName). The last one counts.
    ///
    /// ```
    /// # fanwire::Application::new().namespace("/", |root| {
    /// use fanwire::{Args, EventName, Rejected, Socket};
    ///
    /// root.on_any(async |socket: Socket, EventName(name): EventName, args: Args| {
    ///     socket.broadcast().emit(&name, args).await.map_err(Rejected::from)
    /// });
    /// # }).unwrap();
    /// ```
    pub fn on_any<M, H>(&mut self, handler: H) -> &mut Self
    where
        M: 'static,
        H: Handler<Call, M>,
        H::Output: IntoReply,
    {
        self.needs("on_any".to_owned(), H::needs);
        self.0.any = Some(erased(handler, replied));
        self
    }

    /// Called around the handler of every event that has one: asks for the
    /// [`Call`] and what comes [`Next`](crate::Next), and for whatever else a handler
    /// can; changes the arguments, refuses, answers by itself, or does something
    /// before and behind it. What it returns is the answer.
    ///
    /// Several are called in the order in which they were given, each around the next;
    /// those of the [application](crate::Application::around) are around all of a
    /// namespace's. A panic ends that one call alone: who is around it sees it as
    /// `internal`.
    ///
    /// ```
    /// # fanwire::Application::new().namespace("/", |root| {
    /// use std::time::Instant;
    ///
    /// use fanwire::{Call, Next, Rejected, Reply};
    ///
    /// root.around(async |call: Call, next: Next| {
    ///     let (event, began) = (call.event().to_owned(), Instant::now());
    ///     let reply = next.run(call).await;
    ///     println!("{event}: {:?}", began.elapsed());
    ///     reply
    /// });
    /// root.around(async |call: Call, next: Next| -> Result<Reply, Rejected> {
    ///     if call.args().size() > 1000 {
    ///         return Err(Rejected::new("too_long", "say it shorter"));
    ///     }
    ///     Ok(next.run(call).await)
    /// });
    /// # }).unwrap();
    /// ```
    pub fn around<M, H>(&mut self, handler: H) -> &mut Self
    where
        M: 'static,
        H: Handler<Around, M>,
        H::Output: IntoReply,
    {
        self.needs("around".to_owned(), H::needs);
        self.0.around.push(erased(handler, replied));
        self
    }

    /// Called once for each socket that was in, of Socket.IO or a WebSocket, once its
    /// other handlers are through, with the [`Reason`](crate::Reason) as one may ask for
    /// it. Several are called in their order. A server that stops waits for those of
    /// WebSockets, for at most `listen.shutdown_grace`.
    ///
    /// ```
    /// # fanwire::Application::new().namespace("/", |root| {
    /// use fanwire::{Io, Kept, Reason};
    ///
    /// // Not called for who never said a name.
    /// root.on_disconnect(async |io: Io, name: Kept<String>, Reason(reason): Reason| {
    ///     // Nobody is to be told where this fails.
    ///     let _ = io.emit("left", (name.as_str(), reason)).await;
    /// });
    /// # }).unwrap();
    /// ```
    pub fn on_disconnect<M, H>(&mut self, handler: H) -> &mut Self
    where
        M: 'static,
        H: Handler<Departure, M, Output = ()>,
    {
        self.needs("on_disconnect".to_owned(), H::needs);
        self.0.disconnect.push(erased(handler, |done| done));
        self
    }

    fn needs(&mut self, handler: String, ask: fn(&mut Needs)) {
        self.0.needs.push((handler, Needs::of(ask)));
    }
}

pub(super) fn asked(
    done: Result<Result<(), ConnectRefusal>, Rejected>,
) -> Result<(), ConnectRefusal> {
    done?
}

pub(super) fn replied<T: IntoReply>(done: Result<T, Rejected>) -> Reply {
    match done {
        Ok(value) => value.into_reply(),
        Err(why) => Reply::Rejected(why),
    }
}
