//! Jobs: one runs, on a thread of its own; the others wait in their order.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use super::notices::{Kind, Notices};
use super::work::Work;

/// Jobs that may wait.
const WAITING: usize = 8;
/// Those that have ended and are still shown.
const ENDED: usize = 5;

/// All of them: small, so that a change tells all of it and no state is ever stale.
pub(super) struct Jobs {
    state: Mutex<State>,
    /// Between two tellings of one job's progress.
    pace: Duration,
    notices: Notices,
    bell: watch::Sender<()>,
}

struct State {
    /// Counts changes, from 1.
    version: u64,
    /// The number of the last job.
    last: u64,
    /// The thread is taken: by a job that runs, or by one that was cancelled in its step.
    busy: bool,
    /// Those that wait stand in the order in which they came, those that have ended in the
    /// order in which they did.
    jobs: VecDeque<Job>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Job {
    id: u64,
    work: Work,
    below: u64,
    stage: Stage,
    /// Numbers done.
    done: u64,
    percent: f64,
    /// Numbers per second, so far.
    rate: u64,
    elapsed_ms: u64,
    /// Until the end, at this rate; not known before the first step.
    left_ms: Option<u64>,
    result: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Waiting,
    Running,
    Done,
    Cancelled,
    Failed,
}

/// So many wait that no more may.
pub(super) struct NotStarted {
    pub(super) waiting: usize,
}

impl Jobs {
    pub(super) fn new(pace: Duration, notices: Notices, bell: watch::Sender<()>) -> Self {
        let state = State {
            version: 1,
            last: 0,
            busy: false,
            jobs: VecDeque::new(),
        };
        Self {
            state: Mutex::new(state),
            pace,
            notices,
            bell,
        }
    }

    /// Adds one; it begins once those before it have ended.
    pub(super) fn add(self: &Arc<Self>, work: Work, below: u64) -> Result<u64, NotStarted> {
        let mut state = self.lock();
        let waits = |job: &&Job| job.stage == Stage::Waiting;
        let waiting = state.jobs.iter().filter(waits).count();
        if waiting >= WAITING {
            return Err(NotStarted { waiting });
        }
        state.last += 1;
        let id = state.last;
        state.jobs.push_back(Job::new(id, work, below));
        self.changed(state);
        tracing::info!(id, ?work, below, "a job was asked for");
        self.next();
        Ok(id)
    }

    /// Ends one that waits or runs; says whether there was such a one. One that runs ends
    /// after its present step.
    pub(super) fn cancel(&self, id: u64) -> bool {
        let mut state = self.lock();
        let Some(job) = state.find(id, &[Stage::Waiting, Stage::Running]) else {
            return false;
        };
        job.stage = Stage::Cancelled;
        let text = format!("Job {id} was cancelled at {:.0} %", job.percent);
        state.settle(id);
        self.changed(state);
        tracing::info!(id, "a job was cancelled");
        self.notices.send(Kind::Warning, &text);
        true
    }

    /// All jobs and the version of that, where it is not the one `seen`. The first version
    /// says that there are none.
    pub(super) fn newer_than(&self, seen: u64) -> Option<(u64, Vec<Job>)> {
        let state = self.lock();
        let jobs = || state.jobs.iter().cloned().collect();
        (seen != state.version).then(|| (state.version, jobs()))
    }

    /// Begins the first that waits, unless the thread is taken.
    fn next(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.busy {
            return;
        }
        let waits = |job: &&mut Job| job.stage == Stage::Waiting;
        let Some(job) = state.jobs.iter_mut().find(waits) else {
            return;
        };
        job.stage = Stage::Running;
        let job = job.clone();
        state.busy = true;
        self.changed(state);
        tokio::spawn(run(Arc::downgrade(self), job));
    }

    /// Whether a job is to go on.
    fn goes_on(&self, id: u64) -> ControlFlow<()> {
        match self.lock().find(id, &[Stage::Running]) {
            Some(_) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }

    /// Notes how far a job has come; says whether it is to go on.
    fn progress(&self, id: u64, done: u64, elapsed: Duration) -> ControlFlow<()> {
        let mut state = self.lock();
        let Some(job) = state.find(id, &[Stage::Running]) else {
            return ControlFlow::Break(());
        };
        // Some noise is taken out of it: what is shown has no more digits.
        job.percent = (done as f64 * 1000.0 / job.below as f64).round() / 10.0;
        job.rate = (done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        let left = (job.below - done) * 1000;
        job.left_ms = left.checked_div(job.rate);
        job.elapsed_ms = elapsed.as_millis() as u64;
        job.done = done;
        self.changed(state);
        ControlFlow::Continue(())
    }

    /// Notes the end of one. Without a result it was cancelled, or broke down.
    fn ended(&self, id: u64, result: Result<Option<String>, tokio::task::JoinError>) {
        let mut state = self.lock();
        state.busy = false;
        if let Some(job) = state.find(id, &[Stage::Running]) {
            let (kind, text);
            match result {
                Ok(Some(found)) => {
                    kind = Kind::Success;
                    text = format!("Job {id} is done: {found}");
                    job.stage = Stage::Done;
                    job.result = Some(found);
                }
                _ => {
                    kind = Kind::Error;
                    text = format!("Job {id} broke down at {:.0} %", job.percent);
                    job.stage = Stage::Failed;
                }
            }
            tracing::info!(id, elapsed_ms = job.elapsed_ms, "a job has ended: {text}");
            self.notices.send(kind, &text);
            state.settle(id);
        }
        self.changed(state);
    }

    fn changed(&self, mut state: MutexGuard<'_, State>) {
        state.version += 1;
        drop(state);
        self.bell.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one, then lets the next begin. It ends with the server, of which it therefore
/// holds nothing while it works.
async fn run(jobs: Weak<Jobs>, job: Job) {
    let (id, begun) = (job.id, Instant::now());
    let watched = jobs.clone();
    let work = move || {
        let mut told = begun;
        job.work.run(job.below, |done| {
            let Some(jobs) = watched.upgrade() else {
                return ControlFlow::Break(());
            };
            if done < job.below && told.elapsed() < jobs.pace {
                return jobs.goes_on(id);
            }
            told = Instant::now();
            jobs.progress(id, done, begun.elapsed())
        })
    };
    let result = tokio::task::spawn_blocking(work).await;
    if let Some(jobs) = jobs.upgrade() {
        jobs.ended(id, result);
        jobs.next();
    }
}

impl State {
    /// The job of this number, if it is in one of these stages.
    fn find(&mut self, id: u64, stages: &[Stage]) -> Option<&mut Job> {
        let mut jobs = self.jobs.iter_mut();
        jobs.find(|job| job.id == id && stages.contains(&job.stage))
    }

    /// Puts one that has ended behind the others, and keeps the last of its kind.
    fn settle(&mut self, id: u64) {
        if let Some(at) = self.jobs.iter().position(|job| job.id == id) {
            let job = self.jobs.remove(at);
            self.jobs.extend(job);
        }
        let is_open = |job: &Job| matches!(job.stage, Stage::Waiting | Stage::Running);
        let ended = self.jobs.iter().filter(|job| !is_open(job)).count();
        let mut over = ended.saturating_sub(ENDED);
        self.jobs.retain(|job| {
            let keep = over == 0 || is_open(job);
            over -= usize::from(!keep);
            keep
        });
    }
}

impl Job {
    fn new(id: u64, work: Work, below: u64) -> Self {
        Self {
            id,
            work,
            below,
            stage: Stage::Waiting,
            done: 0,
            percent: 0.0,
            rate: 0,
            elapsed_ms: 0,
            left_ms: None,
            result: None,
        }
    }
}
