//! What is counted, for `/metrics`. Labels are words of ours alone, transports,
//! codes and outcomes, never a channel, a user or an address: what strangers
//! choose would make a series each.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use fanwire_core::cursor::GapReason;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Stats;

use crate::limit::Counts;
use crate::refused::Told;

/// Counters are kept so many times, so that threads do not wait for each other's
/// cache lines.
const STRIPES: usize = 8;

/// Kinds of listeners.
const OPENED: usize = Opened::ALL.len();

/// What a token, or what was shown as one, can come to.
const TOKENS: [&str; 15] = [
    "ok",
    "form",
    "head",
    "algorithm",
    "claims",
    "issuer",
    "key",
    "signature",
    "expired",
    "endless",
    "early",
    "audience",
    "subject",
    "unreachable",
    "unknown",
];

/// Codes are few; the array has room for more.
const CODES: usize = 40;

/// As what somebody listens. A series each: of more, only a bounded number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opened {
    WebSocket,
    Sse,
    Poll,
    History,
    /// A socket of Socket.IO in a namespace.
    SocketIo,
}

impl Opened {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    const ALL: [(Self, &str); 5] = [
        (Self::WebSocket, "websocket"),
        (Self::Sse, "sse"),
        (Self::Poll, "poll"),
        (Self::History, "history"),
        (Self::SocketIo, "socketio"),
    ];
}

/// What came of a handshake of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shaken {
    Ok,
    Failed,
    TimedOut,
}

impl Shaken {
    const ALL: [(Self, &str); 3] = [
        (Self::Ok, "ok"),
        (Self::Failed, "failed"),
        (Self::TimedOut, "timed_out"),
    ];
}

/// What connections count.
#[derive(Default)]
pub(crate) struct Metrics {
    stripes: Arc<[Stripe; STRIPES]>,
    reloaded: AtomicU64,
    not_reloaded: AtomicU64,
}

#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    published: AtomicU64,
    published_bytes: AtomicU64,
    opened: [AtomicU64; OPENED],
    shaken: [AtomicU64; Shaken::ALL.len()],
    tokens: [AtomicU64; TOKENS.len()],
    /// Begun less ended: of one thread alone it may be below 0, and wraps.
    here: [AtomicU64; OPENED],
    refused: Codes,
    publishes_refused: Codes,
}

/// Counts as one of those who listen, as long as it lives.
pub(crate) struct Here {
    stripes: Arc<[Stripe; STRIPES]>,
    what: Opened,
}

impl Here {
    /// It was refused in the midst of it.
    pub(crate) fn refused(&self, code: Code, _: Told) {
        mine(&self.stripes).refused.count(code);
    }

    /// As what.
    pub(crate) fn what(&self) -> Opened {
        self.what
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        mine(&self.stripes).here[self.what as usize].fetch_sub(1, Relaxed);
    }
}

struct Codes([AtomicU64; CODES]);

impl Default for Codes {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CODES])
    }
}

impl Codes {
    fn count(&self, code: Code) {
        if let Some(count) = self.0.get(code as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    fn of(&self, code: Code) -> u64 {
        self.0
            .get(code as usize)
            .map_or(0, |count| count.load(Relaxed))
    }
}

impl Metrics {
    /// A message of `bytes` was published, or refused.
    pub(crate) fn publishes<T>(&self, bytes: usize, result: &Result<T, Refusal>) {
        let stripe = self.stripe();
        match result {
            Ok(_) => {
                stripe.published.fetch_add(1, Relaxed);
                stripe.published_bytes.fetch_add(bytes as u64, Relaxed);
            }
            Err(refusal) => stripe.publishes_refused.count(refusal.code),
        }
    }

    /// Somebody begins to listen, or reads what was.
    pub(crate) fn opens(&self, what: Opened) {
        self.stripe().opened[what as usize].fetch_add(1, Relaxed);
    }

    /// Somebody listens, until what this gives is dropped.
    pub(crate) fn comes(&self, what: Opened) -> Here {
        self.stripe().here[what as usize].fetch_add(1, Relaxed);
        Here {
            stripes: self.stripes.clone(),
            what,
        }
    }

    /// A request, a frame or a stream was refused, and whoever asked was told.
    pub(crate) fn refuses(&self, code: Code, _: Told) {
        self.stripe().refused.count(code);
    }

    /// A handshake of TLS came to its end.
    pub(crate) fn shakes(&self) {
        self.stripe().shaken[Shaken::Ok as usize].fetch_add(1, Relaxed);
    }

    /// One did not, in this way, and whoever asked was told.
    pub(crate) fn shakes_not(&self, what: Shaken, _: Told) {
        self.stripe().shaken[what as usize].fetch_add(1, Relaxed);
    }

    /// A token came to this, one of [`TOKENS`]; another word would be a series that
    /// nobody bounds.
    pub(crate) fn sees(&self, outcome: &str) {
        let at = TOKENS.iter().position(|word| *word == outcome);
        debug_assert!(at.is_some(), "{outcome} is not among the words");
        if let Some(at) = at {
            self.stripe().tokens[at].fetch_add(1, Relaxed);
        }
    }

    /// The configuration was read again.
    pub(crate) fn reloads(&self, well: bool) {
        let count = match well {
            true => &self.reloaded,
            false => &self.not_reloaded,
        };
        count.fetch_add(1, Relaxed);
    }

    /// The text that a collector reads: the Prometheus text format, version 0.0.4.
    pub(crate) fn text(
        &self,
        stats: &Stats,
        keys: usize,
        counts: Option<&Counts>,
        sockets: usize,
    ) -> String {
        let connections = counts.map_or(0, |counts| counts.total());
        let broken = counts.map_or(0, |counts| counts.broken());
        let mut out = Text(String::with_capacity(8192));
        let gauges: [(&str, &str, u64); 9] = [
            ("connections", "Connections now.", connections as u64),
            (
                "subscribers",
                "Streams and waiting polls now.",
                stats.subscribers as u64,
            ),
            (
                "subscribers_behind",
                "Of them, catching up.",
                stats.behind as u64,
            ),
            (
                "sockets",
                "Sockets of Socket.IO in their namespaces now, and WebSockets in those that code serves.",
                sockets as u64,
            ),
            ("keys", "Channels that anyone listens to.", keys as u64),
            (
                "outbox_bytes",
                "Bytes that wait for readers.",
                stats.outbox_bytes as u64,
            ),
            (
                "queued",
                "Entries that wait for shards.",
                stats.queued as u64,
            ),
            (
                "credit_out_bytes",
                "Bytes of publications that the slowest shard has not taken.",
                stats.credit_out as u64,
            ),
            ("reads", "Reads of history under way.", stats.reads as u64),
        ];
        for (name, help, value) in gauges {
            out.head(name, help, "gauge");
            out.line(name, None, value);
        }
        let counters: [(&str, &str, u64); 5] = [
            (
                "deliveries_total",
                "Messages handed to subscribers.",
                stats.deliveries,
            ),
            ("flushes_total", "Writes to subscribers.", stats.flushes),
            (
                "faults_total",
                "Subscribers let go because serving them failed.",
                stats.faults,
            ),
            (
                "broken_total",
                "Connections, and streams of HTTP/2, whose own task broke.",
                broken,
            ),
            (
                "published_bytes_total",
                "Bytes of messages published.",
                self.sum(|stripe| stripe.published_bytes.load(Relaxed)),
            ),
        ];
        for (name, help, value) in counters {
            out.head(name, help, "counter");
            out.line(name, None, value);
        }
        out.head("gaps_total", "Gaps told, by reason.", "counter");
        for (reason, count) in GapReason::ALL.iter().zip(stats.gaps_by_reason) {
            out.line("gaps_total", Some(("reason", reason.as_str())), count);
        }
        out.head(
            "handshakes_total",
            "Handshakes of TLS, by outcome.",
            "counter",
        );
        for (what, name) in Shaken::ALL {
            let count = self.sum(|stripe| stripe.shaken[what as usize].load(Relaxed));
            out.line("handshakes_total", Some(("outcome", name)), count);
        }
        out.head(
            "tokens_total",
            "Tokens shown, by what was found wrong with them.",
            "counter",
        );
        for (at, name) in TOKENS.iter().enumerate() {
            let count = self.sum(|stripe| stripe.tokens[at].load(Relaxed));
            out.line("tokens_total", Some(("outcome", name)), count);
        }
        out.head(
            "opened_total",
            "Streams, polls and reads of history begun.",
            "counter",
        );
        for (what, name) in Opened::ALL {
            let count = self.sum(|stripe| stripe.opened[what as usize].load(Relaxed));
            out.line("opened_total", Some(("transport", name)), count);
        }
        out.head(
            "listeners",
            "Streams, polls and reads of history now.",
            "gauge",
        );
        for (what, name) in Opened::ALL {
            let count = self.sum(|stripe| stripe.here[what as usize].load(Relaxed));
            out.line("listeners", Some(("transport", name)), count);
        }
        out.head(
            "publishes_total",
            "Messages published, by outcome.",
            "counter",
        );
        let published = self.sum(|stripe| stripe.published.load(Relaxed));
        out.line("publishes_total", Some(("outcome", "ok")), published);
        for code in Code::ALL {
            let count = self.sum(|stripe| stripe.publishes_refused.of(*code));
            out.line("publishes_total", Some(("outcome", code.as_str())), count);
        }
        out.head("refusals_total", "Requests refused, by code.", "counter");
        for code in Code::ALL {
            let count = self.sum(|stripe| stripe.refused.of(*code));
            out.line("refusals_total", Some(("code", code.as_str())), count);
        }
        out.head(
            "reloads_total",
            "Reloads of the configuration, by outcome.",
            "counter",
        );
        for (name, count) in [("ok", &self.reloaded), ("refused", &self.not_reloaded)] {
            out.line(
                "reloads_total",
                Some(("outcome", name)),
                count.load(Relaxed),
            );
        }
        out.process();
        out.0
    }

    fn stripe(&self) -> &Stripe {
        mine(&self.stripes)
    }

    fn sum(&self, of: impl Fn(&Stripe) -> u64) -> u64 {
        self.stripes.iter().map(of).fold(0, u64::wrapping_add)
    }
}

/// This thread's.
fn mine(stripes: &[Stripe; STRIPES]) -> &Stripe {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % STRIPES);
    }
    &stripes[MINE.get()]
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP fanwire_{name} {help}\n# TYPE fanwire_{name} {kind}"
        );
    }

    fn line(&mut self, name: &str, label: Option<(&str, &str)>, value: u64) {
        let _ = match label {
            Some((label, of)) => writeln!(self.0, "fanwire_{name}{{{label}=\"{of}\"}} {value}"),
            None => writeln!(self.0, "fanwire_{name} {value}"),
        };
    }

    /// What the system knows of the process; left out where it does not say.
    fn process(&mut self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            kib.trim().parse::<u64>().ok()
        });
        if let Some(kib) = resident {
            let bytes = kib * 1024;
            let _ = writeln!(
                self.0,
                "# HELP process_resident_memory_bytes Memory in use.\n\
                 # TYPE process_resident_memory_bytes gauge\n\
                 process_resident_memory_bytes {bytes}"
            );
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            let open = open.count();
            let _ = writeln!(
                self.0,
                "# HELP process_open_fds Descriptors in use.\n\
                 # TYPE process_open_fds gauge\n\
                 process_open_fds {open}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refused::Kept;

    #[test]
    fn x12_there_is_room_for_every_code_and_each_counts_for_itself() {
        assert!(Code::ALL.len() <= CODES);
        let metrics = Metrics::default();
        for code in Code::ALL {
            let refusal = Refusal::new(*code, "x");
            metrics.refuses(*code, Kept::default().tell(&refusal));
        }
        for code in Code::ALL {
            assert_eq!(
                metrics.sum(|stripe| stripe.refused.of(*code)),
                1,
                "{code:?}"
            );
        }
    }

    #[test]
    fn threads_add_up() {
        let metrics = Metrics::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        metrics.opens(Opened::Poll);
                        metrics.publishes(3, &Ok(()));
                    }
                });
            }
        });
        let polls = metrics.sum(|stripe| stripe.opened[Opened::Poll as usize].load(Relaxed));
        let bytes = metrics.sum(|stripe| stripe.published_bytes.load(Relaxed));
        assert_eq!((polls, bytes), (4000, 12_000));
    }
}
