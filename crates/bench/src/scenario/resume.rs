//! All clients are cut at once: how long until all are whole again, and is
//! anything missing?

use std::time::Duration;

use hdrhistogram::Histogram;

use super::common::{faults, nanos, open_all, opening, own_cost, share_rate};
use super::{Params, Say, Scenario};
use crate::adapter::{Carrier, Transport};
use crate::error::Result;
use crate::load::{Engine, Schedule, histogram};
use crate::report::Outcome;

/// Coming back.
#[derive(Debug)]
pub(super) struct Resume;

/// Longest wait for all to be whole, in nanoseconds.
const PATIENCE: u64 = 30_000_000_000;
/// The sender; it is not cut.
const SENDER: u32 = 0;

impl Scenario for Resume {
    fn name(&self) -> &'static str {
        "resume"
    }

    fn about(&self) -> &'static str {
        "while messages flow, all clients are cut at once and come back: how long until all have caught up, and is anything missing"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 500,
            rate: 100.0,
            seconds: 2.0,
            at_once: 256,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &["rate"]
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "whole_ms",
            "whole_p50_ms",
            "missed",
            "lost",
            "doubled",
            "out_of_order",
            "connect_p99_ms",
            "server_mib",
            "load_cpu_percent",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        (0..=params.clients)
            .map(|client| (0, client == SENDER))
            .collect()
    }

    fn takes(&self, params: &Params) -> f64 {
        3.0 + params.warmup + params.seconds
    }

    fn suits(&self, transport: &Transport) -> bool {
        transport.resume.is_some() && transport.carrier == Carrier::Plain
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if engine.resumes() {
            engine.track_cursors();
        } else {
            outcome.notes.push(
                "this transport has no cursor: what is published while a client is away is lost"
                    .to_owned(),
            );
        }
        open_all(engine, params, say)?;
        let mut schedule = share_rate(engine, &[SENDER], params.rate);
        say("messages flow", 0.1);
        let until = engine.now() + nanos(params.warmup.max(0.2));
        engine.run(&mut schedule, until)?;
        (1..engine.count()).for_each(|client| engine.cut(client));
        say("all are cut", 0.3);
        let sent = engine.ledger.sent();
        let until = engine.now() + nanos(params.seconds);
        engine.run(&mut schedule, until)?;
        outcome.set("missed", (engine.ledger.sent() - sent) as f64);
        say("all come back", 0.7);
        engine.meter.begin(engine.now());
        let took = come_back(engine, params, &mut schedule)?;
        let spent = engine.meter.end(engine.now());
        own_cost(&spent, &mut outcome);
        if took.len() < u64::from(params.clients) {
            outcome.notes.push(format!(
                "only {} of {} clients caught up",
                took.len(),
                params.clients
            ));
        } else {
            outcome.set("whole_ms", took.max() as f64 / 1e6);
        }
        outcome.set("whole_p50_ms", took.value_at_quantile(0.5) as f64 / 1e6);
        opening(engine, 1..engine.count(), &mut outcome);
        engine.drain(0..engine.count(), Duration::from_secs(3))?;
        faults(engine, 0..engine.count(), &mut outcome);
        if let Some(kib) = engine.meter.server().and_then(|server| server.pss_kib()) {
            outcome.set("server_mib", kib / 1024.0);
        }
        Ok(outcome)
    }
}

/// Lets all come back, and gives for each how long after that it had caught up
/// with what was published before it was subscribed again, in nanoseconds.
fn come_back(
    engine: &mut Engine,
    params: &Params,
    schedule: &mut Schedule,
) -> Result<Histogram<u64>> {
    let begin = engine.now();
    let deadline = begin + PATIENCE;
    let mut took = histogram();
    let mut waiting = 1..engine.count();
    let mut under_way: Vec<u32> = Vec::new();
    let mut behind: Vec<(u32, u32)> = Vec::new();
    loop {
        while under_way.len() < params.at_once as usize
            && let Some(client) = waiting.next()
        {
            engine.start_client(client)?;
            under_way.push(client);
        }
        under_way.retain(|&client| {
            let ready = engine.is_ready(client);
            if ready.is_some() {
                behind.push((client, engine.ledger.sent_by(SENDER)));
            }
            ready.is_none()
        });
        let now = engine.now();
        behind.retain(|&(client, target)| {
            let whole = engine.ledger.heard_to(client, SENDER) >= target;
            if whole {
                took.saturating_record(now - begin);
            }
            !whole
        });
        if now >= deadline || (waiting.is_empty() && under_way.is_empty() && behind.is_empty()) {
            return Ok(took);
        }
        while let Some((client, due)) = schedule.due(now) {
            engine.publish(client, due)?;
        }
        engine.turn(deadline.min(schedule.next()))?;
    }
}
