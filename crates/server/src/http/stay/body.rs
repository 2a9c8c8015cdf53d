//! The bodies of answers: whole ones in pieces, and those of event
//! streams, pulled from their subscribers' outboxes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use fanwire_core::hub::{End, Subscriber};
use hyper::body::{Body, Frame, SizeHint};

use super::super::routes::Own;
use super::progress::Progress;
use crate::limit::Place;
use crate::transport::{Link, Signal};

/// Bytes given to hyper at once: it asks for more only when the peer's window is
/// open, and keeps what it was given.
const PIECE: usize = 16 * 1024;

/// An answer's body.
pub(in crate::http) struct Reply {
    from: From,
    progress: Arc<Progress>,
}

enum From {
    /// None, and nothing is said of its length.
    Bare,
    /// What is left of it.
    Whole(Bytes),
    Events(Events),
    /// An application's own, with what is left of its last piece.
    Own(Box<Own>, Bytes),
}

/// An event stream: units come from the shard through the link.
struct Events {
    link: Arc<Link>,
    subscriber: Subscriber,
    /// Among those of the address for which a proxy speaks.
    _place: Option<Box<Place>>,
    /// Of a unit that did not fit into one piece.
    left: Bytes,
    over: bool,
}

/// The stream was broken off; its peer sees it reset.
#[derive(Debug)]
pub(in crate::http) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stream was broken off")
    }
}

impl std::error::Error for Broken {}

impl Reply {
    /// A body that is there already.
    pub(in crate::http) fn whole(bytes: Bytes, progress: Arc<Progress>) -> Self {
        let from = From::Whole(bytes);
        Self { from, progress }
    }

    /// No body: that of an answer to a HEAD, which only the head tells of.
    pub(super) fn bare(progress: Arc<Progress>) -> Self {
        let from = From::Bare;
        Self { from, progress }
    }

    /// It is there already: nothing is waited for.
    pub(in crate::http) fn is_whole(&self) -> bool {
        matches!(self.from, From::Bare | From::Whole(_))
    }

    /// What an application's own route answers.
    pub(super) fn own(body: Own, progress: Arc<Progress>) -> Self {
        let from = From::Own(Box::new(body), Bytes::new());
        Self { from, progress }
    }

    /// What `subscriber` hears. Dropping the body lets the subscriber go.
    pub(super) fn events(
        link: Arc<Link>,
        subscriber: Subscriber,
        place: Option<Box<Place>>,
        progress: Arc<Progress>,
    ) -> Self {
        progress.follows(link.clone());
        let from = From::Events(Events {
            link,
            subscriber,
            _place: place,
            left: Bytes::new(),
            over: false,
        });
        Self { from, progress }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let piece = match &mut this.from {
            From::Bare => Poll::Ready(None),
            From::Whole(rest) if rest.is_empty() => Poll::Ready(None),
            From::Whole(rest) => Poll::Ready(Some(Ok(rest.split_to(rest.len().min(PIECE))))),
            From::Events(events) => events.poll_piece(cx),
            From::Own(body, left) => poll_own(cx, body, left),
        };
        match &piece {
            Poll::Ready(Some(Ok(_))) => this.progress.gave(),
            _ => this.progress.has_nothing(),
        }
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Bare => true,
            From::Whole(rest) => rest.is_empty(),
            From::Events(events) => events.over,
            From::Own(body, left) => left.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Whole(rest) => SizeHint::with_exact(rest.len() as u64),
            // An outer server would tell an exact one of nothing as the length of a GET's.
            From::Bare | From::Events(_) => SizeHint::default(),
            From::Own(body, left) => match body.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + left.len() as u64),
                None => SizeHint::default(),
            },
        }
    }
}

fn poll_own(
    cx: &mut Context<'_>,
    body: &mut Own,
    left: &mut Bytes,
) -> Poll<Option<Result<Bytes, Broken>>> {
    while left.is_empty() {
        match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(Broken))),
            Some(Ok(frame)) => *left = frame.into_data().unwrap_or_default(),
        }
    }
    Poll::Ready(Some(Ok(left.split_to(left.len().min(PIECE)))))
}

impl Events {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            // Looked at before taking: what was handed over before the end goes
            // out before the end is told.
            let signal = self.link.look(cx);
            let (piece, room) = self.piece();
            if room {
                self.subscriber.writable();
            }
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match signal {
                Signal::Ended(End::Gone | End::Fault) => return Poll::Ready(Some(Err(Broken))),
                Signal::Ended(_) => self.over = true,
                Signal::Quiet => return Poll::Pending,
                Signal::Blocked => {}
            }
        }
    }

    /// The next bytes, one unit as it is or several small ones joined, and
    /// whether the shard waits for room that is there now.
    fn piece(&mut self) -> (Bytes, bool) {
        if !self.left.is_empty() {
            let piece = self.left.split_to(self.left.len().min(PIECE));
            return (piece, false);
        }
        let (mut units, room) = self.link.take_some(PIECE);
        let mut piece = match units.len() {
            0 | 1 => units.pop().unwrap_or_default(),
            _ => {
                let mut joined = BytesMut::with_capacity(units.iter().map(Bytes::len).sum());
                units.iter().for_each(|unit| joined.extend_from_slice(unit));
                joined.freeze()
            }
        };
        if piece.len() > PIECE {
            self.left = piece.split_off(PIECE);
        }
        (piece, room)
    }
}
