//! One message, many subscribers.

use super::common::{open_all, paced, saturated, share_rate, tell};
use super::{Params, Say, Scenario};
use crate::error::Result;
use crate::load::Engine;
use crate::report::Outcome;

/// What a broadcast costs.
#[derive(Debug)]
pub(super) struct Fanout;

/// Subscribers that publish, in turns where there is a rate: a client has one
/// POST on its way at a time, and must not wait for the last when the next is
/// due.
fn senders(params: &Params) -> Vec<u32> {
    (0..params.window.min(params.clients).max(1)).collect()
}

impl Scenario for Fanout {
    fn name(&self) -> &'static str {
        "fanout"
    }

    fn about(&self) -> &'static str {
        "few send and all hear it: at a fixed rate, or as fast as the server can with a window of messages under way"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 1000,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &["rate", "window"]
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "deliveries_per_s",
            "cpu_us_per_delivery",
            "reads_per_delivery",
            "mean_ms",
            "p50_ms",
            "p99_ms",
            "p999_ms",
            "overhead_bytes",
            "server_cpu_percent",
            "server_mib",
            "load_cpu_percent",
            "lost",
            "doubled",
            "out_of_order",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        let senders = senders(params).len();
        (0..params.clients as usize)
            .map(|client| (0, client < senders))
            .collect()
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        open_all(engine, params, say)?;
        let senders = senders(params);
        let spent = if params.rate > 0.0 {
            let mut schedule = share_rate(engine, &senders, params.rate);
            paced(engine, &mut schedule, params, say)?
        } else {
            saturated(engine, params, say, &senders, |client| client)?
        };
        tell(engine, params, spent, 0..engine.count())
    }
}
