//! There and back.

use super::common::{open_all, saturated, tell};
use super::{Params, Say, Scenario};
use crate::error::Result;
use crate::load::Engine;
use crate::report::Outcome;

/// How fast a client hears itself.
#[derive(Debug)]
pub(super) struct Echo;

impl Scenario for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn about(&self) -> &'static str {
        "every client on a channel of its own sends, waits until it hears itself, and sends again"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 1,
            seconds: 5.0,
            warmup: 1.0,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[]
    }

    fn pace(&self, _params: &Params) -> String {
        "one message under way from each".to_owned()
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "round_trips_per_s",
            "mean_ms",
            "p50_ms",
            "p99_ms",
            "p999_ms",
            "cpu_us_per_delivery",
            "overhead_bytes",
            "server_cpu_percent",
            "load_cpu_percent",
            "lost",
            "doubled",
            "out_of_order",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        (0..params.clients as usize)
            .map(|client| (client, true))
            .collect()
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        open_all(engine, params, say)?;
        let all: Vec<u32> = (0..engine.count()).collect();
        let spent = saturated(engine, params, say, &all, |client| client)?;
        let mut outcome = tell(engine, params, spent, 0..engine.count())?;
        if let Some(rate) = outcome.figures.remove("deliveries_per_s") {
            outcome.set("round_trips_per_s", rate);
        }
        Ok(outcome)
    }
}
