//! Handlers without their types, and how they are called.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use fanwire_core::error::{Code as ErrorCode, Refusal};
use fanwire_proto::socketio::RESERVED;
use hashbrown::HashMap;

use super::args::Args;
use super::around::{Around, Next};
use super::auth::Auth;
use super::context::{Arrival, Call, Departure, Entry};
use super::convert::Reply;
use super::handler::{Doing, Handler};
use super::refusal::{ConnectRefusal, Rejected};
use super::socket::Socket;
use super::states::{Needs, States};

/// A handler of any parameters.
pub(super) type Erased<C, T> = Arc<dyn Fn(C) -> Doing<T> + Send + Sync>;

/// The code of one namespace.
#[derive(Default)]
pub(crate) struct Code {
    pub(super) states: Arc<States>,
    pub(super) connect: Vec<Erased<Arrival, Result<(), ConnectRefusal>>>,
    pub(super) connected: Vec<Erased<Entry, Result<(), Rejected>>>,
    /// The outermost first.
    pub(super) around: Vec<Erased<Around, Reply>>,
    pub(super) events: HashMap<String, Erased<Call, Reply>>,
    pub(super) any: Option<Erased<Call, Reply>>,
    pub(super) disconnect: Vec<Erased<Departure, Result<(), Rejected>>>,
    /// What each handler asks for, with what it handles.
    pub(super) needs: Vec<(String, Needs)>,
}

/// A handler without its types; `done` makes the outcome of what it came to.
pub(super) fn erased<C, M, T, H: Handler<C, M>>(
    handler: H,
    done: fn(Result<H::Output, Rejected>) -> T,
) -> Erased<C, T>
where
    C: 'static,
    M: 'static,
    T: 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |context| {
        let doing = handler.clone().call(context);
        Box::pin(async move { done(doing.await) })
    })
}

impl Code {
    /// Whether it wants to be asked at all.
    pub(crate) fn asks(&self) -> bool {
        !self.connect.is_empty()
    }

    /// Whether a client may come in: whether all handlers let it, which are asked in
    /// their order. Code that panics lets nobody in.
    pub(crate) async fn connects(&self, socket: Socket, auth: Auth) -> Result<(), ConnectRefusal> {
        for handler in &self.connect {
            let arrival = Arrival {
                socket: socket.clone(),
                states: self.states.clone(),
                auth: auth.clone(),
            };
            caught(async move { handler(arrival).await })
                .await
                .unwrap_or_else(|Panicked| {
                    let refusal = Refusal::new(ErrorCode::Internal, "a fault of the server");
                    Err(ConnectRefusal::from(&refusal))
                })?;
        }
        Ok(())
    }

    /// Whether it has something to say to who comes in.
    pub(crate) fn greets(&self) -> bool {
        !self.connected.is_empty()
    }

    /// It is in.
    pub(crate) async fn connected(&self, socket: Socket) {
        for handler in &self.connected {
            let entry = Entry {
                socket: socket.clone(),
                states: self.states.clone(),
            };
            told(
                "on_connected",
                caught(async move { handler(entry).await }).await,
            );
        }
    }

    /// Events that have a handler, and that no client can send.
    pub(super) fn reserved(&self) -> impl Iterator<Item = &'static str> {
        let names = RESERVED.into_iter();
        names.filter(|name| self.events.contains_key(*name))
    }

    /// Whether something handles this event.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.any.is_some() || self.events.contains_key(name)
    }

    pub(super) fn handler(&self, event: &str) -> Option<&Erased<Call, Reply>> {
        self.events.get(event).or(self.any.as_ref())
    }

    /// An event came; none where nothing handles it.
    pub(crate) async fn event(
        self: &Arc<Self>,
        socket: Socket,
        name: String,
        args: Args,
    ) -> Option<Reply> {
        self.handler(&name)?;
        let call = Call::new(socket, self.states.clone(), name, args);
        Some(Next::new(self.clone()).run(call).await)
    }

    /// It has gone.
    pub(crate) async fn disconnected(&self, socket: Socket, reason: &'static str) {
        for handler in &self.disconnect {
            let departure = Departure {
                socket: socket.clone(),
                states: self.states.clone(),
                reason,
            };
            let done = caught(async move { handler(departure).await }).await;
            told("on_disconnect", done);
        }
    }
}

/// Nobody waits for these: who has an interest in why one was not called, looks into
/// the log.
fn told(handler: &'static str, done: Result<Result<(), Rejected>, Panicked>) {
    if let Ok(Err(why)) = done {
        tracing::debug!(handler, why = %why.message, "not called");
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
