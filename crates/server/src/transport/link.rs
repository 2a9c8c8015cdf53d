//! What a connection's task and its shard share, and the shard's two ways to
//! write: straight to the socket, or into a bounded outbox for the task.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanwire_core::clock::{Clock, Instant};
use fanwire_core::hub::{About, End, Flushed, Outbox, Writer, hand_over, write_all};
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::listed::Listed;
use super::stream::Stream;

/// Bytes that a pull-mode connection holds for its task; one unit more may
/// begin below it.
const HELD: usize = 64 * 1024;

/// Bytes of room at which a waiting shard is told.
const ROOM: usize = 8 * 1024;

/// The kernel's name for "no SIGPIPE": a peer that is gone is an error, not the
/// end of the process.
const MSG_NOSIGNAL: i32 = 0x4000;

/// Shared by a connection's task and its writer in the shard.
pub(crate) struct Link {
    clock: Arc<dyn Clock>,
    /// When something was last heard, in nanoseconds of the clock: a pong can
    /// come within the millisecond of its ping, and must not seem older.
    heard: AtomicU64,
    /// Something was written: an answer has begun.
    wrote: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The task's.
    waker: Option<Waker>,
    /// The shard wants to write and could not.
    blocked: bool,
    /// The shard has let the subscriber go.
    ended: Option<End>,
    /// Pull mode: what the task is to write.
    outbox: Outbox,
    /// Pull mode: bytes that the peer has taken.
    drained: u64,
}

/// What a task that looks at its link should do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Nothing.
    Quiet,
    /// Wait for room, then tell the subscriber that it may write.
    Blocked,
    /// The subscriber is gone.
    Ended(End),
}

/// Bytes of a pull-mode connection that the peer has not taken.
pub(crate) struct Waiting {
    /// How the subscriber ended, where it has.
    pub(crate) end: Option<End>,
    /// Bytes that the peer has taken so far.
    pub(crate) drained: u64,
}

impl Link {
    /// A link; the connection counts as heard now.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let link = Self {
            heard: AtomicU64::new(0),
            clock,
            wrote: AtomicBool::new(false),
            state: Mutex::default(),
        };
        link.hear();
        Arc::new(link)
    }

    /// Something was heard from the peer.
    pub(crate) fn hear(&self) {
        let now = u64::try_from(self.clock.now().as_nanos()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Whether anything was written, or handed over to be.
    pub(crate) fn has_written(&self) -> bool {
        self.wrote.load(Ordering::Acquire)
    }

    /// Keeps the task's waker and says what there is to do.
    pub(crate) fn look(&self, cx: &Context<'_>) -> Signal {
        let mut state = self.state.lock();
        keep_waker(&mut state.waker, cx);
        match &state.ended {
            Some(end) => Signal::Ended(end.clone()),
            None if state.blocked => Signal::Blocked,
            None => Signal::Quiet,
        }
    }

    /// There is room again.
    pub(crate) fn unblock(&self) {
        self.state.lock().blocked = false;
    }

    /// Pull mode: what waits for the peer; none while the subscriber lasts and
    /// nothing is held.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let state = self.state.lock();
        let end = state.ended.clone();
        (end.is_some() || !state.outbox.is_empty()).then_some(Waiting {
            end,
            drained: state.drained,
        })
    }

    /// Pull mode: writes what is held to `stream`. `Ready(true)`: the shard waits,
    /// and there is room again; there may be more to write. `Ready(false)`: all
    /// of it is out. An error: the peer is gone.
    pub(crate) fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<bool>> {
        // Held across non-blocking writes only; the shard hands over between two.
        let mut state = self.state.lock();
        keep_waker(&mut state.waker, cx);
        while !state.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = state.outbox.slices(&mut slices);
            let taken = std::task::ready!(stream.poll_write(cx, &slices[..count]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.outbox.advance(taken);
            state.drained += taken as u64;
            // Told early, so that the shard sees that there is progress.
            if state.blocked && state.outbox.bytes() + ROOM <= HELD {
                state.blocked = false;
                return Poll::Ready(Ok(true));
            }
        }
        std::task::ready!(stream.poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut state.blocked)))
    }

    /// Takes what is held: for answers that someone else sends.
    pub(crate) fn take(&self) -> Vec<bytes::Bytes> {
        let mut state = self.state.lock();
        std::iter::from_fn(|| state.outbox.pop()).collect()
    }

    /// Drops the first unit that is held.
    pub(crate) fn skip(&self) {
        self.state.lock().outbox.pop();
    }

    /// Takes at most `most` bytes, or one unit that is larger, and whether the
    /// shard waits and there is room again.
    pub(crate) fn take_some(&self, most: usize) -> (Vec<bytes::Bytes>, bool) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut units = Vec::new();
        let mut bytes = 0;
        let mut slices = [IoSlice::new(&[])];
        while state.outbox.slices(&mut slices) > 0 {
            let next = slices[0].len();
            if bytes > 0 && bytes + next > most {
                break;
            }
            bytes += next;
            units.extend(state.outbox.pop());
            slices = [IoSlice::new(&[])];
        }
        state.drained += bytes as u64;
        let room = state.blocked && state.outbox.bytes() + ROOM <= HELD;
        state.blocked &= !room;
        (units, room)
    }

    /// Forgets what is held, but for an answer's head. False where a part of a unit
    /// has left.
    fn withhold(&self) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let whole = !state.outbox.is_partial();
        let head = state.outbox.pop().filter(|_| state.drained == 0);
        state.outbox.clear();
        if let Some(head) = head {
            state.outbox.push(head);
        }
        whole
    }

    fn block(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.blocked = true;
            state.waker.take()
        };
        wake(waker);
    }

    /// The first end counts.
    fn end(&self, end: End) {
        let waker = {
            let mut state = self.state.lock();
            if state.ended.is_some() {
                return;
            }
            state.ended = Some(end);
            state.waker.take()
        };
        wake(waker);
    }

    fn last_heard(&self) -> Instant {
        Duration::from_nanos(self.heard.load(Ordering::Relaxed))
    }
}

fn keep_waker(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A writer's hold on its link: however it goes, the task hears of it. A shard
/// that is dropped with its server lets its connections go this way.
struct Hold(Arc<Link>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.end(End::Gone);
    }
}

/// Shard-writes mode: one vectored send per flush.
pub(crate) struct SocketWriter {
    socket: Arc<TcpStream>,
    hold: Hold,
    /// The link knows that something was written.
    told: bool,
    listed: Option<Listed>,
}

impl SocketWriter {
    pub(crate) fn new(socket: Arc<TcpStream>, link: Arc<Link>) -> Self {
        Self {
            socket,
            hold: Hold(link),
            told: false,
            listed: None,
        }
    }

    /// The same, shown to operators.
    #[must_use]
    pub(crate) fn listed(mut self, listed: Listed) -> Self {
        self.listed = Some(listed);
        self
    }
}

/// Sends what the socket takes of `slices`, in one call.
pub(crate) fn send(tcp: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let socket = socket2::SockRef::from(tcp);
    let sent = match slices {
        // The kernel has less to copy and to check than for a message of parts.
        [one] => socket.send_with_flags(one, MSG_NOSIGNAL),
        parts => socket.send_vectored_with_flags(parts, MSG_NOSIGNAL),
    };
    match sent {
        // The runtime must hear that the socket is full, or it would report
        // it as writable at once. Its own write is tried only where it
        // believes the socket writable; so its WouldBlock alone says nothing.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.try_write_vectored(slices),
        result => result,
    }
}

impl Writer for SocketWriter {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let before = outbox.bytes();
        let flushed = write_all(outbox, |slices| send(&self.socket, slices));
        if !self.told && outbox.bytes() < before {
            self.told = true;
            self.hold.0.wrote.store(true, Ordering::Release);
        }
        if flushed == Flushed::Blocked {
            self.hold.0.block();
        }
        flushed
    }

    fn last_heard(&self) -> Instant {
        self.hold.0.last_heard()
    }

    fn about(&self) -> About {
        let listed = self.listed.as_ref();
        listed.map_or_else(About::default, |listed| listed.about(0))
    }

    fn ended(self: Box<Self>, end: End) {
        if let Some(listed) = &self.listed {
            listed.ended(&end);
        }
        self.hold.0.end(end);
    }
}

/// Pull mode: finished units go to the task.
pub(crate) struct PullWriter(Hold, Option<Listed>);

impl PullWriter {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self(Hold(link), None)
    }

    /// The same, shown to operators.
    #[must_use]
    pub(crate) fn listed(mut self, listed: Listed) -> Self {
        self.1 = Some(listed);
        self
    }
}

impl Writer for PullWriter {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        if outbox.is_empty() {
            return Flushed::All;
        }
        self.0.0.wrote.store(true, Ordering::Release);
        let (flushed, waker) = {
            let mut guard = self.0.0.state.lock();
            let state = &mut *guard;
            let held = std::cell::RefCell::new(&mut state.outbox);
            let flushed = hand_over(
                outbox,
                || held.borrow().bytes() < HELD,
                |unit| held.borrow_mut().push(unit),
            );
            state.blocked |= flushed == Flushed::Blocked;
            (flushed, state.waker.take())
        };
        wake(waker);
        flushed
    }

    fn withhold(&mut self) -> bool {
        self.0.0.withhold()
    }

    fn last_heard(&self) -> Instant {
        self.0.0.last_heard()
    }

    fn about(&self) -> About {
        let pending = self.0.0.state.lock().outbox.bytes();
        let listed = self.1.as_ref();
        listed.map_or_else(About::default, |listed| listed.about(pending))
    }

    fn ended(self: Box<Self>, end: End) {
        if let Some(listed) = &self.1 {
            listed.ended(&end);
        }
        self.0.0.end(end);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SystemClock;
    use bytes::Bytes;

    fn link() -> Arc<Link> {
        Link::new(Arc::new(SystemClock::new()))
    }

    fn outbox(units: &[usize]) -> Outbox {
        let mut outbox = Outbox::default();
        for len in units {
            outbox.push(Bytes::from(vec![b'x'; *len]));
        }
        outbox
    }

    fn look(link: &Link) -> Signal {
        link.look(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn pull_holds_a_bounded_number_of_bytes_but_one_unit_of_any_size() {
        let link = link();
        let mut writer = PullWriter::new(link.clone());
        let mut big = outbox(&[HELD * 4, 1]);
        assert_eq!(writer.flush(&mut big), Flushed::Blocked);
        assert_eq!(big.len(), 1);
        assert_eq!(look(&link), Signal::Blocked);
        assert_eq!(link.take().len(), 1);
        link.unblock();
        assert_eq!(writer.flush(&mut big), Flushed::All);
        assert_eq!(look(&link), Signal::Quiet);
        assert!(link.has_written());
    }

    #[test]
    fn some_is_taken_in_whole_units_and_room_is_told_once() {
        let link = link();
        let mut writer = PullWriter::new(link.clone());
        let mut much = outbox(&[10, 20, HELD, 1]);
        assert_eq!(writer.flush(&mut much), Flushed::Blocked);
        let lens = |units: &[Bytes]| units.iter().map(Bytes::len).collect::<Vec<_>>();
        let (units, room) = link.take_some(30);
        assert_eq!((lens(&units), room), (vec![10, 20], false));
        let (units, room) = link.take_some(30);
        assert_eq!((lens(&units), room), (vec![HELD], true), "alone");
        assert_eq!(look(&link), Signal::Quiet);
        assert_eq!(writer.flush(&mut much), Flushed::All);
        let (units, room) = link.take_some(30);
        assert_eq!((lens(&units), room), (vec![1], false));
        assert!(link.take_some(30).0.is_empty());
    }

    #[test]
    fn a14_what_is_withheld_does_not_leave_but_for_the_answers_head() {
        let link = link();
        let mut writer = PullWriter::new(link.clone());
        assert_eq!(writer.flush(&mut outbox(&[10, 20, 30])), Flushed::All);
        assert!(writer.withhold());
        let (units, _) = link.take_some(1000);
        assert_eq!(units.iter().map(Bytes::len).collect::<Vec<_>>(), [10]);
        assert_eq!(writer.flush(&mut outbox(&[40])), Flushed::All);
        assert!(writer.withhold());
        assert!(link.take_some(1000).0.is_empty());
    }

    #[test]
    fn the_end_is_told_once_the_shard_has_let_go() {
        let link = link();
        assert_eq!(look(&link), Signal::Quiet);
        Box::new(PullWriter::new(link.clone())).ended(End::Slow);
        assert_eq!(look(&link), Signal::Ended(End::Slow));
        assert!(!link.has_written());
    }

    #[test]
    fn a_writer_that_is_dropped_lets_its_connection_go() {
        let link = link();
        drop(PullWriter::new(link.clone()));
        assert_eq!(look(&link), Signal::Ended(End::Gone));
    }

    async fn pair() -> (Arc<TcpStream>, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        (Arc::new(server.unwrap().0), client.unwrap())
    }

    #[tokio::test]
    async fn a_fresh_socket_is_written_without_having_been_reported_ready() {
        use tokio::io::AsyncReadExt as _;
        let (server, mut client) = pair().await;
        let link = link();
        let mut writer = SocketWriter::new(server, link.clone());
        assert_eq!(writer.flush(&mut outbox(&[3, 4])), Flushed::All);
        assert!(link.has_written());
        let mut got = [0; 7];
        client.read_exact(&mut got).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_socket_blocks_and_is_reported_when_the_peer_reads() {
        use tokio::io::AsyncReadExt as _;
        let (server, mut client) = pair().await;
        let link = link();
        let mut writer = SocketWriter::new(server.clone(), link.clone());
        let mut much = outbox(&[64 * 1024 * 1024]);
        assert_eq!(writer.flush(&mut much), Flushed::Blocked);
        assert_eq!(look(&link), Signal::Blocked);
        let left = much.bytes();
        assert!(left > 0);
        let reading = tokio::spawn(async move {
            let mut sink = vec![0; 1 << 20];
            while client.read(&mut sink).await.unwrap() > 0 {}
        });
        server.writable().await.unwrap();
        link.unblock();
        while writer.flush(&mut much) == Flushed::Blocked {
            server.writable().await.unwrap();
        }
        assert!(much.is_empty());
        drop((writer, server));
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_end_not_a_signal() {
        let (server, client) = pair().await;
        socket2::SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        let link = link();
        let mut writer = SocketWriter::new(server, link);
        while writer.flush(&mut outbox(&[1])) == Flushed::All {
            tokio::task::yield_now().await;
        }
        assert_eq!(writer.flush(&mut outbox(&[1])), Flushed::Gone);
    }
}
