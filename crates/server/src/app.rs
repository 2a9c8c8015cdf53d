//! What every connection shares, and what is known of one.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Hub;
use fanwire_core::policy::Door;
use tokio::sync::watch;

use crate::access;
use crate::answer::ms;
use crate::auth::{Auth, Now};
use crate::clock::{SystemClock, random};
use crate::config::Config;
use crate::handlers::Spaces;
use crate::limit::{Place, Slot};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::rates::{Buckets, Rates};
use crate::refused::{Hook, Kept, Who};
use crate::reload::Reload;
use crate::shutdown::Stage;

/// Shared by all connections of a server.
pub(crate) struct App {
    pub(crate) config: Live<Config>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) door: Arc<Door>,
    pub(crate) auth: Live<Auth>,
    pub(crate) access: Live<access::Rules>,
    pub(crate) reload: Arc<Reload>,
    pub(crate) rates: Rates,
    pub(crate) metrics: Metrics,
    /// Is told of everyone who is refused.
    pub(crate) on_refused: Option<Hook>,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) page: Page,
    /// What modules above this one share, by its type.
    pub(crate) above: http::Extensions,
    /// Namespaces, as code sees them.
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) stop: watch::Receiver<Stage>,
}

/// Which HTTP a connection speaks, where ALPN said so (RFC 7301).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agreed {
    /// Not a word: its first bytes will tell.
    Nothing,
    Http1,
    Http2,
}

/// The other end of one connection.
pub(crate) struct Peer {
    /// Its address; an IPv4 address is one, even where it came by IPv6.
    pub(crate) address: IpAddr,
    /// It came by a listener on a loopback address.
    pub(crate) loopback_bind: bool,
    /// It came by an address of operators, where nothing else is served.
    pub(crate) admin: bool,
    /// Somebody else's server brings it, one request at a time.
    pub(crate) mounted: bool,
    /// What was agreed on in the handshake of TLS.
    pub(crate) agreed: Agreed,
    /// Taken in only to be told that there are too many.
    pub(crate) over_limit: bool,
    /// Why, where connections come too fast.
    pub(crate) too_fast: Option<Refusal>,
    /// What it may take yet, of each rate.
    pub(crate) buckets: Buckets,
    served: AtomicBool,
    /// Its requests come in pieces, or otherwise than they are read without hyper.
    in_pieces: AtomicBool,
    /// Its place among the connections counted.
    slot: Slot,
}

impl App {
    /// A request, a frame or a stream was refused: counted where that is told, once.
    pub(crate) fn refuses(&self, refusal: &Refusal, who: Who<'_>) {
        let told = who.tell(self.on_refused.as_ref(), refusal);
        self.metrics.refuses(refusal.code, told);
    }

    /// The same for somebody remembered.
    pub(crate) fn refuses_kept(&self, refusal: &Refusal, who: &Kept) {
        self.metrics.refuses(refusal.code, who.tell(refusal));
    }

    /// Remembers who would be refused, where anyone wants to be told.
    pub(crate) fn remembers(&self, who: Who<'_>) -> Kept {
        who.kept(self.on_refused.as_ref())
    }

    /// Is ready once the server's end has come to `stage`. The future owns what
    /// it looks at.
    pub(crate) fn reached(&self, stage: Stage) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.clone();
        async move {
            // A sender that is gone is a server that is gone.
            let _ = stop.wait_for(|reached| *reached >= stage).await;
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Now {
        Now {
            wall_ms: self.clock.wall_ms(),
            hub: self.clock.now(),
        }
    }

    /// True once the server stops: no new streams.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow() > Stage::Serving
    }

    /// How long one event stream may be quiet before its next comment.
    pub(crate) fn comment_interval(&self) -> Duration {
        let sse = &self.config.sse;
        let spread = sse.comment_max.saturating_sub(sse.comment_min);
        let ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        sse.comment_min + Duration::from_millis(jitter(ms))
    }

    /// When an event stream that is put off should come back, in milliseconds:
    /// later than one that was only cut, and spread; soon where the server stops.
    pub(crate) fn put_off_ms_for(&self, refusal: &Refusal) -> u64 {
        let known = refusal.retry_in.map_or(0, ms);
        // Spread, too: those who were refused together do not come back so.
        let spread = known.saturating_add(jitter(known / 2));
        self.put_off_ms().max(spread)
    }

    /// The same, where nothing is known of when.
    pub(crate) fn put_off_ms(&self) -> u64 {
        if self.is_stopping() {
            let (least, most) = (
                ms(self.config.sse.drain_retry_min),
                ms(self.config.sse.drain_retry_max),
            );
            return least.saturating_add(jitter(most.saturating_sub(least)));
        }
        let longest = self.config.sse.retry_max.as_millis();
        let longest = u64::try_from(longest).unwrap_or(u64::MAX);
        longest.saturating_add(jitter(longest.saturating_mul(4)))
    }
}

/// What clients over a limit of connections are told.
pub(crate) fn too_many() -> Refusal {
    let sentence = "too many connections; close some, or come back later";
    Refusal::new(Code::ConnectionLimit, sentence)
}

/// A random number of 0 to `most`.
fn jitter(most: u64) -> u64 {
    random().unwrap_or_default() % most.saturating_add(1)
}

impl Peer {
    pub(crate) fn new(address: IpAddr, loopback_bind: bool, over_limit: bool, slot: Slot) -> Self {
        Self {
            address,
            loopback_bind,
            admin: false,
            mounted: false,
            agreed: Agreed::Nothing,
            over_limit,
            too_fast: None,
            buckets: Buckets::default(),
            served: AtomicBool::new(false),
            in_pieces: AtomicBool::new(false),
            slot,
        }
    }

    /// The same, told that such connections come too fast.
    #[must_use]
    pub(crate) fn told(mut self, why: Option<Refusal>) -> Self {
        self.too_fast = why;
        self
    }

    /// The same, known to speak this.
    #[must_use]
    pub(crate) fn speaks(mut self, agreed: Agreed) -> Self {
        self.agreed = agreed;
        self
    }

    /// A place for something of `address`, for which this proxy speaks; none
    /// where that address has too many.
    pub(crate) fn place_of(&self, address: IpAddr) -> Option<Place> {
        self.slot.place_of(address)
    }

    /// A panic has ended a part of it.
    pub(crate) fn breaks(&self) {
        self.slot.breaks();
    }

    /// A request of it was served.
    pub(crate) fn serves(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// One of its messages did not come in one piece.
    pub(crate) fn comes_in_pieces(&self) {
        self.in_pieces.store(true, Ordering::Relaxed);
    }

    /// Whether its messages have all come in one piece.
    pub(crate) fn is_in_one_piece(&self) -> bool {
        !self.in_pieces.load(Ordering::Relaxed)
    }

    /// Whether one was.
    pub(crate) fn was_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }
}
