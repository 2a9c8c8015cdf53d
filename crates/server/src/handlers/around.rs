//! Code around handlers: sees every event before its handler does, and what becomes
//! of it.

use std::fmt;
use std::sync::Arc;

use super::code::{Code, Panicked, caught};
use super::context::Call;
use super::convert::Reply;
use super::extract::Extract;
use super::handler::Doing;
use super::refusal::Rejected;
use super::socket::Socket;
use super::states::States;

/// An event is on its way to its handler: where code around it is called.
pub struct Around {
    pub(super) socket: Socket,
    pub(super) states: Arc<States>,
    call: Option<Call>,
    next: Option<Next>,
}

/// The rest of the way to an event's handler. Dropped, the handler is not called.
#[must_use = "the handler is not called before run"]
pub struct Next {
    code: Arc<Code>,
    /// How many are behind it.
    passed: usize,
}

impl Next {
    pub(super) fn new(code: Arc<Code>) -> Self {
        Self { code, passed: 0 }
    }

    /// Goes on, and comes back with what the event is answered. A handler that panics
    /// is `internal`.
    pub async fn run(self, call: Call) -> Reply {
        let done = caught(async move { self.go(call).await }).await;
        done.unwrap_or_else(|Panicked| {
            Reply::Rejected(Rejected::new("internal", "a fault of the server"))
        })
    }

    fn go(self, call: Call) -> Doing<Reply> {
        let Self { code, passed } = self;
        if let Some(around) = code.around.get(passed) {
            return around(Around {
                socket: call.socket.clone(),
                states: call.states.clone(),
                next: Some(Self {
                    code: code.clone(),
                    passed: passed + 1,
                }),
                call: Some(call),
            });
        }
        match code.handler(call.event()) {
            Some(handler) => handler(call),
            None => Box::pin(std::future::ready(Reply::None)),
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

impl Extract<Around> for Call {
    async fn extract(from: &mut Around) -> Result<Self, Rejected> {
        from.call.take().ok_or_else(twice)
    }
}

impl Extract<Around> for Next {
    async fn extract(from: &mut Around) -> Result<Self, Rejected> {
        from.next.take().ok_or_else(twice)
    }
}

/// Asked for by two parameters.
fn twice() -> Rejected {
    Rejected::new("internal", "a fault of the server")
}
