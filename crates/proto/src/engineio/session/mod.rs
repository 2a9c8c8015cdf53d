//! One session of Engine.IO, the server's side: which request is taken, which
//! transport a ping goes by, when an upgrade holds, and when and why it all ends.
//!
//! Sans-IO, like the rest: what happened goes in as a method call with `now`, a
//! monotonic time since any fixed moment, and what is to be done comes out as
//! [`Outputs`], in order. [`Session::next_deadline`] says when to call
//! [`Session::tick`]; every other input looks at the clock first, so a late
//! timer changes nothing that a client can see. The session holds no payload:
//! packets for the client wait in an outbox of the caller's.
//!
//! ```text
//!            ws_open            2probe             5
//! polling ──────────▶ trying ──────────▶ probed ──────▶ websocket
//!    ▲                   │ ws gone, or    │
//!    └───────────────────┴─ too late ◀────┘
//! ```
//!
//! Ends at once for a missing pong, a second GET or POST while one is pending, a
//! GET or POST cut off, a packet that is not understood, or the client's close.
//! Where the server closes a session whose poll is away, it *lingers* for the
//! ping time-out, so that the next poll still brings what was queued, and the
//! close packet. Where the client closes it so, it lingers for a second: the two
//! requests may have crossed, and the poll gets the answer it would have had.

mod beat;
mod output;
mod polling;
mod websocket;

use std::time::Duration;

use self::beat::Beat;
pub use self::output::{Control, Idle, Output, Outputs, PollId, PostId, Reason, WsId};
use self::polling::Poll;
use self::websocket::Upgrade;
use super::packet::Packet;
use super::query::{Refusal, Transport};

/// A session's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// From the handshake, or a pong, to the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// From a ping to the end of a session that has not answered it. Default 20 s.
    pub ping_timeout: Duration,
    /// From a WebSocket's handshake to the `5` that completes the upgrade.
    /// Default 10 s.
    pub upgrade_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The body of this POST.
    Post(PostId),
    /// This WebSocket.
    Ws(WsId),
}

/// How long a poll may still come that a client sent before it closed.
const CROSSING: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Closed while no poll waited; the next one before this time takes leave.
    Lingering {
        until: Duration,
        /// What it is answered with, beside what is left for it.
        idle: Idle,
    },
    Gone,
}

/// The state of one session.
#[derive(Debug, Clone)]
pub struct Session {
    config: Config,
    state: State,
    /// The WebSocket that the session lives on; none on polling.
    live: Option<WsId>,
    poll: Option<Poll>,
    post: Option<PostId>,
    upgrade: Option<Upgrade>,
    beat: Beat,
    ids: u32,
}

impl Session {
    /// A session opened by polling; the answer to the handshake is the caller's.
    #[must_use]
    pub fn polling(config: Config, now: Duration) -> Self {
        Self {
            config,
            state: State::Open,
            live: None,
            poll: None,
            post: None,
            upgrade: None,
            beat: Beat::start(&config, now),
            ids: 0,
        }
    }

    /// A session opened by a WebSocket, which is known by this id.
    #[must_use]
    pub fn websocket(config: Config, now: Duration) -> (Self, WsId) {
        let mut session = Self::polling(config, now);
        let id = WsId(session.id());
        session.live = Some(id);
        (session, id)
    }

    /// Which transport the session lives on, while it is open.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.live {
            None => Transport::Polling,
            Some(_) => Transport::WebSocket,
        }
    }

    /// Whether the session lives, or lived to its end, on this WebSocket.
    #[must_use]
    pub fn is_live(&self, id: WsId) -> bool {
        self.live == Some(id)
    }

    /// Whether its application may still send and receive.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether a WebSocket has probed and the client's `5` is awaited: what is
    /// queued waits for a poll or for the upgrade.
    #[must_use]
    pub fn is_upgrading(&self) -> bool {
        self.upgrade.is_some_and(|upgrade| upgrade.probed)
    }

    /// When [`tick`](Self::tick) is due; none once the session is gone.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.state {
            State::Open => {
                let beat = self.beat.deadline();
                Some(self.upgrade.map_or(beat, |upgrade| upgrade.until.min(beat)))
            }
            State::Lingering { until, .. } => Some(until),
            State::Gone => None,
        }
    }

    /// Does what is due: a ping, the end of an upgrade or of the session.
    pub fn tick(&mut self, now: Duration) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        out
    }

    /// Takes a packet of the client's. [`Output::Deliver`] says that it is a
    /// message for the application. What comes from a POST that has been
    /// answered, or from a WebSocket that is not the session's, is passed over.
    pub fn packet(&mut self, now: Duration, from: Source, packet: &Packet<'_>) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        if !self.is_open() {
            return out;
        }
        match from {
            Source::Ws(id) if self.upgrade.is_some_and(|upgrade| upgrade.id == id) => {
                self.candidate_packet(id, packet, &mut out);
            }
            Source::Ws(id) if self.live == Some(id) => self.live_packet(now, packet, &mut out),
            Source::Post(id) if self.post == Some(id) => {
                self.live_packet(now, packet, &mut out);
            }
            _ => {}
        }
        out
    }

    /// Ends the session because of bytes that are no packet, or that the layer
    /// above does not understand; a WebSocket that only tries is dropped alone.
    pub fn malformed(&mut self, now: Duration, from: Source) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        match from {
            Source::Ws(id) if self.upgrade.is_some_and(|upgrade| upgrade.id == id) => {
                self.drop_candidate(&mut out);
            }
            Source::Ws(id) if self.live == Some(id) => {
                self.end(Reason::ParseError, Ending::Broken, &mut out);
            }
            Source::Post(id) if self.post == Some(id) => {
                self.end(Reason::ParseError, Ending::Broken, &mut out);
            }
            _ => {}
        }
        out
    }

    /// The server closes the session, for this reason.
    pub fn close(&mut self, now: Duration, reason: Reason) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        if !self.is_open() {
            return out;
        }
        if self.live.is_some() || self.poll.is_some_and(|poll| poll.parked) {
            self.end(reason, Ending::ByServer, &mut out);
            return out;
        }
        self.linger(
            now + self.config.ping_timeout,
            Idle::Close,
            reason,
            &mut out,
        );
        out
    }

    /// Ends the session for the application; a poll may still come.
    fn linger(&mut self, until: Duration, idle: Idle, reason: Reason, out: &mut Outputs) {
        if let Some(id) = self.post.take() {
            out.push(Output::AnswerPost { id, refused: None });
        }
        self.drop_candidate(out);
        self.state = State::Lingering { until, idle };
        out.push(Output::Closed(reason));
    }

    fn id(&mut self) -> u32 {
        self.ids = self.ids.wrapping_add(1);
        self.ids
    }

    fn catch_up(&mut self, now: Duration, out: &mut Outputs) {
        match self.state {
            State::Open => {
                if self.upgrade.is_some_and(|upgrade| upgrade.until <= now) {
                    self.drop_candidate(out);
                }
                self.beat(now, out);
            }
            State::Lingering { until, .. } if until <= now => self.leave(out),
            _ => {}
        }
    }

    /// A packet on the transport that the session lives on.
    fn live_packet(&mut self, now: Duration, packet: &Packet<'_>, out: &mut Outputs) {
        match packet {
            Packet::Text(_) | Packet::Binary(_) => out.push(Output::Deliver),
            Packet::Pong { probe: false } => self.beat = Beat::start(&self.config, now),
            // Means nothing here, and harms nothing.
            Packet::Noop | Packet::Upgrade => {}
            Packet::Close if self.live.is_none() && self.poll.is_none() => {
                // Its last poll may be on its way by another connection.
                let until = now + self.config.ping_timeout.min(CROSSING);
                self.linger(until, Idle::Noop, Reason::TransportClose, out);
            }
            Packet::Close => self.end(Reason::TransportClose, Ending::ByClient, out),
            // A ping is the server's to send, as is the handshake; a probe has
            // its place on another transport.
            Packet::Open(_) | Packet::Ping { .. } | Packet::Pong { .. } => {
                self.end(Reason::TransportError, Ending::Broken, out);
            }
        }
    }

    /// Ends everything at once.
    fn end(&mut self, reason: Reason, ending: Ending, out: &mut Outputs) {
        if self.state != State::Open {
            return;
        }
        if let Some(Poll { id, parked: true }) = self.poll.take() {
            let with = match ending {
                Ending::ByClient => Control::Noop,
                Ending::ByServer | Ending::Broken => Control::Close,
            };
            out.push(Output::AnswerPoll { id, with });
        }
        if let Some(id) = self.post.take() {
            let refused = match ending {
                Ending::Broken => Some(Refusal::BadRequest),
                Ending::ByServer | Ending::ByClient => None,
            };
            out.push(Output::AnswerPost { id, refused });
        }
        self.drop_candidate(out);
        if let Some(id) = self.live {
            let goodbye = ending == Ending::ByServer;
            out.push(Output::CloseWs { id, goodbye });
        }
        out.push(Output::Closed(reason));
        self.leave(out);
    }

    fn leave(&mut self, out: &mut Outputs) {
        self.state = State::Gone;
        out.push(Output::Gone);
    }
}

/// Who ends a session, which decides what is still said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    ByClient,
    ByServer,
    /// Something went wrong.
    Broken,
}
