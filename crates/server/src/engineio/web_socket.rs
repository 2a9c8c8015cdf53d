//! A session's WebSocket: one that it was opened by, or one that it moves to.
//!
//! The task reads, and writes only what the shard does not: everything in pull mode, and
//! the few packets of a probe.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use fanwire_core::clock::{Clock as _, Instant};
use fanwire_proto::engineio::session::{Output, Source, WsId};
use fanwire_proto::engineio::{Packet, Wire};
use fanwire_proto::ws::{CloseCode, Decoder, Event, Limits, Opcode, Role, close_frame, frame};
use tokio::time::Sleep;

use super::engine::Engine;
use crate::answer::Dress;
use crate::app::{App, Peer};
use crate::limit::Place;
use crate::rates::Payer;
use crate::transport::{Assembly, Stream, linger, poll_echo, with_scratch};

/// A WebSocket whose handshake was granted.
pub(crate) struct Granted {
    told: Told,
    /// The 101 that has still to go out, where the session moves to it, perhaps; none where
    /// the session was opened by it and writes that itself.
    head: Option<Bytes>,
    dress: Dress,
    /// The place of the client for whom a proxy sent the request.
    place: Option<Place>,
}

impl Granted {
    /// One that the session was opened by, or with a `head`, one that it may move to.
    pub(crate) fn new(
        engine: Arc<Engine>,
        id: WsId,
        head: Option<Bytes>,
        dress: Dress,
        place: Option<Place>,
    ) -> Self {
        Self {
            told: Told {
                engine,
                id,
                done: false,
            },
            head,
            dress,
            place,
        }
    }

    /// What its answer carries.
    pub(crate) fn dress(&self) -> &Dress {
        &self.dress
    }

    /// The same, where HTTP/2 answers.
    #[must_use]
    pub(crate) fn without_head(mut self) -> Self {
        if let Some(head) = &mut self.head {
            head.clear();
        }
        self
    }
}

/// A WebSocket, while it lasts: a future written by hand, because an `async` block would hold
/// room for all that comes after it, too.
pub(crate) struct Serving(Option<Socket>);

/// Serves a WebSocket to its end. `read` is what came behind the request.
pub(crate) fn serve(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: &[u8],
    granted: Granted,
) -> Serving {
    let max_payload = app.config.socketio.max_payload;
    let limits = Limits {
        // A text packet has its type before it.
        max_message: max_payload.saturating_add(1),
        max_fragments: u32::try_from(app.config.ws.max_fragments).unwrap_or(u32::MAX),
    };
    let live = granted.head.is_none();
    let head = granted.head.filter(|head| !head.is_empty());
    let mut socket = Socket {
        told: granted.told,
        stream,
        live,
        pull: app.config.debug.force_pull,
        decoder: Decoder::new(Role::Server, limits),
        unread: read.to_vec(),
        out: head.into_iter().collect(),
        assembly: Assembly::default(),
        closing: None,
        timer: None,
        pong: None,
        peer_closed: false,
        peer,
        place: granted.place.map(Box::new),
        app,
    };
    if socket.live {
        socket.begin();
    }
    Serving(Some(socket))
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(socket) = &mut self.0 else {
            return Poll::Ready(());
        };
        let farewell = std::task::ready!(socket.poll(cx));
        if let Some(socket) = self.0.take() {
            if farewell {
                tokio::spawn(socket.finish());
            } else if socket.live {
                socket.engine().outlet.close();
            }
        }
        Poll::Ready(())
    }
}

/// Tells the session that its WebSocket is gone, however its task ends, unless it knows.
struct Told {
    engine: Arc<Engine>,
    id: WsId,
    done: bool,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.done {
            let id = self.id;
            self.engine.input(|session, now| session.ws_closed(now, id));
        }
    }
}

struct Socket {
    app: Arc<App>,
    peer: Arc<Peer>,
    /// Which session, and which of its WebSockets.
    told: Told,
    /// Held while it lasts.
    place: Option<Box<Place>>,
    stream: Stream,
    /// The session lives on it.
    live: bool,
    pull: bool,
    decoder: Decoder,
    /// Read, but not decoded yet, because there is no room above.
    unread: Vec<u8>,
    /// While it only tries: what is to be written here.
    out: VecDeque<Bytes>,
    /// Runs while a message has begun and not ended.
    assembly: Assembly,
    /// Bounds the time for last words.
    closing: Option<Pin<Box<Sleep>>>,
    /// Runs until the session is to be looked at.
    timer: Option<Pin<Box<Sleep>>>,
    /// An answer to a ping that waits until the peer reads.
    pong: Option<Bytes>,
    peer_closed: bool,
}

impl Socket {
    fn engine(&self) -> &Arc<Engine> {
        &self.told.engine
    }

    /// Our close frame is out. Its echo is awaited, whatever comes before; then the
    /// connection is closed.
    async fn finish(mut self) {
        let wait = self.app.config.ws.close_wait;
        if !self.peer_closed {
            let (stream, decoder) = (&mut self.stream, &mut self.decoder);
            let echo = poll_fn(|cx| poll_echo(decoder, |buffer| stream.poll_read(cx, buffer)));
            // No echo in time is a peer that will not send one.
            let _ = tokio::time::timeout(wait, echo).await;
        }
        let Self {
            stream,
            told,
            peer,
            place,
            ..
        } = self;
        drop(told);
        linger(stream, wait).await;
        drop((peer, place));
    }

    /// The session lives on this socket from now on.
    fn begin(&mut self) {
        self.live = true;
        if let Stream::Tcp(socket) = &self.stream
            && !self.pull
        {
            self.engine().outlet.write_to(socket.clone());
        }
        self.engine().moved();
        self.engine().writable();
    }

    /// Ready at the end; true where a close frame went out.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let seen = self.engine().look(self.told.id, cx);
            for packet in seen.says {
                self.say(packet.text());
            }
            if seen.drops {
                self.farewell(1000, "");
            }
            // What was handed over before the end goes out before the end counts.
            match self.poll_out(cx) {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(false),
                Poll::Pending => {}
            }
            if self.live && self.engine().outlet.is_finished() {
                self.told.done = true;
                return Poll::Ready(true);
            }
            if self.live && seen.deadline.is_none() && self.closing.is_none() {
                // The session is over; its last words have a moment to go out.
                let wait = self.app.config.ws.close_wait;
                self.closing = Some(Box::pin(tokio::time::sleep(wait)));
            }
            if let Some(closing) = &mut self.closing {
                let over = closing.as_mut().poll(cx).is_ready();
                if over || (!self.live && self.out.is_empty()) {
                    return Poll::Ready(!over);
                }
                return Poll::Pending;
            }
            if let Some(pong) = self.pong.take() {
                self.answer(pong);
            }
            if let Some(talk) = self.engine().talk()
                && talk.poll_room(cx).is_pending()
            {
                // Not read: that is how a client feels that it is too fast.
                std::task::ready!(self.poll_time(cx, seen.deadline));
                continue;
            }
            if !self.unread.is_empty() {
                let unread = std::mem::take(&mut self.unread);
                self.take_in(&unread);
                continue;
            }
            match self.poll_read(cx) {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(false),
                Poll::Pending => {}
            }
            // Only now: what came in time counts before the time does.
            if self.poll_time(cx, seen.deadline).is_ready() {
                continue;
            }
            let time = self.app.config.ws.assembly_timeout;
            std::task::ready!(self.assembly.poll(cx, &self.decoder, time));
            self.fail(1008, "a message took too long to come");
        }
    }

    /// Looks at the session when it is time. Ready: something may have changed.
    fn poll_time(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        let at = self.app.clock.deadline(deadline);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        // Deadlines mostly move away: then the timer fires once in vain.
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if at <= tokio::time::Instant::now() {
                self.timer = None;
                self.engine().input(|session, now| session.tick(now));
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
        Poll::Pending
    }

    /// Answers a ping, unless the peer does not read: then only the last one will be.
    fn answer(&mut self, pong: Bytes) {
        /// Answers to pings that may stand among what waits, in bytes.
        const PONGS: usize = 4 * 1024;
        if self.engine().outlet.bytes() > PONGS {
            self.pong = Some(pong);
        } else {
            self.engine().outlet.put(pong);
        }
    }

    /// Does the writing that is this side's. Ready: look again, or false, the peer is gone.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(unit) = self.out.front_mut() {
            match self.stream.poll_write(cx, &[IoSlice::new(unit)]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(taken)) if taken < unit.len() => unit.advance(taken),
                Poll::Ready(Ok(_)) => {
                    self.out.pop_front();
                }
            }
        }
        if !self.live {
            return match self.stream.poll_flush(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(false),
                _ => Poll::Pending,
            };
        }
        match self.told.engine.outlet.poll_drain(cx, &mut self.stream) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Ready(Ok(())) => {
                self.engine().writable();
                Poll::Ready(true)
            }
        }
    }

    /// Reads once and decodes; false at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        with_scratch(|buffer| {
            let count = std::task::ready!(self.stream.poll_read(cx, buffer));
            Poll::Ready(match count {
                Ok(0) | Err(_) => false,
                Ok(count) => {
                    self.take_in(&buffer[..count]);
                    true
                }
            })
        })
    }

    fn take_in(&mut self, mut input: &[u8]) {
        while self.closing.is_none() && !self.told.done {
            let event = match self.decoder.decode(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(broken) => return self.fail(broken.close_code, broken.why),
            };
            self.on(event);
            let waits = self.engine().talk().is_some_and(|talk| talk.is_full());
            if waits {
                self.unread = input.to_vec();
                return;
            }
        }
    }

    fn on(&mut self, event: Event) {
        if matches!(event, Event::Ping(_) | Event::Pong(_)) {
            let payer = Payer {
                buckets: &self.peer.buckets,
                account: self.engine().handshake.account,
            };
            if let Err(refusal) = self.app.rates.controls(payer, self.app.clock.now()) {
                let code = refusal.code.close().unwrap_or(1008);
                return self.fail(code, &refusal.to_string());
            }
        }
        match event {
            Event::Ping(payload) => {
                let pong = frame(Opcode::Pong, &payload);
                match self.live {
                    true => self.answer(pong),
                    // One at a time: more of them are no probe.
                    false if self.out.is_empty() => self.out.push_back(pong),
                    false => {}
                }
            }
            Event::Pong(_) => {}
            Event::Close(code, _) => {
                self.peer_closed = true;
                self.told.done = true;
                // The same code back; a close without one gets 1000.
                self.last_word(code.map_or(1000, |code| code.0), "");
                let id = self.told.id;
                self.engine()
                    .input(|session, now| session.ws_closed(now, id));
            }
            Event::Text(text) => {
                self.assembly.over();
                self.on_text(text);
            }
            Event::Binary(bytes) => {
                self.assembly.over();
                if self
                    .engine()
                    .packet(Source::Ws(self.told.id), &Packet::decode_binary(&bytes))
                {
                    self.deliver(bytes, true);
                }
            }
        }
    }

    fn on_text(&mut self, text: Bytes) {
        let from = Source::Ws(self.told.id);
        // The decoder lets nothing pass that is not UTF-8.
        let packet = std::str::from_utf8(&text).map(Packet::decode_text);
        let Ok(Ok(packet)) = packet else {
            return self.malformed();
        };
        let next = self
            .engine()
            .input(|session, now| session.packet(now, from, &packet));
        match next {
            Some(Output::Deliver) => self.deliver(text.slice(1..), false),
            Some(Output::Upgraded(id)) if id == self.told.id => self.begin(),
            _ => {}
        }
    }

    fn deliver(&mut self, message: Bytes, binary: bool) {
        let Some(talk) = self.engine().talk() else {
            return;
        };
        let understood = match binary {
            true => talk.binary(message),
            false => talk.text(message),
        };
        if !understood {
            self.malformed();
        }
    }

    fn malformed(&mut self) {
        let from = Source::Ws(self.told.id);
        self.engine()
            .input(|session, now| session.malformed(now, from));
    }

    /// The peer broke a rule of WebSocket's own.
    fn fail(&mut self, code: u16, why: &str) {
        self.told.done = true;
        self.last_word(code, why);
        let id = self.told.id;
        self.engine()
            .input(|session, now| session.ws_failed(now, id));
    }

    /// Closes with this code.
    fn last_word(&mut self, code: u16, why: &str) {
        match self.live {
            true => self.engine().end(CloseCode(code), why),
            false => self.farewell(code, why),
        }
    }

    /// Closes a socket that only tried.
    fn farewell(&mut self, code: u16, why: &str) {
        if self.live || self.closing.is_some() {
            return;
        }
        self.out.push_back(close_frame(Some(CloseCode(code)), why));
        let wait = self.app.config.ws.close_wait;
        self.closing = Some(Box::pin(tokio::time::sleep(wait)));
    }

    fn say(&mut self, packet: &str) {
        let mut unit = Vec::with_capacity(16);
        Wire::WebSocket.text(&mut unit, |out| out.extend_from_slice(packet.as_bytes()));
        self.out.push_back(unit.into());
    }
}
