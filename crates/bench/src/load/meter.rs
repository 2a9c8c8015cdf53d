//! What is counted, and the window of time in which it counts.

use hdrhistogram::Histogram;

use crate::host::Processes;

/// Longest latency that is told apart from longer ones.
const LONGEST: u64 = 120_000_000_000;

/// Counters of everything since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Bytes written to and read from sockets: TCP's payload, all of it.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// HTTP requests and WebSocket messages sent.
    pub(crate) requests: u64,
    /// Messages heard, each the first time.
    pub(crate) deliveries: u64,
    /// Calls of `read` that brought something.
    pub(crate) reads: u64,
    /// Publishes that the server refused.
    pub(crate) refused: u64,
    /// Connections that the server closed or reset.
    pub(crate) closed: u64,
    /// Polls answered with an error.
    pub(crate) failed: u64,
    /// TLS handshakes, and those that a ticket made short.
    pub(crate) handshakes: u64,
    pub(crate) resumed: u64,
}

/// What a window of time took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) counters: Counters,
    /// CPU seconds of the server, where it runs here.
    pub(crate) server_cpu: Option<f64>,
    pub(crate) own_cpu: f64,
}

/// The state at one instant.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    at: u64,
    counters: Counters,
    server_cpu: Option<f64>,
    own_cpu: f64,
}

#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) counters: Counters,
    /// Nanoseconds from due to heard, of what was due in the window.
    pub(crate) latency: Histogram<u64>,
    /// Messages are measured that were due in here.
    from: u64,
    to: u64,
    /// Deliveries of what was due in the window.
    pub(crate) timely: u64,
    begun: Option<Snapshot>,
    server: Option<Processes>,
}

impl Meter {
    pub(super) fn new(server: Option<Processes>) -> Meter {
        Meter {
            counters: Counters::default(),
            latency: histogram(),
            from: u64::MAX,
            to: u64::MAX,
            timely: 0,
            begun: None,
            server,
        }
    }

    /// The server's processes, where they are known.
    pub(crate) fn server(&self) -> Option<&Processes> {
        self.server.as_ref()
    }

    pub(super) fn heard(&mut self, due: u64, now: u64, counts: bool) {
        self.counters.deliveries += 1;
        if counts && due >= self.from && due < self.to {
            self.timely += 1;
            self.latency.saturating_record(now.saturating_sub(due));
        }
    }

    /// The window begins: latencies so far are forgotten.
    pub(crate) fn begin(&mut self, now: u64) {
        self.latency.reset();
        self.timely = 0;
        (self.from, self.to) = (now, u64::MAX);
        self.begun = Some(self.snapshot(now));
    }

    /// The window ends; what was due in it is measured on as it arrives.
    pub(crate) fn end(&mut self, now: u64) -> Spent {
        self.to = now;
        let end = self.snapshot(now);
        let Some(begun) = self.begun.take() else {
            return Spent::default();
        };
        let (a, b) = (begun.counters, end.counters);
        Spent {
            seconds: (end.at - begun.at) as f64 / 1e9,
            counters: Counters {
                up: b.up - a.up,
                down: b.down - a.down,
                requests: b.requests - a.requests,
                deliveries: b.deliveries - a.deliveries,
                reads: b.reads - a.reads,
                refused: b.refused - a.refused,
                closed: b.closed - a.closed,
                failed: b.failed - a.failed,
                handshakes: b.handshakes - a.handshakes,
                resumed: b.resumed - a.resumed,
            },
            server_cpu: end
                .server_cpu
                .zip(begun.server_cpu)
                .map(|(b, a)| (b - a).max(0.0)),
            own_cpu: end.own_cpu - begun.own_cpu,
        }
    }

    fn snapshot(&self, now: u64) -> Snapshot {
        Snapshot {
            at: now,
            counters: self.counters,
            server_cpu: self.server.as_ref().and_then(Processes::cpu_seconds),
            own_cpu: Processes::own_cpu_seconds(),
        }
    }
}

/// An empty histogram of nanoseconds, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3)
        .unwrap_or_else(|_| unreachable!("the bounds and digits are legal"))
}

/// Points of a distribution: percentile and microseconds.
pub(crate) fn micros(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    const POINTS: [f64; 16] = [
        0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99,
        99.999, 100.0,
    ];
    if latency.is_empty() {
        return Vec::new();
    }
    let value = |point: f64| latency.value_at_quantile(point / 100.0) as f64 / 1e3;
    POINTS.iter().map(|&point| (point, value(point))).collect()
}
