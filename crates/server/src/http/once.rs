//! Answers that need no socket of their own: history, polls that do not wait, and
//! those over HTTP/2.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{Attach, End, Kind, Start};
use fanwire_core::policy::Permit;

use crate::app::App;
use crate::clock::connection_id;
use crate::dialect::Form;
use crate::transport::{Link, Listed, PullWriter, Signal};

/// Asks the hub for one answer and gives its JSON. Waits at most `wait` for news.
///
/// # Errors
/// What the hub refuses with; `unavailable` where the server shuts down.
pub(super) async fn once(
    app: &Arc<App>,
    permit: Permit,
    start: Start,
    wait: Duration,
    limit: usize,
    listed: Listed,
) -> Result<Bytes, Refusal> {
    let link = Link::new(app.clock.clone());
    let _subscriber = app.hub.attach(Attach {
        permit,
        start,
        since: Default::default(),
        form: Form::Poll.id(),
        greeting: Duration::ZERO,
        preface: Bytes::new(),
        kind: Kind::Once {
            deadline: wait,
            limit,
        },
        conn: connection_id(),
        writer: Box::new(PullWriter::new(link.clone()).listed(listed)),
        heartbeat: None,
        shard: None,
    })?;
    let mut parts = Vec::new();
    let end = poll_fn(|cx| {
        let signal = link.look(cx);
        parts.append(&mut link.take());
        match signal {
            Signal::Ended(end) => Poll::Ready(end),
            _ => Poll::Pending,
        }
    })
    .await;
    match end {
        End::Answered => Ok(join(parts)),
        End::Refused(refusal) => Err(refusal),
        End::Close(_, reason) => Err(Refusal::new(Code::Unavailable, reason)),
        End::Shutdown => Err(Refusal::new(
            Code::Unavailable,
            "the server shuts down; ask again",
        )),
        _ => Err(Refusal::new(
            Code::Internal,
            "the answer could not be made; ask again",
        )),
    }
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut all = BytesMut::new();
    parts.iter().for_each(|part| all.extend_from_slice(part));
    all.freeze()
}
