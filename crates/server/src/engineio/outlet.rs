//! Where all of a session's subscribers write: one transport, at first a queue that polls
//! are answered from, after an upgrade a WebSocket.
//!
//! All of them are in one shard, which writes for one after the other. What they hand
//! over are whole units of WebSocket frames, whatever the transport: a poll's answer is
//! made of them, so that an upgrade has nothing to translate.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use fanwire_core::clock::Instant;
use fanwire_core::hub::{About, End, Flushed, Outbox, Writer, write_all};
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::transport::{Listed, Stream, send};

/// Bytes that are held for the peer; one unit more may begin below it.
const HELD: usize = 64 * 1024;

/// Units that one call writes.
const BATCH: usize = 64;

/// Who of a session's subscribers writes.
type Who = u32;

/// What a subscriber's end is told to.
pub(crate) type OnEnd = Box<dyn FnOnce(End) + Send>;

/// Shared by a session's writers and whoever serves its transport.
#[derive(Default)]
pub(crate) struct Outlet(Mutex<State>);

#[derive(Default)]
struct State {
    way: Way,
    /// Units for the peer, and whose they are.
    held: VecDeque<(Who, Bytes)>,
    /// Bytes of them.
    bytes: usize,
    /// The first of them has been written in part.
    cut: bool,
    /// A unit of this writer stands half-written on the socket, the rest in its outbox.
    half: Option<Who>,
    /// A writer found no room.
    waiting: bool,
    /// Of whoever serves the transport.
    waker: Option<Waker>,
    next: Who,
    /// Subscribers that still write.
    writers: u32,
    /// What is said when they all have ended.
    last: Option<Bytes>,
    closed: bool,
    /// Bytes of replies that subscribers were given and have not been rid of, about.
    owed: usize,
    /// Of those who wait for them to be.
    payers: Vec<Waker>,
}

/// Bytes of replies up to which nobody waits.
const OWED: usize = 128 * 1024;

/// Units of the session's own that may wait for the peer, in bytes.
const OWN: usize = 512 * 1024;

/// Whose they are.
const SESSION: Who = 0;

/// How bytes leave.
#[derive(Default)]
enum Way {
    /// Whoever serves the transport takes them from here.
    #[default]
    Held,
    /// The shard writes to the socket.
    Socket(Arc<TcpStream>),
}

impl Outlet {
    /// The shard writes to this socket from now on; what is held goes first.
    pub(super) fn write_to(&self, socket: Arc<TcpStream>) {
        let mut state = self.0.lock();
        state.way = Way::Socket(socket);
        // Who found no room finds some now.
        state.waiting = true;
        wake(state.waker.take());
    }

    /// Puts a unit of the session's own behind what is held. False: too many wait.
    pub(super) fn put(&self, unit: Bytes) -> bool {
        let (fits, waker) = {
            let mut state = self.0.lock();
            let fits = state.bytes <= OWN && !state.closed;
            if fits {
                state.keep(SESSION, unit);
            }
            (fits, state.waker.take())
        };
        wake(waker);
        fits
    }

    /// A subscriber is given a reply of so many bytes.
    pub(super) fn owe(&self, bytes: usize) {
        let mut state = self.0.lock();
        state.owed = state.owed.saturating_add(bytes);
    }

    /// Whether there is room for more replies.
    pub(super) fn has_room(&self) -> bool {
        let state = self.0.lock();
        state.owed <= OWED || state.closed
    }

    /// Ready when there is.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.owed <= OWED || state.closed {
            return Poll::Ready(());
        }
        if !state.payers.iter().any(|one| one.will_wake(cx.waker())) {
            state.payers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Nobody waits for room any more: the session is over.
    pub(super) fn forgive(&self) {
        let payers = self.0.lock().pay(0, true);
        payers.into_iter().for_each(Waker::wake);
    }

    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// Takes nothing more but what subscribers still have to say before they end; then says
    /// `last`.
    pub(super) fn finish(&self, last: Bytes) {
        let payers;
        let waker = {
            let mut state = self.0.lock();
            if state.last.is_some() || state.closed {
                return;
            }
            state.last = Some(last);
            state.end();
            payers = state.pay(0, true);
            state.waker.take()
        };
        wake(waker);
        payers.into_iter().for_each(Waker::wake);
    }

    /// True where everything is said and out.
    pub(super) fn is_finished(&self) -> bool {
        let state = self.0.lock();
        state.closed && state.held.is_empty()
    }

    /// Takes all that is held, and whether writers are to be told of room. Ready where
    /// there is something.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<(Vec<Bytes>, bool)> {
        let mut state = self.0.lock();
        if state.held.is_empty() {
            keep(&mut state.waker, cx);
            return Poll::Pending;
        }
        state.bytes = 0;
        state.cut = false;
        let units = state.held.drain(..).map(|(_, unit)| unit).collect();
        Poll::Ready((units, std::mem::take(&mut state.waiting)))
    }

    /// Writes what is held to `stream`. Ready where a writer waits and there is room,
    /// or the peer is gone.
    pub(super) fn poll_drain(
        &self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<()>> {
        let mut guard = self.0.lock();
        let state = &mut *guard;
        keep(&mut state.waker, cx);
        // Behind half a unit nothing else can stand; its writer goes on when there is room.
        while !state.held.is_empty() && state.half.is_none() {
            let taken = ready!(state.write_held(|slices| stream.poll_write(cx, slices)))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.advance(taken);
        }
        if let (Way::Socket(_), Stream::Tcp(socket)) = (&state.way, &*stream) {
            // The shard writes; it waits for the socket, here.
            if !state.waiting {
                return Poll::Pending;
            }
            ready!(socket.poll_write_ready(cx))?;
            state.waiting = false;
            return Poll::Ready(Ok(()));
        }
        ready!(stream.poll_flush(cx))?;
        match std::mem::take(&mut state.waiting) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Takes nothing more, and forgets what is held: the peer is gone.
    pub(super) fn close(&self) {
        let payers = {
            let mut state = self.0.lock();
            state.held.clear();
            state.bytes = 0;
            state.closed = true;
            state.pay(0, true)
        };
        payers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn keep(&mut self, who: Who, unit: Bytes) {
        self.bytes += unit.len();
        self.held.push_back((who, unit));
    }

    /// `taken` bytes of a subscriber's are gone; `all` that it had. Whoever waits is to be
    /// woken where there is room.
    fn pay(&mut self, taken: usize, all: bool) -> Vec<Waker> {
        self.owed = match all {
            // What was counted was about right.
            true => 0,
            false => self.owed.saturating_sub(taken),
        };
        match self.owed <= OWED || self.closed {
            true => std::mem::take(&mut self.payers),
            false => Vec::new(),
        }
    }

    /// Says the last word once nobody else has anything to say.
    fn end(&mut self) {
        if self.writers == 0
            && let Some(last) = self.last.take()
        {
            self.keep(SESSION, last);
            self.closed = true;
        }
    }

    /// Hands the units held to `write`.
    fn write_held<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); BATCH];
        let mut count = 0;
        for (slice, (_, unit)) in slices.iter_mut().zip(&self.held) {
            *slice = IoSlice::new(unit);
            count += 1;
        }
        write(&slices[..count])
    }

    fn advance(&mut self, mut taken: usize) {
        self.bytes -= taken;
        while let Some((_, unit)) = self.held.front_mut() {
            if taken < unit.len() {
                self.cut |= taken > 0;
                unit.advance(taken);
                return;
            }
            taken -= unit.len();
            self.cut = false;
            self.held.pop_front();
        }
    }

    /// Moves whole units here while there is room.
    fn hold(&mut self, who: Who, outbox: &mut Outbox) -> Flushed {
        while !outbox.is_empty() {
            if self.bytes >= HELD {
                self.waiting = true;
                return Flushed::Blocked;
            }
            if let Some(unit) = outbox.pop() {
                self.keep(who, unit);
            }
        }
        Flushed::All
    }

    /// Writes to the socket: what is held, then the outbox.
    fn write(&mut self, who: Who, outbox: &mut Outbox, socket: &TcpStream) -> Flushed {
        if self.half.is_some_and(|half| half != who) {
            self.waiting = true;
            return Flushed::Blocked;
        }
        while !self.held.is_empty() {
            match self.write_held(|slices| send(socket, slices)) {
                Ok(0) => return Flushed::Gone,
                Ok(taken) => self.advance(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting = true;
                    return Flushed::Blocked;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Flushed::Gone,
            }
        }
        let flushed = write_all(outbox, |slices| send(socket, slices));
        self.half = outbox.is_partial().then_some(who);
        self.waiting |= flushed == Flushed::Blocked;
        flushed
    }
}

fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
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

/// One subscriber's hold on its session's transport. However it goes, its end is told.
pub(super) struct OutletWriter {
    outlet: Arc<Outlet>,
    who: Who,
    on_end: Option<OnEnd>,
    listed: Option<Listed>,
}

impl OutletWriter {
    pub(super) fn new(outlet: &Arc<Outlet>, on_end: OnEnd) -> Self {
        let who = {
            let mut state = outlet.0.lock();
            state.next += 1;
            state.writers += 1;
            state.next
        };
        Self {
            outlet: outlet.clone(),
            who,
            on_end: Some(on_end),
            listed: None,
        }
    }

    /// The same, shown to operators.
    #[must_use]
    pub(super) fn listed(mut self, listed: Listed) -> Self {
        self.listed = Some(listed);
        self
    }

    fn tell(&mut self, end: End) {
        let Some(on_end) = self.on_end.take() else {
            return;
        };
        let payers;
        let waker = {
            let mut state = self.outlet.0.lock();
            // Its rest will never come: nothing behind it could be understood.
            if state.half == Some(self.who) {
                state.held.clear();
                state.bytes = 0;
                state.closed = true;
            }
            state.writers -= 1;
            state.end();
            payers = state.pay(0, true);
            state.waker.take()
        };
        wake(waker);
        payers.into_iter().for_each(Waker::wake);
        if let Some(listed) = &self.listed {
            listed.ended(&end);
        }
        on_end(end);
    }
}

impl Drop for OutletWriter {
    fn drop(&mut self) {
        self.tell(End::Gone);
    }
}

impl Writer for OutletWriter {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let before = outbox.bytes();
        let (flushed, waker, payers) = {
            let mut guard = self.outlet.0.lock();
            let state = &mut *guard;
            if state.closed {
                return Flushed::Gone;
            }
            let flushed = match &state.way {
                Way::Held => state.hold(self.who, outbox),
                Way::Socket(socket) => {
                    let socket = socket.clone();
                    state.write(self.who, outbox, &socket)
                }
            };
            // Whoever serves the transport writes what is held.
            let tells = state.waiting || !state.held.is_empty();
            let payers = state.pay(before - outbox.bytes(), outbox.is_empty());
            (flushed, state.waker.take_if(|_| tells), payers)
        };
        wake(waker);
        payers.into_iter().for_each(Waker::wake);
        flushed
    }

    fn withhold(&mut self) -> bool {
        let mut guard = self.outlet.0.lock();
        let state = &mut *guard;
        let first = state.held.front().map(|(who, _)| *who);
        let cut = state.cut && first == Some(self.who);
        let who = self.who;
        let kept = usize::from(cut);
        let mut index = 0;
        state.held.retain(|(of, _)| {
            index += 1;
            index <= kept || *of != who
        });
        state.bytes = state.held.iter().map(|(_, unit)| unit.len()).sum();
        !cut && state.half.is_none_or(|half| half == who)
    }

    /// Engine.IO counts pongs itself.
    fn last_heard(&self) -> Instant {
        Instant::ZERO
    }

    fn about(&self) -> About {
        let pending = {
            let state = self.outlet.0.lock();
            let own = state.held.iter().filter(|(who, _)| *who == self.who);
            own.map(|(_, unit)| unit.len()).sum()
        };
        let listed = self.listed.as_ref();
        listed.map_or_else(About::default, |listed| listed.about(pending))
    }

    fn ended(mut self: Box<Self>, end: End) {
        self.tell(end);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn outbox(units: &[&'static str]) -> Outbox {
        let mut outbox = Outbox::default();
        for unit in units {
            outbox.push(Bytes::from_static(unit.as_bytes()));
        }
        outbox
    }

    fn writer(outlet: &Arc<Outlet>) -> OutletWriter {
        OutletWriter::new(outlet, Box::new(|_| {}))
    }

    fn taken(outlet: &Outlet) -> (String, bool) {
        let cx = &mut Context::from_waker(Waker::noop());
        match outlet.poll_take(cx) {
            Poll::Ready((units, room)) => (String::from_utf8(units.concat()).unwrap(), room),
            Poll::Pending => (String::new(), false),
        }
    }

    #[test]
    fn what_several_write_is_held_in_order_and_within_bounds() {
        let outlet = Arc::new(Outlet::default());
        let (mut one, mut two) = (writer(&outlet), writer(&outlet));
        assert_eq!(one.flush(&mut outbox(&["a", "b"])), Flushed::All);
        assert_eq!(two.flush(&mut outbox(&["c"])), Flushed::All);
        assert_eq!(taken(&outlet), ("abc".to_owned(), false));
        let mut much = Outbox::default();
        much.push(Bytes::from(vec![b'x'; HELD * 2]));
        much.push(Bytes::from_static(b"y"));
        assert_eq!(one.flush(&mut much), Flushed::Blocked);
        let (text, room) = taken(&outlet);
        assert_eq!((text.len(), room), (HELD * 2, true));
        assert_eq!(one.flush(&mut much), Flushed::All);
        assert_eq!(taken(&outlet), ("y".to_owned(), false));
    }

    #[test]
    fn a14_only_its_own_units_are_withheld() {
        let outlet = Arc::new(Outlet::default());
        let (mut one, mut two) = (writer(&outlet), writer(&outlet));
        one.flush(&mut outbox(&["a", "b"]));
        two.flush(&mut outbox(&["c"]));
        assert!(one.withhold());
        assert_eq!(taken(&outlet).0, "c");
    }

    #[tokio::test]
    async fn half_a_unit_keeps_others_waiting_until_its_rest_is_out() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (mut client, server) = (client.unwrap(), Arc::new(server.unwrap().0));
        let outlet = Arc::new(Outlet::default());
        let (mut one, mut two) = (writer(&outlet), writer(&outlet));
        one.flush(&mut outbox(&["first"]));
        outlet.write_to(server.clone());
        let mut much = Outbox::default();
        much.push(Bytes::from(vec![b'x'; 64 << 20]));
        assert_eq!(one.flush(&mut much), Flushed::Blocked);
        assert!(much.is_partial());
        let mut small = outbox(&["last"]);
        assert_eq!(two.flush(&mut small), Flushed::Blocked);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.unwrap();
            all
        });
        while one.flush(&mut much) == Flushed::Blocked {
            server.writable().await.unwrap();
        }
        while two.flush(&mut small) == Flushed::Blocked {
            server.writable().await.unwrap();
        }
        drop((outlet, one, two, server));
        let all = reading.await.unwrap();
        assert!(all.starts_with(b"firstxx") && all.ends_with(b"xxlast"));
        assert_eq!(all.len(), (64 << 20) + 9);
    }
}
