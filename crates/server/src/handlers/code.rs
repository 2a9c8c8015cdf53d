//! Handlers without their types, and how they are called.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use hashbrown::HashMap;

use super::args::Args;
use super::convert::Reply;
use super::refusal::ConnectRefusal;
use super::socket::{Auth, Socket};

/// What a handler does.
pub(super) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type OnConnect =
    Box<dyn Fn(Socket, Auth) -> Doing<Result<(), ConnectRefusal>> + Send + Sync>;
pub(super) type OnConnected = Box<dyn Fn(Socket) -> Doing<()> + Send + Sync>;
pub(super) type OnEvent = Box<dyn Fn(Socket, Args) -> Doing<Reply> + Send + Sync>;
pub(super) type OnAny = Box<dyn Fn(Socket, String, Args) -> Doing<Reply> + Send + Sync>;
pub(super) type OnDisconnect = Box<dyn Fn(Socket, &'static str) -> Doing<()> + Send + Sync>;

/// The code of one namespace.
#[derive(Default)]
pub(crate) struct Code {
    pub(super) connect: Option<OnConnect>,
    pub(super) connected: Option<OnConnected>,
    pub(super) events: HashMap<String, OnEvent>,
    pub(super) any: Option<OnAny>,
    pub(super) disconnect: Option<OnDisconnect>,
}

impl Code {
    /// Whether a client may come in. Code that panics lets nobody in.
    pub(crate) async fn connects(&self, socket: Socket, auth: Auth) -> Result<(), ConnectRefusal> {
        let Some(handler) = &self.connect else {
            return Ok(());
        };
        caught(async move { handler(socket, auth).await })
            .await
            .unwrap_or_else(|Panicked| Err("a fault of the server".into()))
    }

    /// It is in.
    pub(crate) async fn connected(&self, socket: Socket) {
        if let Some(handler) = &self.connected {
            let _ = caught(async move { handler(socket).await }).await;
        }
    }

    /// Whether something handles this event.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.any.is_some() || self.events.contains_key(name)
    }

    /// An event came; none where nothing handles it.
    pub(crate) async fn event(&self, socket: Socket, name: String, args: Args) -> Option<Reply> {
        let reply = match (self.events.get(&name), &self.any) {
            (Some(handler), _) => caught(async move { handler(socket, args).await }).await,
            (None, Some(handler)) => caught(async move { handler(socket, name, args).await }).await,
            (None, None) => return None,
        };
        Some(reply.unwrap_or_else(|Panicked| {
            use super::refusal::Rejected;
            Reply::Rejected(Rejected::new("internal", "a fault of the server"))
        }))
    }

    /// It has gone.
    pub(crate) async fn disconnected(&self, socket: Socket, reason: &'static str) {
        if let Some(handler) = &self.disconnect {
            let _ = caught(async move { handler(socket, reason).await }).await;
        }
    }
}

/// Code panicked: what it was at is over, and nothing else.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs `work`; a panic in it ends it and goes no further. It was told on stderr.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}
