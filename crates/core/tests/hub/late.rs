//! A broker whose answers to questions wait until they are let go.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use fanwire_core::broker::{
    Append, AppendError, Appended, Broker, BrokerFuture, Feed, Held, ReadReply, ReadRequest, Tail,
    Top, Unavailable,
};
use fanwire_core::cursor::Seq;
use fanwire_core::key::Key;
use fanwire_core::message::Keys;

/// Another broker behind it answers, at once while nothing is held.
pub(crate) struct Late {
    pub(crate) inner: Arc<dyn Broker>,
    pub(crate) held: Arc<AtomicBool>,
}

impl Late {
    fn late<T: Send + 'static>(&self, mut answer: BrokerFuture<T>) -> BrokerFuture<T> {
        let held = self.held.clone();
        Box::pin(poll_fn(move |cx| {
            if held.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
            answer.as_mut().poll(cx)
        }))
    }
}

impl Broker for Late {
    fn append(&self, batch: Vec<Append>) -> Vec<BrokerFuture<Result<Appended, AppendError>>> {
        self.inner.append(batch)
    }

    fn follow(&self, from: Seq) -> Box<dyn Feed> {
        self.inner.follow(from)
    }

    fn read(&self, request: ReadRequest) -> BrokerFuture<Result<ReadReply, Unavailable>> {
        self.late(self.inner.read(request))
    }

    fn tail(&self, channels: Keys, n: usize) -> BrokerFuture<Result<Tail, Unavailable>> {
        self.late(self.inner.tail(channels, n))
    }

    fn top(&self) -> BrokerFuture<Result<Top, Unavailable>> {
        self.late(self.inner.top())
    }

    fn held(&self, channels: Vec<Key>) -> BrokerFuture<Result<Vec<Held>, Unavailable>> {
        self.late(self.inner.held(channels))
    }

    fn start(&self) -> Top {
        self.inner.start()
    }

    fn listening(&self, channel: &Key, on: bool) {
        self.inner.listening(channel, on);
    }
}
