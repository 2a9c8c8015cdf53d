//! A connection's task's side of the socket, in both modes.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fanwire_core::clock::Clock;
use fanwire_core::hub::{End, Subscriber, Writer};
use tokio::net::TcpStream;

use super::link::{Link, PullWriter, Signal, SocketWriter, Waiting};
use super::listed::Listed;
use super::stream::Stream;
use crate::limit::Place;

/// Reads for a connection and sees to its writing.
pub(crate) struct Port {
    stream: Stream,
    link: Arc<Link>,
    /// Pull mode: this task writes.
    pull: bool,
    /// Held as long as it is listened here: see [`Port::hold`].
    place: Option<Box<Place>>,
}

impl Port {
    /// A port on `stream`; `force_pull` keeps a plain socket from being written
    /// by its shard.
    pub(crate) fn new(stream: Stream, clock: Arc<dyn Clock>, force_pull: bool) -> Self {
        let pull = force_pull || !matches!(stream, Stream::Tcp(_));
        Self {
            stream,
            link: Link::new(clock),
            pull,
            place: None,
        }
    }

    /// A port on a stream that came after its link.
    pub(super) fn pulling(stream: Stream, link: Arc<Link>) -> Self {
        Self {
            stream,
            link,
            pull: true,
            place: None,
        }
    }

    /// Keeps the place of whom a proxy speaks for until the stream goes on elsewhere.
    pub(crate) fn hold(&mut self, place: Option<Box<Place>>) {
        self.place = place;
    }

    /// The shard's hold on this connection.
    pub(super) fn writer(&self, listed: Listed) -> Box<dyn Writer> {
        let link = self.link.clone();
        match self.socket().filter(|_| !self.pull) {
            Some(socket) => Box::new(SocketWriter::new(socket, link).listed(listed)),
            None => Box::new(PullWriter::new(link).listed(listed)),
        }
    }

    /// Whether any byte was written through the subscriber.
    pub(crate) fn has_written(&self) -> bool {
        self.link.has_written()
    }

    /// Does the writing that is this side's, and tells the subscriber when it
    /// may write again. Ready when the subscriber has been let go and all its
    /// bytes are out; an error is a peer that is gone.
    pub(crate) fn poll_out(
        &mut self,
        cx: &mut Context<'_>,
        subscriber: &Subscriber,
    ) -> Poll<io::Result<End>> {
        if self.pull {
            return self.poll_pull(cx, subscriber);
        }
        loop {
            match self.link.look(cx) {
                Signal::Ended(end) => return Poll::Ready(Ok(end)),
                Signal::Quiet => return Poll::Pending,
                Signal::Blocked => {}
            }
            let Stream::Tcp(socket) = &self.stream else {
                return Poll::Pending;
            };
            ready!(socket.poll_write_ready(cx))?;
            self.link.unblock();
            subscriber.writable();
        }
    }

    fn poll_pull(
        &mut self,
        cx: &mut Context<'_>,
        subscriber: &Subscriber,
    ) -> Poll<io::Result<End>> {
        loop {
            // Looked at before draining: what was handed over before the end
            // goes out before the end is reported.
            let signal = self.link.look(cx);
            if ready!(self.link.poll_drain(cx, &mut self.stream))? {
                subscriber.writable();
                continue;
            }
            match signal {
                Signal::Ended(end) => return Poll::Ready(Ok(end)),
                Signal::Quiet => return Poll::Pending,
                Signal::Blocked => {}
            }
        }
    }

    /// What waits here for the peer; none where nothing does, and where the
    /// shard writes and watches itself.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        self.pull.then(|| self.link.waiting()).flatten()
    }

    /// Reads what is there; 0 is the end.
    pub(crate) fn poll_in(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.stream.poll_read(cx, buffer))?;
        if count > 0 {
            self.link.hear();
        }
        Poll::Ready(Ok(count))
    }

    /// The stream itself, once the subscriber is gone.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// The stream itself, to write to once the subscriber is gone.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn socket(&self) -> Option<Arc<TcpStream>> {
        match &self.stream {
            Stream::Tcp(socket) => Some(socket.clone()),
            Stream::Other(_) => None,
        }
    }
}
