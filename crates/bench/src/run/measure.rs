//! Runs a plan.

use std::collections::BTreeMap;

use super::machine::machine;
use super::plan::{Plan, Target};
use super::progress::Progress;
use super::server::{self, Server};
use super::worker::{self, Job};
use crate::error::Result;
use crate::host::Signals;
use crate::report::{About, Outcome, Run};

/// Runs all of it; a run that fails is told, and the others go on. `this`
/// starts this program's commands.
///
/// # Errors
/// A signal asks to end: whatever was started has been ended then.
pub(crate) fn measure(
    plan: &Plan,
    this: &[String],
    signals: &Signals,
    show: bool,
    command: String,
) -> Result<(About, Vec<Run>)> {
    let todo = plan.runs();
    let takes = plan.scenario.takes(&plan.params);
    let mut progress = Progress::new(takes * todo.len() as f64, show);
    let mut runs = Vec::new();
    for (number, (repeat, target, transport)) in todo.iter().enumerate() {
        progress.next(takes);
        let name = format!(
            "{}/{} {}:{transport}",
            number + 1,
            todo.len(),
            target.adapter.name
        );
        progress.at(&format!("{name}: starting"), 0.0);
        let outcome = one(
            plan,
            target,
            transport,
            *repeat,
            number,
            this,
            signals,
            takes,
            &mut |what, part| {
                progress.at(&format!("{name}: {what}"), part);
            },
        );
        if let Err(ended) = signals.check() {
            progress.finish();
            return Err(ended);
        }
        let (outcome, error) = match outcome {
            Ok(outcome) => (Some(outcome), None),
            Err(error) => (None, Some(error.to_string())),
        };
        runs.push(Run {
            target: target.adapter.name.clone(),
            transport: (*transport).to_owned(),
            repeat: *repeat,
            outcome,
            error,
        });
    }
    progress.finish();
    Ok((about(plan, this, command), runs))
}

#[expect(clippy::too_many_arguments, reason = "one call, all of it needed")]
fn one(
    plan: &Plan,
    target: &Target,
    transport: &str,
    repeat: usize,
    number: usize,
    this: &[String],
    signals: &Signals,
    takes: f64,
    say: &mut crate::scenario::Say<'_>,
) -> Result<Outcome> {
    let server = match &target.at {
        Some(_) => None,
        None => Some(Server::start(
            &target.adapter,
            target.adapter.transports[transport].carrier.is_tls(),
            plan.cpus.server,
            this,
            signals,
        )?),
    };
    let (addr, host, pid) = match (&server, &target.at) {
        (Some(server), _) => (server.addr, server.addr.to_string(), Some(server.pid())),
        (None, Some(at)) => (at.addr, at.host.clone(), at.pid),
        (None, None) => unreachable!("a server is started, or runs already"),
    };
    let job = Job {
        scenario: plan.scenario.name().to_owned(),
        params: plan.params.clone(),
        transport: target.adapter.transports[transport].clone(),
        addr,
        host,
        seed: plan.seed.wrapping_add(repeat as u64),
        tag: format!("{:x}-{number}", std::process::id()),
        server: pid,
        cpu: plan.cpus.load,
    };
    worker::run(&job, this, signals, takes, say)
}

fn about(plan: &Plan, this: &[String], command: String) -> About {
    let mut versions = BTreeMap::new();
    for target in &plan.targets {
        let launch = target
            .adapter
            .server
            .as_ref()
            .filter(|launch| !launch.version.is_empty());
        let version = launch.and_then(|launch| server::version(&target.adapter, launch, this));
        if let Some(version) = version {
            versions.insert(target.adapter.name.clone(), version);
        }
    }
    About {
        scenario: plan.scenario.name().to_owned(),
        what: what(plan),
        command,
        seed: plan.seed,
        repeats: plan.repeats,
        machine: machine(plan.cpus),
        versions,
        columns: plan
            .scenario
            .columns()
            .iter()
            .map(|&key| key.to_owned())
            .collect(),
    }
}

fn what(plan: &Plan) -> String {
    let params = &plan.params;
    let pace = plan.scenario.pace(params);
    let sends = !plan
        .scenario
        .clients(params)
        .iter()
        .all(|(_, sends)| !sends);
    let size = match sends {
        true => format!(", {} bytes each", params.payload),
        false => String::new(),
    };
    let mut what = format!(
        "{}: {}; {} clients, {pace}{size}, {} s",
        plan.scenario.name(),
        plan.scenario.about(),
        params.clients,
        params.seconds,
    );
    if params.warmup > 0.0 && sends {
        what.push_str(&format!(" after {} s of warm-up", params.warmup));
    }
    what
}
