//! Everybody talks to everybody.

use super::common::{nanos, open_all, paced, tell};
use super::{Params, Say, Scenario};
use crate::error::Result;
use crate::load::{Engine, Schedule};
use crate::report::Outcome;

/// The question that most people begin with.
#[derive(Debug)]
pub(super) struct Classic;

impl Scenario for Classic {
    fn name(&self) -> &'static str {
        "classic"
    }

    fn about(&self) -> &'static str {
        "every client sends at its own pace through its own transport, and all hear all"
    }

    fn defaults(&self) -> Params {
        Params {
            rate: 1.0,
            seconds: 20.0,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &["rate"]
    }

    fn pace(&self, params: &Params) -> String {
        format!("{} messages a second from each", params.rate)
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "requests_per_s",
            "deliveries_per_s",
            "mean_ms",
            "p50_ms",
            "p99_ms",
            "p999_ms",
            "up_mb_min",
            "down_mb_min",
            "overhead_bytes",
            "server_cpu_percent",
            "server_mib",
            "lost",
            "doubled",
            "out_of_order",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        vec![(0, true); params.clients as usize]
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        open_all(engine, params, say)?;
        let mut schedule = Schedule::default();
        let interval = nanos(1.0 / params.rate);
        for client in 0..engine.count() {
            let first = engine.now() + engine.rng.below(interval);
            schedule.add(client, first, interval);
        }
        let spent = paced(engine, &mut schedule, params, say)?;
        tell(engine, params, spent, 0..engine.count())
    }
}
