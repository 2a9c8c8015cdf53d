//! The scheduler: core's `Runtime` and `Clock` on virtual time, one thread, one
//! small step at a time, in the order that the seed says. A task runs only when
//! it was woken, so that a wake-up that gets lost is a task that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fanwire_core::clock::{Clock, Instant};
use fanwire_core::hub::{Runtime, Task};
use parking_lot::Mutex;

use crate::rng::Rng;

/// Set by a waker, taken by whoever runs what was woken.
pub struct Flag(AtomicBool);

impl Flag {
    /// A flag that is set: everything runs once to begin with.
    pub fn set() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    pub fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }

    pub fn take(&self) -> bool {
        self.0.swap(false, SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// The virtual clock. Wall time runs along, from a date of its own.
#[derive(Default)]
pub struct Time(AtomicU64);

impl Time {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, SeqCst);
    }

    pub fn ms(&self) -> u64 {
        self.0.load(SeqCst) / 1_000_000
    }
}

impl Clock for Time {
    fn now(&self) -> Instant {
        Duration::from_nanos(self.0.load(SeqCst))
    }

    fn wall_ms(&self) -> u64 {
        1_790_000_000_000 + self.ms()
    }
}

/// Tasks and timers.
pub struct Exec {
    time: Arc<Time>,
    tasks: Mutex<Vec<(Arc<Flag>, Option<Task>)>>,
    timers: Arc<Mutex<Vec<(Instant, Waker)>>>,
}

struct Sleep {
    until: Instant,
    time: Arc<Time>,
    timers: Arc<Mutex<Vec<(Instant, Waker)>>>,
}

impl Exec {
    pub fn new(time: Arc<Time>) -> Arc<Self> {
        Arc::new(Self {
            time,
            tasks: Mutex::default(),
            timers: Arc::default(),
        })
    }

    /// True where a task can run.
    pub fn runnable(&self) -> bool {
        self.tasks.lock().iter().any(|(flag, _)| flag.is_set())
    }

    /// Polls one of the tasks that were woken.
    pub fn step(&self, rng: &mut Rng) {
        let (flag, task) = {
            let mut tasks = self.tasks.lock();
            let woken: Vec<usize> = (0..tasks.len())
                .filter(|at| tasks[*at].0.is_set())
                .collect();
            if woken.is_empty() {
                return;
            }
            let at = *rng.pick(&woken);
            tasks[at].0.take();
            (tasks[at].0.clone(), tasks[at].1.take())
        };
        let Some(mut task) = task else { return };
        let waker = Waker::from(flag.clone());
        let done = task
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let mut tasks = self.tasks.lock();
        if let Some(at) = tasks
            .iter()
            .position(|(known, _)| Arc::ptr_eq(known, &flag))
        {
            if done {
                tasks.remove(at);
            } else {
                tasks[at].1 = Some(task);
            }
        }
    }

    /// When the next sleeper wakes.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.lock().iter().map(|(when, _)| *when).min()
    }

    /// Wakes whose time has come.
    pub fn fire(&self) {
        let now = self.time.now();
        let mut due = Vec::new();
        self.timers.lock().retain(|(when, waker)| {
            if *when <= now {
                due.push(waker.clone());
            }
            *when > now
        });
        due.into_iter().for_each(Waker::wake);
    }
}

impl Runtime for Exec {
    fn spawn(&self, task: Task) {
        self.tasks.lock().push((Flag::set(), Some(task)));
    }

    fn sleep(&self, time: Duration) -> Task {
        let until = self.time.now() + time;
        Box::pin(Sleep {
            until,
            time: self.time.clone(),
            timers: self.timers.clone(),
        })
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.until {
            return Poll::Ready(());
        }
        self.timers.lock().push((self.until, cx.waker().clone()));
        Poll::Pending
    }
}
