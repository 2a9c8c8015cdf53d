//! Subscribers that hear nothing.

use super::common::{nanos, opening, own_cost, resumed};
use super::{Params, Say, Scenario};
use crate::error::{Error, Result};
use crate::load::{Engine, Open, Schedule};
use crate::report::Outcome;

/// Memory per connection.
#[derive(Debug)]
pub(super) struct Idle;

/// Clients that connect before the memory is looked at first, so that what a
/// server takes once does not count as theirs.
const FIRST: u32 = 10;
/// Length of one look at whether the server has settled, and the most of them.
const LOOK: f64 = 0.25;
const LOOKS: usize = 20;

impl Scenario for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn about(&self) -> &'static str {
        "subscribers connect and hear nothing: what each costs in memory and CPU"
    }

    fn defaults(&self) -> Params {
        Params {
            clients: 5000,
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
            "kib_per_connection",
            "connects_per_s",
            "connect_p50_ms",
            "connect_p99_ms",
            "resumed_percent",
            "cpu_us_per_connect",
            "idle_cpu_percent",
            "server_mib",
            "closed",
        ]
    }

    fn clients(&self, params: &Params) -> Vec<(usize, bool)> {
        vec![(0, false); (params.clients + FIRST) as usize]
    }

    fn run(&self, engine: &mut Engine, params: &Params, say: &mut Say<'_>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        engine.open(0..FIRST, Open::default())?;
        settle(engine)?;
        let before = memory(engine)?;
        say("connecting", 0.1);
        engine.meter.begin(engine.now());
        let how = Open {
            at_once: params.at_once as usize,
            ..Open::default()
        };
        engine.open(FIRST..engine.count(), how)?;
        let spent = engine.meter.end(engine.now());
        let count = f64::from(params.clients);
        outcome.set("connects_per_s", count / spent.seconds);
        opening(engine, FIRST..engine.count(), &mut outcome);
        resumed(&spent, &mut outcome);
        own_cost(&spent, &mut outcome);
        settle(engine)?;
        let after = memory(engine)?;
        outcome.set("kib_per_connection", ((after - before) / count).max(0.0));
        outcome.set("server_mib", after / 1024.0);
        if let Some(cpu) = spent.server_cpu {
            outcome.set("cpu_us_per_connect", 1e6 * cpu / count);
        }
        say("idle", 0.5);
        engine.meter.begin(engine.now());
        let until = engine.now() + nanos(params.seconds);
        engine.run(&mut Schedule::default(), until)?;
        let idle = engine.meter.end(engine.now());
        if let Some(cpu) = idle.server_cpu {
            outcome.set("idle_cpu_percent", 100.0 * cpu / idle.seconds);
        }
        outcome.set("closed", engine.meter.counters.closed as f64);
        Ok(outcome)
    }
}

/// Waits until the server does next to nothing any more.
fn settle(engine: &mut Engine) -> Result<()> {
    for _ in 0..LOOKS {
        engine.meter.begin(engine.now());
        let until = engine.now() + nanos(LOOK);
        engine.run(&mut Schedule::default(), until)?;
        let cpu = engine.meter.end(engine.now()).server_cpu;
        if cpu.is_none_or(|cpu| cpu <= 0.01) {
            break;
        }
    }
    Ok(())
}

fn memory(engine: &Engine) -> Result<f64> {
    let server = engine.meter.server().ok_or_else(|| {
        Error::new("memory can only be measured of a server on this machine: give its --pid")
    })?;
    server.pss_kib().ok_or_else(|| {
        Error::new("the memory of the server cannot be read: /proc/PID/smaps_rollup")
    })
}
