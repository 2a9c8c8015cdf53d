//! Out of hyper: the head is parsed, nothing is owed to the peer, and the
//! socket goes on under a task of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::error::Refusal;
use fanwire_core::hub::{Attach, Heartbeat, Kind, Start, Subscriber};
use fanwire_core::policy::Permit;

use super::port::Port;
use super::stream::{Stream, linger};
use super::{park, web_socket};
use crate::answer::{Dress, raw_problem};
use crate::app::{App, Peer};
use crate::clock::connection_id;
use crate::dialect::Form;

/// A request whose answer is written outside hyper.
pub(crate) struct Departure {
    /// The right to listen.
    pub(crate) permit: Permit,
    /// From where.
    pub(crate) start: Start,
    /// The response's head; a poll's without its length.
    pub(crate) head: Bytes,
    /// For a refusal that comes after all.
    pub(crate) dress: Dress,
    /// As what the socket goes on.
    pub(crate) purpose: Purpose,
    /// Where a poll's socket goes back to.
    pub(crate) back: Back,
}

/// Takes a socket back, with what has been read of it since it left.
pub(crate) type Back = fn(Arc<App>, Arc<Peer>, Stream, Bytes);

/// As what a socket goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A WebSocket.
    WebSocket { envelope: bool },
    /// An event stream; not chunked: ended by close.
    Sse { envelope: bool, chunked: bool },
    /// One answer within `wait`; then HTTP again, unless `close`.
    Poll {
        wait: Duration,
        limit: usize,
        close: bool,
    },
}

impl Purpose {
    fn form(self) -> Form {
        match self {
            Self::WebSocket { envelope: false } => Form::WsRaw,
            Self::WebSocket { envelope: true } => Form::WsEnvelope,
            Self::Sse { envelope, chunked } => Form::Sse { envelope, chunked },
            Self::Poll { .. } => Form::Poll,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Poll { wait, limit, .. } => Kind::Once {
                deadline: wait,
                limit,
            },
            _ => Kind::Stream,
        }
    }

    fn heartbeat(self, app: &App) -> Option<Heartbeat> {
        match self {
            Self::WebSocket { .. } => Some(Heartbeat {
                interval: app.config.ws.ping,
                timeout: Some(app.config.ws.timeout),
            }),
            Self::Sse { .. } => Some(Heartbeat {
                interval: app.comment_interval(),
                timeout: None,
            }),
            Self::Poll { .. } => None,
        }
    }
}

/// Takes a socket on, in a task of its own: the HTTP task is much larger.
/// `read` is what hyper had read beyond the request.
pub(crate) fn depart(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: Bytes,
    departure: Departure,
) {
    // Copied, so that hyper's whole buffer does not live on behind a few bytes.
    let read = read.to_vec();
    match departure.purpose {
        Purpose::WebSocket { envelope } => {
            tokio::spawn(web_socket::run(
                app, peer, stream, read, departure, envelope,
            ));
        }
        Purpose::Sse { .. } | Purpose::Poll { .. } => {
            tokio::spawn(park::run(app, peer, stream, read, departure));
        }
    }
}

/// Attaches the connection behind `port`. Where the hub refuses, the refusal is
/// written as an HTTP answer, because no head has been, and none is given.
pub(super) async fn attach(
    app: &Arc<App>,
    port: Port,
    departure: Departure,
) -> Option<(Port, Subscriber)> {
    let attached = app.hub.attach(Attach {
        permit: departure.permit,
        start: departure.start,
        form: departure.purpose.form().id(),
        preface: departure.head,
        kind: departure.purpose.kind(),
        conn: connection_id(),
        writer: port.writer(),
        heartbeat: departure.purpose.heartbeat(app),
    });
    match attached {
        Ok(subscriber) => Some((port, subscriber)),
        Err(refusal) => {
            refuse(app, port, &refusal, &departure.dress).await;
            None
        }
    }
}

/// Writes a refusal as the HTTP answer, and closes.
pub(super) async fn refuse(app: &App, mut port: Port, refusal: &Refusal, dress: &Dress) {
    let words = raw_problem(refusal, dress);
    let time = app.config.ws.close_wait;
    let written = tokio::time::timeout(time, port.stream().write_all(&words)).await;
    if matches!(written, Ok(Ok(()))) {
        linger(port.into_stream(), time).await;
    }
}
