//! What the scenarios share.

use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Say;
use super::params::Params;
use crate::error::Result;
use crate::load::{Engine, Open, Schedule, Spent, histogram};
use crate::report::Outcome;

/// When nothing has come for so long at the end, nothing will.
const DRAIN: Duration = Duration::from_secs(3);
/// How much longer than planned a window may last that brought nothing.
const PATIENCE: u64 = 10_000_000_000;
/// A part of a run between two reports of how far it is.
const SLICE: u64 = 250_000_000;
/// Sends later than this, in nanoseconds, are told.
const LATE: u64 = 20_000_000;
/// From this share of its core on the load generator may be what limits.
const BUSY: f64 = 0.9;
/// Streams that tell nothing when they are subscribed get this long.
const SETTLE: u64 = 500_000_000;

/// Seconds as nanoseconds.
pub(super) fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Opens all clients of a run.
pub(super) fn open_all(engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<()> {
    open(engine, 0..engine.count(), params, say)
}

/// Opens these clients.
pub(super) fn open(
    engine: &mut Engine,
    clients: Range<u32>,
    params: &Params,
    say: &mut Say<'_>,
) -> Result<()> {
    say("connecting", 0.0);
    let how = Open {
        at_once: params.at_once as usize,
        ..Open::default()
    };
    engine.open(clients, how)?;
    let until = engine.now() + SETTLE;
    engine.run(&mut Schedule::default(), until)
}

/// An open loop: a warm-up, then the window that is measured.
pub(super) fn paced(
    engine: &mut Engine,
    schedule: &mut Schedule,
    params: &Params,
    say: &mut Say<'_>,
) -> Result<(Spent, u64)> {
    let mut load = |engine: &mut Engine, until: u64| engine.run(schedule, until);
    warm_up(engine, params, say, &mut load)?;
    engine.latest_send = 0;
    let sent = engine.ledger.sent();
    window(engine, params, say, &mut load)?;
    let sent = engine.ledger.sent() - sent;
    Ok((engine.meter.end(engine.now()), sent))
}

/// A closed loop: `next` names the sender that publishes when another
/// sender's message was heard by all.
pub(super) fn saturated(
    engine: &mut Engine,
    params: &Params,
    say: &mut Say<'_>,
    first: &[u32],
    mut next: impl FnMut(u32) -> u32,
) -> Result<(Spent, u64)> {
    engine.ledger.watch();
    for &client in first {
        let now = engine.now();
        engine.publish(client, now)?;
    }
    let mut done = Vec::new();
    let mut loop_until = |engine: &mut Engine, until: u64| -> Result<()> {
        while engine.now() < until {
            engine.turn(until)?;
            engine.ledger.completed(&mut done);
            for client in done.drain(..) {
                let client = next(client);
                let now = engine.now();
                engine.publish(client, now)?;
            }
        }
        Ok(())
    };
    warm_up(engine, params, say, &mut loop_until)?;
    let sent = engine.ledger.sent();
    window(engine, params, say, &mut loop_until)?;
    let sent = engine.ledger.sent() - sent;
    Ok((engine.meter.end(engine.now()), sent))
}

/// A load that goes on until then.
type Load<'a> = dyn FnMut(&mut Engine, u64) -> Result<()> + 'a;

fn warm_up(
    engine: &mut Engine,
    params: &Params,
    say: &mut Say<'_>,
    load: &mut Load<'_>,
) -> Result<()> {
    let all = params.warmup + params.seconds;
    let (begin, length) = (engine.now(), nanos(params.warmup));
    while engine.now() < begin + length {
        let at = engine.now() - begin;
        say("warming up", at as f64 / 1e9 / all);
        load(engine, begin + length.min(at + SLICE))?;
    }
    Ok(())
}

/// Begins the window that is measured, and ends it when its time is over. On a
/// machine with much else to do it lasts longer, until something was heard.
fn window(
    engine: &mut Engine,
    params: &Params,
    say: &mut Say<'_>,
    load: &mut Load<'_>,
) -> Result<()> {
    let all = params.warmup + params.seconds;
    let (begin, length) = (engine.now(), nanos(params.seconds));
    engine.meter.begin(begin);
    loop {
        let at = engine.now() - begin;
        let patient = engine.meter.timely == 0 && at < length + PATIENCE;
        if at >= length && !patient {
            return Ok(());
        }
        say("measuring", (params.warmup + at as f64 / 1e9) / all);
        let left = length.saturating_sub(at);
        let slice = if left == 0 { SLICE } else { left.min(SLICE) };
        load(engine, begin + at + slice)?;
    }
}

/// Waits for what is on its way, and writes what every scenario tells: rates,
/// latency, bytes, the server's cost, faults. `clients` are those that must
/// have heard everything.
pub(super) fn tell(
    engine: &mut Engine,
    params: &Params,
    (spent, sent): (Spent, u64),
    clients: impl Iterator<Item = u32> + Clone,
) -> Result<Outcome> {
    engine.drain(clients.clone(), DRAIN)?;
    let mut outcome = Outcome::default();
    let counters = spent.counters;
    let deliveries = counters.deliveries as f64;
    outcome.set("requests_per_s", counters.requests as f64 / spent.seconds);
    outcome.set("deliveries_per_s", deliveries / spent.seconds);
    latency(engine, &mut outcome);
    let minutes = spent.seconds / 60.0;
    outcome.set("up_mb_min", counters.up as f64 / 1e6 / minutes);
    outcome.set("down_mb_min", counters.down as f64 / 1e6 / minutes);
    let messages = (sent as f64 + deliveries) * params.payload as f64;
    let overhead = (counters.up + counters.down) as f64 - messages;
    outcome.set("overhead_bytes", overhead.max(0.0) / deliveries);
    outcome.set("reads_per_delivery", counters.reads as f64 / deliveries);
    if let Some(cpu) = spent.server_cpu {
        outcome.set("server_cpu_percent", 100.0 * cpu / spent.seconds);
        outcome.set("cpu_us_per_delivery", 1e6 * cpu / deliveries);
    }
    if let Some(kib) = engine.meter.server().and_then(|server| server.pss_kib()) {
        outcome.set("server_mib", kib / 1024.0);
    }
    own_cost(&spent, &mut outcome);
    if engine.latest_send > LATE {
        outcome.notes.push(format!(
            "the load generator itself sent up to {} ms late, because something else took its core: that is in the latencies",
            engine.latest_send / 1_000_000
        ));
    }
    faults(engine, clients, &mut outcome);
    Ok(outcome)
}

/// The latencies of what was due in the window.
pub(super) fn latency(engine: &Engine, outcome: &mut Outcome) {
    let latency = &engine.meter.latency;
    if latency.is_empty() {
        return;
    }
    let ms = |nanos: f64| nanos / 1e6;
    outcome.set("mean_ms", ms(latency.mean()));
    for (key, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)] {
        outcome.set(key, ms(latency.value_at_quantile(quantile) as f64));
    }
    outcome.set("max_ms", ms(latency.max() as f64));
    outcome.latency = crate::load::micros(latency);
}

/// What the load generator took itself; a note where it may have been what
/// limited.
pub(super) fn own_cost(spent: &Spent, outcome: &mut Outcome) {
    let share = spent.own_cpu / spent.seconds;
    outcome.set("load_cpu_percent", 100.0 * share);
    if share >= BUSY {
        outcome.notes.push(format!(
            "the load generator used {:.0} % of its core: it may be what limited this, not the server",
            100.0 * share
        ));
    }
}

/// How many of the TLS handshakes a ticket made short; nothing without TLS.
pub(super) fn resumed(spent: &Spent, outcome: &mut Outcome) {
    let counters = spent.counters;
    let share = counters.resumed as f64 / counters.handshakes as f64;
    outcome.set("resumed_percent", 100.0 * share);
}

/// What these clients lost, heard twice or too late; what was refused.
pub(super) fn faults(
    engine: &mut Engine,
    clients: impl Iterator<Item = u32>,
    outcome: &mut Outcome,
) {
    let unsent = engine.take_back();
    if unsent > 0 {
        outcome.notes.push(format!(
            "{unsent} messages were never sent, because the answers to those before them came too slowly"
        ));
    }
    let faults = engine.ledger.faults(clients);
    outcome.set("lost", faults.lost as f64);
    outcome.set("doubled", faults.doubled as f64);
    outcome.set("out_of_order", faults.out_of_order as f64);
    let counters = &engine.meter.counters;
    outcome.set("refused", counters.refused as f64);
    outcome.set("closed", counters.closed as f64);
    if faults.stray > 0 {
        outcome.notes.push(format!(
            "{} deliveries came to the wrong channel",
            faults.stray
        ));
    }
    if counters.refused > 0 {
        outcome
            .notes
            .push(format!("the server refused {} publishes", counters.refused));
    }
    if counters.closed > 0 {
        outcome
            .notes
            .push(format!("the server ended {} connections", counters.closed));
    }
    if counters.failed > 0 {
        outcome.notes.push(format!(
            "{} polls were answered with an error",
            counters.failed
        ));
    }
}

/// Senders that share a rate, each with a phase of its own.
pub(super) fn share_rate(engine: &mut Engine, senders: &[u32], rate: f64) -> Schedule {
    let mut schedule = Schedule::default();
    let interval = nanos(senders.len() as f64 / rate);
    let now = engine.now();
    for (place, &client) in senders.iter().enumerate() {
        // Evenly spread, and a little off, so that nothing beats in time.
        let even = interval / senders.len() as u64 * place as u64;
        let off = engine.rng.below(interval / senders.len() as u64);
        schedule.add(client, now + even + off, interval);
    }
    schedule
}

/// How long these clients took to be subscribed.
pub(super) fn opening(engine: &Engine, clients: std::ops::Range<u32>, outcome: &mut Outcome) {
    let mut took = histogram();
    clients.for_each(|client| took.saturating_record(engine.opening_took(client)));
    opening_times(&took, outcome);
}

/// The same, of a histogram.
pub(super) fn opening_times(took: &Histogram<u64>, outcome: &mut Outcome) {
    outcome.set("connect_p50_ms", took.value_at_quantile(0.5) as f64 / 1e6);
    outcome.set("connect_p99_ms", took.value_at_quantile(0.99) as f64 / 1e6);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_generator_that_had_its_core_full_says_so() {
        let note = |own_cpu: f64| {
            let mut outcome = Outcome::default();
            let spent = Spent {
                seconds: 2.0,
                own_cpu,
                ..Spent::default()
            };
            own_cost(&spent, &mut outcome);
            outcome.notes.join("")
        };
        assert_eq!(note(1.7), "");
        assert!(note(1.8).contains("used 90 % of its core"));
    }
}
