//! A namespace as a whole.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::error::Refusal;
use fanwire_core::key::SocketId;

use super::convert::IntoArgs;
use super::emit::{Answers, Emit, Target};
use super::history::{Past, cursor, history, key};
use super::socket::Socket;
use super::space::{Space, Spaces};

/// A namespace: sends to everyone or to those chosen, and knows who is there.
#[derive(Clone)]
pub struct Io(Arc<Space>);

/// All namespaces of a server, for its routes ([`Server::routes`](crate::Server::routes)):
/// each request has them as an extension. A handle: cheap to clone.
///
/// ```
/// use axum::Extension;
/// use axum::routing::post;
/// use fanwire::Namespaces;
///
/// async fn notice(Extension(fanwire): Extension<Namespaces>, text: String) -> &'static str {
///     let Some(chat) = fanwire.io("/chat") else {
///         return "no such namespace";
///     };
///     match chat.to("lobby").emit("notice", text).await {
///         Ok(()) => "sent",
///         Err(_) => "not sent",
///     }
/// }
///
/// # fn shown() -> Result<(), fanwire::config::Problems> {
/// let routes = axum::Router::new().route("/notice", post(notice));
/// let server = fanwire::Server::new(fanwire::Config::default())?.routes(routes);
/// # Ok(()) }
/// # shown().unwrap();
/// ```
#[derive(Clone)]
pub struct Namespaces(Arc<Spaces>);

impl Namespaces {
    pub(crate) fn new(spaces: Arc<Spaces>) -> Self {
        Self(spaces)
    }

    /// A namespace (`/`, `/chat`), to send to its sockets and to know who is there.
    /// None where no namespace can have this name.
    pub fn io(&self, namespace: &str) -> Option<Io> {
        self.0.named(namespace).map(Io::new)
    }
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Namespaces")
    }
}

impl Io {
    pub(crate) fn new(space: Arc<Space>) -> Self {
        Self(space)
    }

    /// To a room or a socket.
    pub fn to(&self, target: impl Into<Target>) -> Emit {
        Emit::new(self.0.clone()).to(target)
    }

    /// To everyone but those in a room, or but one socket.
    pub fn except(&self, target: impl Into<Target>) -> Emit {
        Emit::new(self.0.clone()).except(target)
    }

    /// What may be lost.
    pub fn volatile(&self) -> Emit {
        Emit::new(self.0.clone()).volatile()
    }

    /// Sends an event to everyone: all sockets of Socket.IO, and whoever listens to the
    /// namespace's `@all` by URL (`/c/chat:@all`).
    ///
    /// # Errors
    /// As [`Emit::emit`].
    pub fn emit(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
        Emit::new(self.0.clone()).emit(event, args)
    }

    /// Asks everyone who is connected now.
    ///
    /// # Errors
    /// As [`Emit::emit_with_ack`].
    pub fn emit_with_ack(
        &self,
        event: &str,
        args: impl IntoArgs,
        time: Duration,
    ) -> impl Future<Output = Result<Answers, Refusal>> + Send + 'static {
        Emit::new(self.0.clone()).emit_with_ack(event, args, time)
    }

    /// The last messages of a room, or of `@all`, which is what went to everyone: at
    /// most `most` of them and 1,000. What is volatile, what was sent to one socket, and
    /// what the namespace does not keep is not there (`history_messages` and its like in
    /// the rules of the namespace): one that keeps nothing has an empty history.
    ///
    /// ```
    /// # fanwire::Application::new().namespace("/chat", |chat| {
    /// use fanwire::{Json, Rejected, Socket};
    ///
    /// // Shows who comes what was said last.
    /// chat.on_connected(async |socket: Socket| {
    ///     let Ok(past) = socket.io().history("lobby", 20).await else {
    ///         return;
    ///     };
    ///     for said in past.messages {
    ///         // It may have gone again.
    ///         let _ = socket.emit(&said.event, said.args).await;
    ///     }
    /// });
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `invalid_channel`; `unavailable` where the broker cannot be reached, or does not
    /// answer within `limits.broker_wait`.
    pub fn history(
        &self,
        room: &str,
        most: usize,
    ) -> impl Future<Output = Result<Past, Refusal>> + Send + 'static {
        history(self.0.clone(), key(&self.0, room), None, most)
    }

    /// The first messages of a room behind a cursor, which is the id of one or where
    /// another [`Past`] ended. Where not all of them are kept any more, or the cursor is
    /// of a store that is gone, the answer says so.
    ///
    /// # Errors
    /// As [`Io::history`]; `bad_request` for what is no cursor.
    pub fn history_after(
        &self,
        room: &str,
        after: &str,
        most: usize,
    ) -> impl Future<Output = Result<Past, Refusal>> + Send + 'static {
        let (space, key, after) = (self.0.clone(), key(&self.0, room), cursor(after));
        async move { history(space, key, Some(after?), most).await }
    }

    /// Everyone who is connected now.
    pub fn sockets(&self) -> Vec<Socket> {
        self.0.everyone()
    }

    /// Those of them in a room.
    pub fn sockets_in(&self, room: &str) -> Vec<Socket> {
        self.to(room).sockets()
    }

    /// Who has this id.
    pub fn socket(&self, id: &SocketId) -> Option<Socket> {
        self.0.find(id)
    }

    /// Lets everyone go from the namespace.
    pub fn disconnect_sockets(&self) {
        self.sockets().iter().for_each(Socket::disconnect);
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Io({:?})", self.0.namespace)
    }
}
