//! A [`Session`] on a socket.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use fanwire_proto::native::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::error::{EXPIRED, Error};
use crate::net::dial::{Dialer, Opened, silent};
use crate::net::http::Connection;
use crate::net::jitter;
use crate::net::sse::{self, EventStream};
use crate::net::tls::Tls;
use crate::net::ws::{self, Socket};
use crate::options::SubscribeOptions;
use crate::proof::Proof;
use crate::session::target::Base;
use crate::session::{End, Event, Session};

/// A subscription that reconnects and resumes by itself.
#[derive(Debug)]
pub struct Subscriber {
    session: Session,
    dialer: Arc<Dialer>,
    link: Link,
    /// When a byte last came. Kept here, so that a caller who looks often
    /// still notices a silence.
    alive: Instant,
    /// No attempt before this.
    not_before: Option<Instant>,
}

/// A request that has not led to anything yet.
type Opening = Pin<Box<dyn Future<Output = Result<Opened, End>> + Send>>;

/// The connection, as far as there is one.
enum Link {
    None,
    Opening(Opening),
    Ws(Socket),
    Sse(EventStream),
    /// Kept alive between two polls.
    Idle(Connection),
}

impl Subscriber {
    /// A subscription; the first [`next`](Self::next) connects.
    ///
    /// # Errors
    /// `Config` where the options cannot be used.
    pub fn connect(options: SubscribeOptions) -> Result<Self, Error> {
        let base = Base::parse(&options.base_url)?;
        Ok(Self {
            session: Session::new(&options)?,
            dialer: Arc::new(Dialer {
                tls: Tls::new(&base, &options.trust)?,
                base,
                proof: Proof::new(options.api_key.as_deref(), options.token.clone())?,
                options,
            }),
            link: Link::None,
            alive: Instant::now(),
            not_before: None,
        })
    }

    /// Where to start again ([`Start::After`](crate::Start::After)) once every
    /// event that [`next`](Self::next) gave has been dealt with; write it down
    /// then, not before. The start itself where that was a cursor, else none
    /// until the server has named a place.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.session.cursor()
    }

    /// The next event. Connects, waits and reconnects as needed; a lost
    /// connection is an event, not an error. May be dropped while it waits
    /// (`select!`): nothing is lost, and what was under way goes on next time.
    ///
    /// # Errors
    /// Where coming back as it is would not help. The subscription is over.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.session.poll_event() {
                return Ok(event);
            }
            if let Some(at) = self.not_before {
                sleep_until(at).await;
                self.not_before = None;
            }
            if let Err(end) = self.step().await {
                self.link = Link::None;
                if end.is_expiry() {
                    self.dialer.proof.ended();
                }
                let wait = self.session.handle_end(end, jitter())?;
                self.not_before = Some(Instant::now() + wait);
            }
        }
    }

    /// Connects where there is no connection, else takes what comes next.
    async fn step(&mut self) -> Result<(), End> {
        let silence = self.dialer.options.read_timeout;
        let deadline = self.alive + silence;
        match &mut self.link {
            Link::None | Link::Idle(_) => {
                let kept = match std::mem::replace(&mut self.link, Link::None) {
                    Link::Idle(connection) => Some(connection),
                    _ => None,
                };
                let (transport, request) = (self.session.transport(), self.session.request());
                let opening = Arc::clone(&self.dialer).open(transport, request, kept);
                self.link = Link::Opening(Box::pin(opening));
            }
            Link::Opening(opening) => {
                self.link = match opening.await? {
                    Opened::Ws(socket) => Link::Ws(socket),
                    Opened::Sse(stream) => Link::Sse(stream),
                    Opened::Poll(connection, answer) => {
                        self.session.handle_poll(answer);
                        Link::Idle(connection)
                    }
                };
            }
            Link::Ws(socket) => {
                match timeout_at(deadline, socket.next())
                    .await
                    .map_err(|_| silent(silence))??
                {
                    ws::Item::Object(object) => take(&mut self.session, &self.dialer, object),
                    ws::Item::Alive => {}
                }
            }
            Link::Sse(stream) => {
                match timeout_at(deadline, stream.next())
                    .await
                    .map_err(|_| silent(silence))??
                {
                    sse::Item::Object(object) => take(&mut self.session, &self.dialer, object),
                    sse::Item::Retry(ms) => self.session.handle_retry(ms),
                    sse::Item::Alive => {}
                }
            }
        }
        self.alive = Instant::now();
        Ok(())
    }
}

fn take(session: &mut Session, dialer: &Dialer, object: Incoming) {
    // An event stream says so before it ends, and ends as any other.
    if matches!(&object, Incoming::Error { code, .. } if code == EXPIRED) {
        dialer.proof.ended();
    }
    session.handle_incoming(object);
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Opening(_) => "opening",
            Self::Ws(_) => "websocket",
            Self::Sse(_) => "event stream",
            Self::Idle(_) => "idle",
        })
    }
}
