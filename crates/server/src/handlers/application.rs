//! An application: code for namespaces.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use fanwire_core::key::{InvalidKey, Namespace};

use super::args::Args;
use super::code::Code;
use super::convert::{FromArgs, IntoReply, Reply};
use super::pattern::Pattern;
use super::refusal::{ConnectRefusal, Rejected};
use super::socket::{Auth, Socket};

/// The code of a server's own.
///
/// ```
/// use fanwire::{Application, Json, Rejected, Socket};
///
/// let application = Application::new()
///     .namespace("/chat", |chat| {
///         chat.on_connect(|socket: Socket, auth| async move {
///             let name: String = auth.get("name").ok_or("say your name")?;
///             socket.set(name);
///             socket.join("lobby").map_err(|why| (&why).into())
///         });
///         chat.on("say", |socket: Socket, text: String| async move {
///             let name = socket.get::<String>().ok_or("who are you?")?;
///             socket.to("lobby").emit("said", (name.as_str(), text)).await?;
///             Ok::<_, Rejected>("sent")
///         });
///     })
///     .unwrap();
/// ```
#[derive(Default)]
pub struct Application {
    namespaces: Vec<(Pattern, Arc<Code>)>,
}

/// The handlers of one namespace, for the clients of every transport: an `emit` of
/// Socket.IO, a frame of a WebSocket at `/c/chat:lobby` (its `event`; `message` where
/// it is raw) and `POST /c/chat:lobby?event=say`. Who comes by its URL has the right
/// to publish there, has not been asked about at `on_connect`, is in the channels
/// that the URL names, and gets what the handler returns as its `$ack` or answer.
///
/// Those of one client run one after the other, in
/// the order in which it sent its events, and are acknowledged in it. One that
/// panics ends nothing but itself. One that waits keeps this client's next events
/// waiting, and no other's.
#[derive(Default)]
pub struct Handlers(Code);

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.namespaces.iter().map(|(pattern, _)| pattern);
        f.debug_list().entries(patterns).finish()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.events.keys()).finish()
    }
}

impl Application {
    /// Without any code.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a namespace (`/`, `/chat`), or all whose name begins so (`/room-*`).
    /// Where several are meant by a name, the exact one counts, then the first.
    ///
    /// # Errors
    /// A name that breaks the rules of namespaces.
    pub fn namespace(
        mut self,
        name: &str,
        build: impl FnOnce(&mut Handlers),
    ) -> Result<Self, InvalidKey> {
        let pattern = Pattern::parse(name)?;
        let mut handlers = Handlers::default();
        build(&mut handlers);
        self.namespaces.push((pattern, Arc::new(handlers.0)));
        Ok(self)
    }

    /// The code of a namespace.
    pub(crate) fn find(&self, namespace: &Namespace) -> Option<Arc<Code>> {
        let exact = |pattern: &Pattern| matches!(pattern, Pattern::Exactly(_));
        let covering = || {
            let all = self.namespaces.iter();
            all.filter(|(pattern, _)| pattern.covers(namespace))
        };
        let exactly = covering().find(|(pattern, _)| exact(pattern));
        exactly
            .or_else(|| covering().next())
            .map(|(_, code)| code.clone())
    }

    /// What it serves.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.namespaces.iter().map(|(pattern, _)| pattern)
    }
}

impl Handlers {
    /// Asked before a client comes in: it may refuse, put the socket into rooms and
    /// keep things with it. Nothing of the client is heard before it says yes. Asked
    /// again for a fresh socket where one could not be recovered after all; then
    /// the first one is gone without a further word.
    pub fn on_connect<F, Fut>(&mut self, handler: F) -> &mut Self
    where
        F: Fn(Socket, Auth) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ConnectRefusal>> + Send + 'static,
    {
        self.0.connect = Some(Box::new(move |socket, auth| {
            Box::pin(handler(socket, auth))
        }));
        self
    }

    /// Called once a client is in; what is emitted here comes right behind its
    /// `connect`.
    pub fn on_connected<F, Fut>(&mut self, handler: F) -> &mut Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.0.connected = Some(Box::new(move |socket| Box::pin(handler(socket))));
        self
    }

    /// Called for an event of this name. Arguments that are not what the handler
    /// takes are refused as `bad_request`.
    pub fn on<A, R, F, Fut>(&mut self, event: &str, handler: F) -> &mut Self
    where
        A: FromArgs + Send + 'static,
        R: IntoReply,
        F: Fn(Socket, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let called = move |socket: Socket, args: Args| -> super::code::Doing<Reply> {
            match A::from_args(args) {
                Ok(args) => {
                    let doing = handler(socket, args);
                    Box::pin(async move { doing.await.into_reply() })
                }
                Err(why) => {
                    let rejected = Rejected::from(why);
                    Box::pin(std::future::ready(Reply::Rejected(rejected)))
                }
            }
        };
        self.0.events.insert(event.to_owned(), Box::new(called));
        self
    }

    /// Called with name and arguments of every event without a handler of its own.
    pub fn on_any<R, F, Fut>(&mut self, handler: F) -> &mut Self
    where
        R: IntoReply,
        F: Fn(Socket, String, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.0.any = Some(Box::new(move |socket, name, args| {
            let doing = handler(socket, name, args);
            Box::pin(async move { doing.await.into_reply() })
        }));
        self
    }

    /// Called once for each socket of Socket.IO that was in, with the reason in the words of
    /// Socket.IO: `transport close`, `ping timeout`, `client namespace disconnect` …
    pub fn on_disconnect<F, Fut>(&mut self, handler: F) -> &mut Self
    where
        F: Fn(Socket, &'static str) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.0.disconnect = Some(Box::new(move |socket, reason| {
            Box::pin(handler(socket, reason))
        }));
        self
    }
}
