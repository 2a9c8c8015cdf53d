//! Everybody connects at once.

use super::common::{opening_times, own_cost, resumed};
use super::{Params, Say, Scenario};
use crate::error::Result;
use crate::load::{Engine, Open, histogram};
use crate::report::Outcome;

/// Connects per second.
#[derive(Debug)]
pub(super) struct Storm;

impl Scenario for Storm {
    fn name(&self) -> &'static str {
        "storm"
    }

    fn about(&self) -> &'static str {
        "clients connect and subscribe as fast as the server lets them, are cut, and come again"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 1000,
            at_once: 256,
            seconds: 5.0,
            warmup: 0.0,
            ..Params::default()
        }
    }

    fn knobs(&self) -> &'static [&'static str] {
        &[]
    }

    fn pace(&self, _params: &Params) -> String {
        "no messages".to_owned()
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "connects_per_s",
            "connect_p50_ms",
            "connect_p99_ms",
            "resumed_percent",
            "cpu_us_per_connect",
            "server_cpu_percent",
            "server_mib",
            "load_cpu_percent",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        vec![(0, false); params.clients as usize]
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let how = Open {
            at_once: params.at_once as usize,
            ..Open::default()
        };
        let begin = engine.now();
        let length = params.seconds * 1e9;
        let mut took = histogram();
        let mut connects = 0.0;
        engine.meter.begin(begin);
        loop {
            let over = (engine.now() - begin) as f64 / length;
            if over >= 1.0 {
                break;
            }
            say("connecting", over);
            engine.open(0..engine.count(), how)?;
            connects += f64::from(engine.count());
            for client in 0..engine.count() {
                took.saturating_record(engine.opening_took(client));
                engine.cut(client);
            }
            engine.forget_cursors();
        }
        let spent = engine.meter.end(engine.now());
        outcome.set("connects_per_s", connects / spent.seconds);
        opening_times(&took, &mut outcome);
        resumed(&spent, &mut outcome);
        if let Some(cpu) = spent.server_cpu {
            outcome.set("cpu_us_per_connect", 1e6 * cpu / connects);
            outcome.set("server_cpu_percent", 100.0 * cpu / spent.seconds);
        }
        if let Some(kib) = engine.meter.server().and_then(|server| server.pss_kib()) {
            outcome.set("server_mib", kib / 1024.0);
        }
        own_cost(&spent, &mut outcome);
        Ok(outcome)
    }
}
