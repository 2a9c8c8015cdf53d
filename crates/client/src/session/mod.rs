//! The state machine of a subscription, without sockets, clock or randomness.
//!
//! Whoever drives it: make the [`request`](Session::request), report what comes
//! with the `handle_*` methods, take events with
//! [`poll_event`](Session::poll_event) until there is none, and when the
//! connection ends call [`handle_end`](Session::handle_end) and wait as long as
//! it says.

mod backoff;
mod floor;
pub mod target;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use fanwire_proto::native::poll::Poll;
use fanwire_proto::native::{Incoming, Message};
use fanwire_proto::ws::CloseCode;

pub(crate) use self::backoff::Schedule;
use self::floor::Floor;
use crate::error::{Error, Refusal};
use crate::options::{Start, SubscribeOptions, Transport};
use crate::proof::TokenSource;

/// The close code of a token that has ended.
const CLOSED_EXPIRED: CloseCode = CloseCode(3005);

/// Most messages that one poll asks for; the server's own maximum.
const POLL_LIMIT: u32 = 1000;

/// What a subscription tells its caller.
#[derive(Debug, Clone)]
pub enum Event {
    /// The stream stands: everything after its start will come, or a gap will
    /// be reported. Comes once per connection.
    Ready {
        /// Where it starts. A poll that starts with a rewind does not know.
        cursor: Option<String>,
        /// The connection's public name, for `exclude=`; none on a poll.
        conn: Option<String>,
    },
    /// A message, in order, once.
    Message(Message),
    /// Messages of `channel` may be missing, and here is why. May be told again
    /// if the connection is lost before the next message.
    Gap {
        /// The channel.
        channel: String,
        /// A reason of the protocol: `trimmed`, `epoch_unknown`, …
        reason: String,
        /// The newest message that is gone, where it is known.
        lost_through: Option<String>,
        /// Just past the loss.
        cursor: String,
    },
    /// No message, but a newer cursor.
    Cursor {
        /// The cursor.
        cursor: String,
    },
    /// The connection is lost; the next attempt comes by itself.
    Disconnected {
        /// Why.
        why: String,
        /// After this long.
        retry_in: Duration,
    },
}

/// The request to make next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Path and query, to be put behind the base address.
    pub target: String,
    /// Headers of the subscription; those of the connection (`Host`,
    /// `Authorization`, the WebSocket handshake) are the driver's.
    pub headers: Vec<(&'static str, String)>,
    /// How long the server may hold back its answer (long poll).
    pub wait: Duration,
}

/// How a connection, or an attempt at one, ended.
#[derive(Debug, Clone)]
pub enum End {
    /// An answer other than the one that was asked for.
    Refused {
        /// The answer.
        refusal: Refusal,
        /// `Retry-After`, where it was given.
        retry_after: Option<Duration>,
    },
    /// A WebSocket close frame.
    Closed {
        /// Its code, if it had one.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
    /// The connection failed, ended or fell silent.
    Lost(String),
    /// The server could not prove who it is; trying again would not help.
    Untrusted(String),
    /// What came is not the protocol; trying again would not help.
    Unusable(String),
}

impl End {
    /// Whether it came because the token has ended.
    #[must_use]
    pub fn is_expiry(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.is_expired(),
            Self::Closed { code, .. } => *code == Some(CLOSED_EXPIRED),
            Self::Lost(_) | Self::Untrusted(_) | Self::Unusable(_) => false,
        }
    }
}

/// A subscription through all its connections.
#[derive(Debug)]
pub struct Session {
    channels: Vec<String>,
    transport: Transport,
    start: Start,
    poll_wait: Duration,
    /// Another token comes where one has ended.
    renews: bool,
    /// Where the next connection starts, once the server has said.
    cursor: Option<String>,
    /// Newest message seen: what does not lie above it is a repetition.
    floor: Floor,
    /// This connection is ready.
    ready: bool,
    schedule: Schedule,
    /// Events to hand out, each with the cursor that holds once it was.
    queue: VecDeque<(Event, Option<String>)>,
    /// The cursor of what was handed out.
    delivered: Option<String>,
}

impl Session {
    /// A subscription that has not begun.
    ///
    /// # Errors
    /// `Config` for no channel or more than 16, or a name that cannot be one.
    pub fn new(options: &SubscribeOptions) -> Result<Self, Error> {
        target::check_channels(&options.channels)?;
        Ok(Self {
            channels: options.channels.clone(),
            transport: options.transport,
            start: options.start.clone(),
            poll_wait: options.poll_wait.min(Duration::from_secs(55)),
            renews: options.token.as_ref().is_some_and(TokenSource::renews),
            cursor: None,
            floor: Floor::default(),
            ready: false,
            schedule: Schedule::new(options.backoff),
            queue: VecDeque::new(),
            delivered: match &options.start {
                Start::After(cursor) => Some(cursor.clone()),
                _ => None,
            },
        })
    }

    /// The transport that [`request`](Self::request) is made for.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Where to start again once all events handed out so far are dealt with.
    /// The start itself where that was a cursor; else none until the server has
    /// named a place.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.delivered.as_deref()
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        let (event, cursor) = self.queue.pop_front()?;
        if cursor.is_some() {
            self.delivered = cursor;
        }
        Some(event)
    }

    /// The request that goes on where this session is.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut query = target::Query::default();
        let mut headers = Vec::new();
        let mut wait = Duration::ZERO;
        match self.transport {
            Transport::Ws => query.push("format", "envelope"),
            Transport::Sse => {
                query.push("format", "sse,envelope");
                headers.push(("accept", "text/event-stream".to_owned()));
            }
            Transport::Poll => {
                // The first answer comes at once, to have a cursor: a first
                // poll that is cut while it waits would not know from where.
                wait = self
                    .cursor
                    .as_ref()
                    .map_or(Duration::ZERO, |_| self.poll_wait);
                query.push("wait", &wait.as_secs().to_string());
                query.push("limit", &POLL_LIMIT.to_string());
            }
        }
        match (&self.cursor, &self.start) {
            // As a browser would: the header wins over the query.
            (Some(cursor), _) if self.transport == Transport::Sse && is_plain(cursor) => {
                headers.push(("last-event-id", cursor.clone()));
            }
            (Some(cursor), _) => query.push("after", cursor),
            (None, Start::After(cursor)) => query.push("after", cursor),
            (None, Start::Earliest) => query.push("after", "earliest"),
            (None, Start::Rewind(n)) => query.push("rewind", &n.to_string()),
            (None, Start::Latest) => {}
        }
        let target = format!("{}{query}", target::path(&self.channels));
        Request {
            target,
            headers,
            wait,
        }
    }

    /// Takes one object of a stream.
    pub fn handle_incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(message) => self.take_message(message),
            Incoming::Ready { cursor, conn, .. } => {
                self.advance(&cursor);
                self.now_ready(self.cursor.clone(), Some(conn));
            }
            Incoming::Cursor { cursor } => {
                if self.advance(&cursor) {
                    self.push(Event::Cursor { cursor });
                }
            }
            Incoming::Gap {
                channel,
                reason,
                lost_through,
                cursor,
            } => {
                // The resume point stays before the loss until something comes
                // after it. The floor falls: after a gap the server may go on
                // below a cursor that it did not know.
                self.floor = Floor::default();
                self.push(Event::Gap {
                    channel,
                    reason,
                    lost_through,
                    cursor,
                });
            }
            // The stream goes on until the server ends it. An event stream is
            // told when to come back; a socket may be cut without a word.
            Incoming::Drain { .. } if self.transport == Transport::Ws => self.schedule.spread(),
            Incoming::Drain { .. } => {}
            // Nothing was sent that these could answer; later versions' events
            // are passed over.
            Incoming::Ack { .. } | Incoming::Error { .. } | Incoming::Unknown(_) => {}
        }
    }

    /// Takes a poll's answer.
    pub fn handle_poll(&mut self, answer: Poll) {
        let start = if answer
            .messages
            .iter()
            .any(|m| matches!(m, Incoming::Message(_)))
        {
            self.cursor.clone()
        } else {
            Some(answer.cursor.clone())
        };
        let mut messages = answer.messages.into_iter().peekable();
        while let Some(gap) = messages.next_if(|m| matches!(m, Incoming::Gap { .. })) {
            self.handle_incoming(gap);
        }
        if !self.ready {
            self.now_ready(start, None);
        }
        for incoming in messages {
            self.handle_incoming(incoming);
        }
        self.schedule.succeeded();
        if self.advance(&answer.cursor) {
            self.push(Event::Cursor {
                cursor: answer.cursor,
            });
        }
    }

    /// Takes the reconnection time that an event stream named.
    pub fn handle_retry(&mut self, ms: u64) {
        self.schedule.hint(Duration::from_millis(ms));
    }

    /// Takes the end of a connection or of an attempt. `jitter` is a random
    /// number in `0.0..1.0`. Says how long to wait before the next
    /// [`request`](Self::request).
    ///
    /// # Errors
    /// Where coming back as it is would not help: the subscription is over.
    pub fn handle_end(&mut self, end: End, jitter: f64) -> Result<Duration, Error> {
        self.ready = false;
        let why = match end {
            End::Refused { refusal, .. }
                if !(refusal.is_retryable() || self.renews && refusal.is_expired()) =>
            {
                return Err(Error::Refused(refusal));
            }
            End::Refused {
                refusal,
                retry_after,
            } => {
                if let Some(wait) = retry_after {
                    self.schedule.at_least(wait);
                }
                refusal.to_string()
            }
            End::Closed { code, reason } => {
                self.closed(code.unwrap_or(CloseCode::NO_STATUS), reason)?
            }
            End::Lost(why) => why,
            End::Untrusted(why) => return Err(Error::Untrusted(why)),
            End::Unusable(why) => return Err(Error::Protocol(why)),
        };
        let retry_in = self.schedule.next(jitter);
        self.push(Event::Disconnected { why, retry_in });
        Ok(retry_in)
    }

    fn closed(&mut self, code: CloseCode, reason: String) -> Result<String, Error> {
        match code {
            // All clients of a server that stops hear this at once: they may
            // not all come back at once.
            CloseCode::RESTART => self.schedule.spread(),
            _ if is_final(code) => return Err(Error::Closed { code, reason }),
            _ => {}
        }
        Ok(match reason.as_str() {
            "" => format!("closed by the server ({code})"),
            reason => format!("closed by the server: {reason} ({code})"),
        })
    }

    fn now_ready(&mut self, cursor: Option<String>, conn: Option<String>) {
        self.ready = true;
        self.schedule.succeeded();
        self.push(Event::Ready { cursor, conn });
    }

    fn take_message(&mut self, message: Message) {
        match &message.id {
            // Volatile: it has no place in the order.
            None => self.push(Event::Message(message)),
            Some(id) => {
                let id = id.clone();
                if self.floor.rise(&id) {
                    self.cursor = Some(id);
                    self.push(Event::Message(message));
                }
            }
        }
    }

    /// Moves the resume point to a cursor that the server named, but never back.
    /// Whether it moved.
    fn advance(&mut self, cursor: &str) -> bool {
        let moves = self.cursor.as_deref() != Some(cursor) && self.floor.rise(cursor);
        if moves {
            self.cursor = Some(cursor.to_owned());
        }
        moves
    }

    fn push(&mut self, event: Event) {
        self.queue.push_back((event, self.cursor.clone()));
    }
}

/// A close code after which the same client would be closed again.
fn is_final(code: CloseCode) -> bool {
    matches!(code.0, 1002 | 1003 | 1007..=1010 | 3500..=4999)
}

/// Whether a cursor has the form that all the server's own have, so that it may
/// stand in a header.
fn is_plain(cursor: &str) -> bool {
    !cursor.is_empty()
        && cursor.len() <= 100
        && cursor
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
}
