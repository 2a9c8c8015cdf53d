//! Many small channels.

use std::collections::VecDeque;

use super::common::{open_all, paced, saturated, share_rate, tell};
use super::{Params, Say, Scenario};
use crate::error::Result;
use crate::load::Engine;
use crate::report::Outcome;

/// What messages cost that few hear.
#[derive(Debug)]
pub(super) struct Rooms;

impl Scenario for Rooms {
    fn name(&self) -> &'static str {
        "rooms"
    }

    fn about(&self) -> &'static str {
        "many small channels; in each, one of the subscribers sends"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 2000,
            channels: 200,
            window: 64,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &["rate", "window", "channels"]
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "deliveries_per_s",
            "cpu_us_per_delivery",
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
        let channels = params.channels.min(params.clients) as usize;
        let spread = |client: usize| (client % channels, client < channels);
        (0..params.clients as usize).map(spread).collect()
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        open_all(engine, params, say)?;
        // The first clients are one of each channel.
        let senders: Vec<u32> = (0..params.channels.min(params.clients)).collect();
        let spent = if params.rate > 0.0 {
            let mut schedule = share_rate(engine, &senders, params.rate);
            paced(engine, &mut schedule, params, say)?
        } else {
            let first = params.window.clamp(1, senders.len() as u32) as usize;
            // Channels take turns: whose message was heard goes to the back.
            let mut idle: VecDeque<u32> = senders[first..].iter().copied().collect();
            saturated(engine, params, say, &senders[..first], |client| {
                idle.push_back(client);
                idle.pop_front().unwrap_or(client)
            })?
        };
        tell(engine, params, spent, 0..engine.count())
    }
}
