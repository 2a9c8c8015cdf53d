//! Some readers stall. Do the others notice?

use std::ops::Range;
use std::time::Duration;

use super::common::{faults, latency, nanos, open, own_cost, paced, share_rate};
use super::{Params, Say, Scenario};
use crate::error::Result;
use crate::load::{Engine, Open, Schedule};
use crate::report::Outcome;

/// Slow readers beside healthy ones.
#[derive(Debug)]
pub(super) struct Slow;

/// When nothing has come for so long, the stalled have what they will get.
const CATCH_UP: Duration = Duration::from_secs(3);

/// Clients that send, in turns: one alone, with one POST on its way at a time,
/// would wait for the last when the next is due.
const SENDERS: u32 = 16;

/// Those that stall are the first.
fn stalled(params: &Params) -> u32 {
    params.stalled.min(params.clients.saturating_sub(1))
}

/// And those that send the last.
fn senders(params: &Params) -> Range<u32> {
    params.clients - (params.clients - stalled(params)).min(SENDERS)..params.clients
}

impl Scenario for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn about(&self) -> &'static str {
        "some subscribers stop reading: what the others notice, what the server keeps, and what the stalled get when they read again"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 100,
            stalled: 10,
            rate: 200.0,
            payload: 4096,
            seconds: 10.0,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &["rate", "stalled"]
    }

    fn pace(&self, params: &Params) -> String {
        format!(
            "{} messages a second, {} clients stall",
            params.rate, params.stalled
        )
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "p99_before_ms",
            "p50_ms",
            "p99_ms",
            "max_ms",
            "growth_mib",
            "server_mib",
            "lost",
            "stalled_closed",
            "stalled_lost",
            "stalled_silent",
            "doubled",
            "out_of_order",
            "load_cpu_percent",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        let senders = senders(params);
        (0..params.clients)
            .map(|client| (0, senders.contains(&client)))
            .collect()
    }

    fn takes(&self, params: &Params) -> f64 {
        2.0 + 2.0 * params.warmup + params.seconds
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let (stalled, all) = (stalled(params), engine.count());
        engine.small_buffers(true);
        engine.open(0..stalled, Open::default())?;
        engine.small_buffers(false);
        open(engine, stalled..all, params, say)?;
        let mut schedule = share_rate(engine, &senders(params).collect::<Vec<_>>(), params.rate);
        // The stalled do not count before either: the same clients are compared.
        for client in 0..stalled {
            engine.stall(client, false)?;
        }
        let healthy = Params {
            seconds: params.warmup.max(0.5),
            warmup: 0.2,
            ..params.clone()
        };
        paced(engine, &mut schedule, &healthy, say)?;
        outcome.set(
            "p99_before_ms",
            engine.meter.latency.value_at_quantile(0.99) as f64 / 1e6,
        );
        engine.track_gaps();
        let memory = |engine: &Engine| engine.meter.server().and_then(|server| server.pss_kib());
        let before = memory(engine);
        for client in 0..stalled {
            engine.stall(client, true)?;
        }
        let (spent, _) = paced(
            engine,
            &mut schedule,
            &Params {
                warmup: 0.0,
                ..params.clone()
            },
            say,
        )?;
        engine.drain(stalled..all, Duration::from_secs(2))?;
        latency(engine, &mut outcome);
        own_cost(&spent, &mut outcome);
        if let Some((before, after)) = before.zip(memory(engine)) {
            outcome.set("growth_mib", ((after - before) / 1024.0).max(0.0));
            outcome.set("server_mib", after / 1024.0);
        }
        say("the stalled read again", 0.9);
        for client in 0..stalled {
            engine.stall(client, false)?;
        }
        engine.drain(0..stalled, CATCH_UP)?;
        let until = engine.now() + nanos(0.1);
        engine.run(&mut Schedule::default(), until)?;
        faults(engine, stalled..all, &mut outcome);
        let closed = (0..stalled).filter(|&client| engine.is_off(client)).count();
        outcome.set("stalled_closed", closed as f64);
        outcome.set("stalled_lost", engine.ledger.faults(0..stalled).lost as f64);
        let untold = (0..stalled).filter(|&client| !engine.was_told(client));
        outcome.set("stalled_silent", engine.ledger.faults(untold).lost as f64);
        Ok(outcome)
    }
}
