//! A GET that waits for packets, over HTTP/1.1 without hyper, over HTTP/2 within it.
//!
//! A poll that goes away unanswered ends its session: nobody can tell what arrived.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_proto::engineio::frames_to_polling;
use fanwire_proto::engineio::payload::SEPARATOR;
use fanwire_proto::engineio::session::{Control, Idle, PollId};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONNECTION, HeaderValue};

use super::engine::Engine;
use crate::answer::{Answer, Dress, full, whole};
use crate::transport::{Answering, Said};

const TEXT: &str = "text/plain; charset=UTF-8";

/// The right to one answer.
pub(crate) struct Ticket {
    engine: Arc<Engine>,
    id: PollId,
    ping: bool,
    idle: Idle,
    done: bool,
}

impl Ticket {
    pub(crate) fn new(engine: Arc<Engine>, id: PollId, ping: bool, idle: Idle) -> Self {
        Self {
            engine,
            id,
            ping,
            idle,
            done: false,
        }
    }

    /// Ready with the body of the answer.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Vec<u8>> {
        let (engine, ping, idle) = (&self.engine, self.ping, self.idle);
        let answer = engine.answer_of(self.id, cx, || {
            if ping {
                // Alone: clients may take it so, and what else there is comes next.
                return Some((Some(Control::Ping), Vec::new(), false));
            }
            match (engine.outlet.poll_take(cx), idle) {
                (Poll::Ready((units, room)), Idle::Close) => {
                    Some((Some(Control::Close), units, room))
                }
                (Poll::Ready((units, room)), _) => Some((None, units, room)),
                (Poll::Pending, Idle::Park) => None,
                (Poll::Pending, Idle::Noop) => Some((Some(Control::Noop), Vec::new(), false)),
                (Poll::Pending, Idle::Close) => Some((Some(Control::Close), Vec::new(), false)),
            }
        });
        let Some(answer) = answer else {
            return Poll::Pending;
        };
        self.done = true;
        let (last, units, room) = match answer {
            Ok(taken) => taken,
            Err(control) => (Some(control), Vec::new(), false),
        };
        if room {
            engine.writable();
        }
        Poll::Ready(body(&units, last))
    }

    /// The answer, within HTTP/2.
    pub(crate) async fn answered(mut self, dress: &Dress) -> Answer {
        let body = poll_fn(|cx| self.poll(cx)).await;
        let mut answer = packets(body);
        dress.put_on(answer.headers_mut());
        answer
    }

    /// The answer as bytes; `closes`: the connection's last.
    pub(crate) fn said(mut self, dress: Dress, closes: bool) -> Answering {
        Box::pin(async move {
            let body = poll_fn(|cx| self.poll(cx)).await;
            let closes = closes || self.engine.app.is_stopping();
            let mut answer = packets(Bytes::new());
            dress.put_on(answer.headers_mut());
            if closes {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Said {
                words: whole(&answer.into_parts().0, &body),
                closes,
            }
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done {
            let id = self.id;
            self.engine
                .input(|session, now| session.poll_aborted(now, id));
        }
    }
}

/// Packets between record separators.
fn body(units: &[Bytes], last: Option<Control>) -> Vec<u8> {
    let mut body = Vec::with_capacity(units.iter().map(Bytes::len).sum::<usize>() + 8);
    for unit in units {
        frames_to_polling(unit, &mut body);
    }
    // A server that stops has said goodbye already.
    let said = last == Some(Control::Close) && body.ends_with(b"\x1e1");
    if let Some(last) = last.filter(|_| !said) {
        body.push(SEPARATOR);
        body.extend_from_slice(last.text().as_bytes());
    }
    // Each packet is written with the separator before it.
    if !body.is_empty() {
        body.remove(0);
    }
    body
}

/// Packets as an answer.
pub(crate) fn packets(body: impl Into<Bytes>) -> Answer {
    let mut answer = full(StatusCode::OK, TEXT, body);
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, no_store);
    answer
}
