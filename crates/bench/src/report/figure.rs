//! The catalogue of figures: what each is called, in which unit, and whether
//! less is better.

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    /// Neither: it describes the load.
    Neither,
}

/// One figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Def {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// Its name in a table.
    pub(crate) label: &'static str,
    pub(crate) better: Better,
    /// What it means, for someone who sees it the first time.
    pub(crate) means: &'static str,
}

const fn d(key: &'static str, label: &'static str, better: Better, means: &'static str) -> Def {
    Def {
        key,
        label,
        better,
        means,
    }
}

use Better::{Less, More, Neither};

const CATALOGUE: &[Def] = &[
    d(
        "requests_per_s",
        "requests/s",
        Neither,
        "HTTP requests and WebSocket messages that the clients sent: publishes and polls",
    ),
    d(
        "deliveries_per_s",
        "deliveries/s",
        More,
        "messages heard, all subscribers together",
    ),
    d(
        "mean_ms",
        "mean ms",
        Less,
        "mean latency, from the moment when a message was due to be published until a subscriber has it",
    ),
    d(
        "p50_ms",
        "p50 ms",
        Less,
        "half of all deliveries were faster than this",
    ),
    d(
        "p99_ms",
        "p99 ms",
        Less,
        "99 of 100 deliveries were faster than this",
    ),
    d(
        "p999_ms",
        "p99.9 ms",
        Less,
        "999 of 1,000 deliveries were faster than this",
    ),
    d("max_ms", "max ms", Less, "the slowest delivery"),
    d(
        "up_mb_min",
        "MB/min up",
        Less,
        "bytes from the clients to the server: what TCP carried, without its own headers",
    ),
    d(
        "down_mb_min",
        "MB/min down",
        Less,
        "bytes from the server to the clients: what TCP carried, without its own headers",
    ),
    d(
        "overhead_bytes",
        "overhead B/msg",
        Less,
        "bytes both ways beyond the messages themselves, for each delivery",
    ),
    d("server_cpu_percent", "server CPU %", Less, "of one core"),
    d(
        "cpu_us_per_delivery",
        "CPU µs/delivery",
        Less,
        "server CPU time for each message delivered",
    ),
    d(
        "server_mib",
        "server MiB",
        Less,
        "memory of the server's processes (PSS) at the end, without the kernel's socket buffers",
    ),
    d(
        "lost",
        "lost",
        Less,
        "deliveries that never came; every subscriber checks every message",
    ),
    d("doubled", "doubled", Less, "deliveries that came again"),
    d(
        "out_of_order",
        "out of order",
        Less,
        "deliveries that came after a later message of the same sender",
    ),
    d(
        "refused",
        "refused",
        Less,
        "publishes that the server refused",
    ),
    d(
        "closed",
        "closed",
        Less,
        "connections that the server ended",
    ),
    d(
        "load_cpu_percent",
        "load CPU %",
        Neither,
        "CPU of the load generator, of one core; from 90 on it may be what limits",
    ),
    d(
        "reads_per_delivery",
        "reads/delivery",
        Neither,
        "how often the clients had to read; far below 1: the server gathers messages into one write",
    ),
    d(
        "kib_per_connection",
        "KiB/connection",
        Less,
        "memory (PSS) that one silent subscriber costs in the server, without the kernel's socket buffers",
    ),
    d(
        "connects_per_s",
        "connects/s",
        More,
        "clients that connected and were subscribed",
    ),
    d(
        "connect_p50_ms",
        "connect p50 ms",
        Less,
        "half of the clients were subscribed faster than this",
    ),
    d(
        "connect_p99_ms",
        "connect p99 ms",
        Less,
        "99 of 100 clients were subscribed faster than this",
    ),
    d(
        "resumed_percent",
        "resumed %",
        Neither,
        "TLS handshakes that a ticket made short",
    ),
    d(
        "cpu_us_per_connect",
        "CPU µs/connect",
        Less,
        "server CPU time for each client that connected",
    ),
    d(
        "idle_cpu_percent",
        "idle CPU %",
        Less,
        "server CPU with all connections silent, of one core",
    ),
    d(
        "round_trips_per_s",
        "round trips/s",
        More,
        "messages that came back to their sender",
    ),
    d(
        "whole_ms",
        "all whole ms",
        Less,
        "from the moment when the clients may come back until the last one has caught up",
    ),
    d(
        "whole_p50_ms",
        "whole p50 ms",
        Less,
        "from the moment when the clients may come back until half of them have caught up",
    ),
    d(
        "missed",
        "published meanwhile",
        Neither,
        "messages published while clients were away",
    ),
    d(
        "p99_before_ms",
        "p99 before ms",
        Less,
        "99 of 100 deliveries were faster than this, before some stalled",
    ),
    d(
        "growth_mib",
        "memory growth MiB",
        Less,
        "how much the server grew while some clients did not read",
    ),
    d(
        "stalled_closed",
        "stalled, closed",
        Neither,
        "stalled clients that the server disconnected",
    ),
    d(
        "stalled_lost",
        "stalled, lost",
        Less,
        "deliveries that the stalled clients had not got when they had been read empty, or were disconnected",
    ),
    d(
        "stalled_silent",
        "… untold",
        Less,
        "those of them that belong to clients whom the server told nothing of a gap",
    ),
];

/// The figure of this key.
pub(crate) fn def(key: &str) -> Option<&'static Def> {
    CATALOGUE.iter().find(|def| def.key == key)
}

/// A value for people: three digits that matter, thousands apart.
pub(crate) fn text(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        return thousands(value.round());
    }
    if size == 0.0 || (size.fract() == 0.0 && size >= 1.0) || size >= 100.0 {
        return format!("{value:.0}");
    }
    match size {
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_at_a_glance() {
        let shown: Vec<String> = [
            1_234_567.0,
            999.6,
            100.0,
            12.34,
            1.0,
            0.456,
            0.0123,
            0.0,
            -1500.0,
        ]
        .map(text)
        .into();
        assert_eq!(
            shown,
            [
                "1,234,567",
                "1000",
                "100",
                "12.3",
                "1",
                "0.46",
                "0.012",
                "0",
                "-1,500"
            ]
        );
    }

    #[test]
    fn no_key_stands_twice() {
        let mut keys: Vec<&str> = CATALOGUE.iter().map(|def| def.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), CATALOGUE.len());
    }
}
