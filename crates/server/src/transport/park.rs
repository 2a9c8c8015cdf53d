//! Connections that say nothing while they listen: event streams and parked
//! polls. They are read only to notice that the peer is gone, and a poll's for
//! the request behind it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{End, Subscriber};
use tokio::time::Sleep;

use super::depart::{Answering, Back, Departure, Judged, attach, refuse};
use super::link::Waiting;
use super::port::Port;
use super::publishing::Publishing;
use super::rest::{Alarm, Next, Resting};
use super::stream::{Stream, linger, with_scratch};
use crate::answer::{Dress, raw_problem};
use crate::app::{App, Peer};
use crate::clock::connection_id;
use crate::refused::Kept;

/// Bytes that a peer may send on an event stream, where nothing is expected.
const IGNORED: usize = 64 * 1024;

/// What a poll is told that ended without an answer.
fn unanswered(end: End) -> Refusal {
    match end {
        End::Refused(refusal) => refusal,
        End::Close(_, reason) => Refusal::new(Code::Unavailable, reason),
        End::Shutdown => Refusal::new(Code::Unavailable, "the server shuts down; ask again"),
        _ => Refusal::new(Code::Internal, "the poll could not be answered; ask again"),
    }
}

/// An event stream or a parked poll, while it lasts. A future written by hand:
/// it lives as long as its connection, and an `async` block would hold room for
/// everything that comes after it, too.
pub(super) struct Parked(State);

enum State {
    Listening(Listening),
    /// Between two requests.
    Resting(Resting),
    /// A message is being published, or its answer written.
    Publishing(Publishing),
    Over,
}

struct Listening {
    app: Arc<App>,
    peer: Arc<Peer>,
    port: Port,
    subscriber: Subscriber,
    /// For polls.
    after: Option<Box<AfterPoll>>,
    /// Bytes thrown away.
    ignored: usize,
    /// Runs while bytes wait that are this task's to write.
    closing: Closing,
}

/// How a connection goes on after its poll.
pub(super) struct AfterPoll {
    /// Bytes of the next request, so far.
    pub(super) kept: Vec<u8>,
    /// For a refusal in place of an answer.
    pub(super) dress: Dress,
    /// Where the socket goes back to; none: it is closed.
    pub(super) back: Option<&'static Back>,
    /// Once it has rested.
    pub(super) alarm: Option<Alarm>,
    /// Who is refused, should the poll be.
    pub(super) who: Kept,
}

impl Parked {
    /// An event stream.
    pub(super) fn stream(
        app: Arc<App>,
        peer: Arc<Peer>,
        port: Port,
        subscriber: Subscriber,
    ) -> Self {
        Self(State::Listening(Listening {
            app,
            peer,
            port,
            subscriber,
            after: None,
            ignored: 0,
            closing: Closing::default(),
        }))
    }

    /// A socket that waits for its next request.
    pub(super) fn resting(
        app: Arc<App>,
        peer: Arc<Peer>,
        stream: Stream,
        after: Box<AfterPoll>,
    ) -> Self {
        Self(State::Resting(Resting::new(app, peer, stream, after)))
    }

    /// A socket whose request is answered by what `future` gives.
    pub(super) fn waiting(
        app: Arc<App>,
        peer: Arc<Peer>,
        stream: Stream,
        after: Box<AfterPoll>,
        future: Answering,
    ) -> Self {
        let publishing = Publishing::new(app, peer, stream, after, future);
        Self(State::Publishing(publishing.waiting()))
    }

    /// A poll.
    pub(super) fn poll(
        app: Arc<App>,
        peer: Arc<Peer>,
        port: Port,
        subscriber: Subscriber,
        after: Box<AfterPoll>,
    ) -> Self {
        let mut parked = Self::stream(app, peer, port, subscriber);
        if let State::Listening(listening) = &mut parked.0 {
            listening.after = Some(after);
        }
        parked
    }
}

impl Future for Parked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.0 {
                State::Over => return Poll::Ready(()),
                State::Listening(listening) => {
                    let end = std::task::ready!(listening.poll(cx));
                    if let State::Listening(listening) = self.take() {
                        self.0 = listening.finish(end);
                    }
                }
                State::Publishing(publishing) => {
                    let done = std::task::ready!(publishing.poll(cx));
                    if let State::Publishing(publishing) = self.take() {
                        self.0 = publishing.finish(done).map_or(State::Over, State::Resting);
                    }
                }
                State::Resting(resting) => {
                    let next = std::task::ready!(resting.poll(cx));
                    if let State::Resting(resting) = self.take() {
                        self.0 = go_on(resting, next);
                    }
                }
            }
        }
    }
}

impl Parked {
    fn take(&mut self) -> State {
        std::mem::replace(&mut self.0, State::Over)
    }
}

/// After a rest.
fn go_on(resting: Resting, next: Next) -> State {
    let (app, peer, stream, mut after) = resting.into_parts();
    match (next, after.back) {
        (Next::Judged(Judged::Publishes(future), behind), _) => {
            after.kept = behind.into();
            State::Publishing(Publishing::new(app, peer, stream, after, future))
        }
        (Next::Judged(Judged::Poll(departure), behind), _) => {
            let mut port = Port::new(stream, app.clock.clone(), app.config.debug.force_pull);
            let Departure { dress, who, .. } = &*departure;
            (after.dress, after.who) = (dress.clone(), who.clone());
            after.kept = behind.into();
            match attach(
                &app,
                &mut port,
                *departure,
                (connection_id(), Duration::ZERO),
            ) {
                Ok(subscriber) => Parked::poll(app, peer, port, subscriber, after).0,
                Err(refusal) => {
                    app.refuses_kept(&refusal, &after.who);
                    let words = raw_problem(&refusal, &after.dress);
                    tokio::spawn(refuse(app, peer, port, words));
                    State::Over
                }
            }
        }
        (Next::Judged(Judged::Waits(future), behind), _) => {
            after.kept = behind.into();
            State::Publishing(Publishing::new(app, peer, stream, after, future).waiting())
        }
        (Next::Http(read), Some(back)) => {
            (back.start)(app, peer, stream, read);
            State::Over
        }
        (Next::Idle | Next::Http(_), _) => State::Over,
    }
}

impl Listening {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.port.poll_out(cx, &self.subscriber) {
            Poll::Ready(Ok(end)) => return Poll::Ready(end),
            Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
            Poll::Pending => {}
        }
        if self
            .closing
            .poll(cx, &self.port, &self.subscriber, &self.app)
            .is_ready()
        {
            return Poll::Ready(End::Gone);
        }
        loop {
            let most = self.app.config.http.header_bytes;
            if self
                .after
                .as_ref()
                .is_some_and(|after| after.kept.len() >= most)
            {
                return Poll::Pending; // The next request can wait.
            }
            let read = with_scratch(|buffer| {
                let read = self.port.poll_in(cx, buffer);
                if let (Poll::Ready(Ok(count)), Some(after)) = (&read, &mut self.after) {
                    after.kept.extend_from_slice(&buffer[..*count]);
                }
                read
            });
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(End::Gone),
                Poll::Ready(Ok(count)) if self.after.is_none() => {
                    self.ignored += count;
                    if self.ignored > IGNORED {
                        return Poll::Ready(End::Gone);
                    }
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    fn finish(self, end: End) -> State {
        let Self {
            app,
            peer,
            port,
            after,
            ..
        } = self;
        let wait = app.config.ws.close_wait;
        match (after, end) {
            (_, End::Gone) => {}
            (Some(after), End::Answered) if after.back.is_some() => {
                return State::Resting(Resting::new(app, peer, port.into_stream(), after));
            }
            (Some(after), end) if !port.has_written() => {
                let refusal = unanswered(end);
                app.refuses_kept(&refusal, &after.who);
                let words = raw_problem(&refusal, &after.dress);
                tokio::spawn(refuse(app, peer, port, words));
            }
            _ => {
                tokio::spawn(async move {
                    linger(port.into_stream(), wait).await;
                    drop(peer);
                });
            }
        }
        State::Over
    }
}

/// Bounds the time in which bytes wait that this side has to write: a shard
/// watches what it writes itself, but in pull mode it has handed them over.
/// While there is a subscriber, one whose peer takes nothing is ended as slow;
/// once it is gone, its last bytes have to go out.
#[derive(Default)]
pub(super) struct Closing(Option<Box<Wait>>);

struct Wait {
    sleep: Pin<Box<Sleep>>,
    /// Bytes taken when it was set.
    drained: u64,
    stage: Stage,
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The peer to take bytes.
    Progress,
    /// The peer to take an answer.
    Answer,
    /// The peer to take its last bytes.
    Last,
}

impl Closing {
    /// Ready when the connection has to be cut.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        port: &Port,
        subscriber: &Subscriber,
        app: &App,
    ) -> Poll<()> {
        let Some(Waiting { end, drained }) = port.waiting() else {
            self.0 = None;
            return Poll::Pending;
        };
        let progress = app.config.limits.write_progress;
        // An answer may take as long as there is progress; who is told to go
        // gets a moment.
        let (stage, time) = match end {
            None => (Stage::Progress, progress),
            Some(End::Answered) => (Stage::Answer, progress),
            Some(_) => (Stage::Last, app.config.listen.shutdown_grace),
        };
        let wait = self.0.get_or_insert_with(|| {
            Box::new(Wait {
                sleep: Box::pin(tokio::time::sleep(time)),
                drained,
                stage,
            })
        });
        let moved = wait.drained != drained && stage != Stage::Last;
        // Ended for taking nothing: that wait is over, whatever the shard says.
        let told = wait.stage == Stage::Last;
        if moved || (wait.stage != stage && !told) {
            wait.drained = drained;
            wait.stage = stage;
            wait.reset(time);
        }
        std::task::ready!(wait.sleep.as_mut().poll(cx));
        if wait.stage != Stage::Progress {
            return Poll::Ready(());
        }
        subscriber.end(End::Slow);
        wait.stage = Stage::Last;
        wait.reset(app.config.listen.shutdown_grace);
        wait.sleep.as_mut().poll(cx)
    }
}

impl Wait {
    fn reset(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        self.sleep.as_mut().reset(until);
    }
}
