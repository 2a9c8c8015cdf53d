//! What a session wants done.

use super::super::query::Refusal;

/// One GET that polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PollId(pub(super) u32);

/// One POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PostId(pub(super) u32);

/// One WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WsId(pub(super) u32);

/// A packet that the session itself sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// `1`
    Close,
    /// `2`
    Ping,
    /// `3probe`
    ProbePong,
    /// `6`
    Noop,
}

impl Control {
    /// The packet: a whole poll's answer, or a text frame's payload.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Close => "1",
            Self::Ping => "2",
            Self::ProbePong => "3probe",
            Self::Noop => "6",
        }
    }
}

/// What a poll does where there is nothing for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Idle {
    /// Waits: for the outbox, or for an [`Output::AnswerPoll`].
    Park,
    /// Is answered `6` at once: the client is moving to a WebSocket.
    Noop,
    /// Is answered at once, with `1` at the end, whether there was anything or
    /// not: the server has closed the session.
    Close,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Serve the GET that just began: answer it with a ping first, if `ping`,
    /// then all that the outbox holds, and report
    /// [`poll_answered`](super::Session::poll_answered). Where that is nothing
    /// at all, `idle` says what to do.
    ServePoll {
        /// Its name from now on.
        id: PollId,
        /// Whether `2` comes first.
        ping: bool,
        /// What to do where there is nothing to answer with.
        idle: Idle,
    },
    /// Refuse the GET that just began.
    RefusePoll(Refusal),
    /// Answer the parked GET with this packet alone. If it has just been
    /// answered otherwise, report [`unsent`](super::Session::unsent).
    AnswerPoll {
        /// Which.
        id: PollId,
        /// With what.
        with: Control,
    },
    /// Read the POST that just began and hand its packets over.
    TakePost(PostId),
    /// Refuse the POST that just began.
    RefusePost(Refusal),
    /// Answer the POST, and read no more of it: `ok`, or the refusal.
    AnswerPost {
        /// Which.
        id: PostId,
        /// Why not, if not.
        refused: Option<Refusal>,
    },
    /// Complete the WebSocket handshake that names the session.
    TakeWs(WsId),
    /// Refuse it; the session goes on as it was.
    RefuseWs(Refusal),
    /// Send this packet as a text frame, past the outbox.
    SendWs {
        /// To which.
        id: WsId,
        /// What.
        packet: Control,
    },
    /// Close this WebSocket.
    CloseWs {
        /// Which.
        id: WsId,
        /// Whether what the outbox holds, and then a `1`, go before the close.
        goodbye: bool,
    },
    /// The session lives on this WebSocket from now on: what the outbox holds
    /// goes there. Held as frames, it goes as it is: until then polls are made of them
    /// ([`frames_to_polling`](crate::engineio::frames_to_polling)).
    Upgraded(WsId),
    /// The packet just handed over is a message for the application.
    Deliver,
    /// The session has ended for its application. Comes once.
    Closed(Reason),
    /// Forget the session; its sid is unknown from now on. Comes once, after
    /// [`Closed`](Self::Closed).
    Gone,
}

/// Why a session ended, as Socket.IO's `disconnect` event words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No pong in time.
    PingTimeout,
    /// The client closed.
    TransportClose,
    /// A request or connection was cut off, came twice or broke a rule.
    TransportError,
    /// Bytes that are no packet.
    ParseError,
    /// The application closed the connection.
    ForcedClose,
    /// The server did, as a rule of its own was broken: no namespace joined in
    /// time, for one.
    ForcedServerClose,
    /// The server stops.
    ServerShuttingDown,
}

impl Reason {
    /// The words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

/// Most outputs of one input.
const MOST: usize = 8;

/// What one input leads to, in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outputs {
    list: [Option<Output>; MOST],
    len: u8,
}

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        let place = self.list.get_mut(usize::from(self.len));
        debug_assert!(place.is_some(), "{MOST} outputs hold those of any input");
        if let Some(place) = place {
            *place = Some(output);
            self.len += 1;
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl IntoIterator for Outputs {
    type Item = Output;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Output>, MOST>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().flatten()
    }
}
