//! The load's process, from both sides: a job goes in, lines of JSON come out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::adapter::Transport;
use crate::error::{Error, Result};
use crate::host::{self, Signals};
use crate::load::{Engine, Setup};
use crate::report::Outcome;
use crate::scenario::{self, Params};

/// Largest job.
const MAX_JOB: u64 = 1 << 20;
/// Files that a load needs besides its connections.
const OTHER_FILES: u64 = 64;
/// How much longer than planned a load may take.
const GRACE: Duration = Duration::from_secs(120);
/// Between two reports of how far it is.
const SAY_EVERY: Duration = Duration::from_millis(200);

/// Between two looks at whether a signal came.
const LOOK: Duration = Duration::from_millis(100);

/// What a load does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) scenario: String,
    pub(super) params: Params,
    pub(super) transport: Transport,
    pub(super) addr: SocketAddr,
    pub(super) host: String,
    pub(super) seed: u64,
    /// Stands in the channels' names.
    pub(super) tag: String,
    pub(super) server: Option<u32>,
    pub(super) cpu: Option<usize>,
}

/// One line of a load.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// What it does, and which part of it is over.
    Doing(String, f64),
    Done(Outcome),
    Failed(String),
}

/// The load's process: reads a job, and tells how it goes.
///
/// # Errors
/// The job does not read; what goes wrong later is told in a line.
pub(crate) fn work() -> Result<()> {
    // Whoever started it is gone: nobody would hear.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut text = String::new();
    std::io::stdin().take(MAX_JOB).read_to_string(&mut text)?;
    let job: Job = serde_json::from_str(&text)?;
    let mut said = Instant::now();
    let outcome = perform(job, &mut |doing, part| {
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            tell(&Line::Doing(doing.to_owned(), part));
        }
    });
    tell(&match outcome {
        Ok(outcome) => Line::Done(outcome),
        Err(error) => Line::Failed(error.to_string()),
    });
    Ok(())
}

fn perform(job: Job, say: &mut scenario::Say<'_>) -> Result<Outcome> {
    let scenario = scenario::by_name(&job.scenario)?;
    let clients = scenario.clients(&job.params);
    let files = host::raise_files();
    let posts = match job.transport.publish.post.is_some() {
        true => clients.iter().filter(|(_, sends)| *sends).count(),
        false => 0,
    };
    let needed = (clients.len() + posts) as u64 + OTHER_FILES;
    if needed > files {
        return Err(Error::new(format_args!(
            "{needed} open files are needed and {files} allowed: fewer --clients, or raise `ulimit -n`"
        )));
    }
    if let Some(cpu) = job.cpu {
        // For as long as the process lives.
        let _undo = host::pin(cpu)?;
    }
    let mut engine = Engine::new(Setup {
        addr: job.addr,
        host: job.host,
        transport: job.transport,
        payload: job.params.payload,
        seed: job.seed,
        tag: job.tag,
        server: job.server,
        clients,
        streams: job.params.streams as usize,
        tickets: job.params.tickets,
    })?;
    scenario.run(&mut engine, &job.params, say)
}

fn tell(line: &Line) {
    if let Ok(text) = serde_json::to_string(line) {
        // Nobody there to hear: then the process is about to end anyway.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// Runs a job in a process of its own. `this` starts this program's commands.
///
/// # Errors
/// The load failed, or took two minutes longer than `takes` seconds, or a signal
/// asks to end; it has been ended then.
pub(super) fn run(
    job: &Job,
    this: &[String],
    signals: &Signals,
    takes: f64,
    say: &mut scenario::Say<'_>,
) -> Result<Outcome> {
    let Some((program, arguments)) = this.split_first() else {
        return Err(Error::new("this program has no name"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = child.stdout.take().map(BufReader::new);
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(serde_json::to_string(job)?.as_bytes())?;
    }
    let (send, receive) = sync_channel(64);
    std::thread::spawn(move || {
        for line in lines
            .into_iter()
            .flat_map(BufRead::lines)
            .map_while(|line| line.ok())
        {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + Duration::from_secs_f64(takes) + GRACE;
    let outcome = loop {
        if let Err(ended) = signals.check() {
            let _ = child.kill();
            break Err(ended);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match receive.recv_timeout(left.min(LOOK)) {
            Err(RecvTimeoutError::Timeout) if left > LOOK => {}
            Ok(text) => match serde_json::from_str(&text)? {
                Line::Doing(what, part) => say(&what, part),
                Line::Done(outcome) => break Ok(outcome),
                Line::Failed(error) => break Err(Error::new(error)),
            },
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                break Err(Error::new(
                    "the load took two minutes longer than planned, and was ended",
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                break Err(Error::new("the load's process ended without a result"));
            }
        }
    };
    let _ = child.wait();
    outcome
}
