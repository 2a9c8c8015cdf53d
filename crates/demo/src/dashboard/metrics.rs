//! The server's own figures: looked at once a second, and only while anyone watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use fanwire::Figures;
use serde::Serialize;
use tokio::sync::watch;

use crate::recent::Recent;
use crate::time::now_ms;

/// Five minutes of them.
const KEPT: usize = 300;

pub(super) struct Metrics {
    samples: Mutex<Recent<Sample>>,
    watchers: watch::Sender<usize>,
    bell: watch::Sender<()>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sample {
    timestamp: u64,
    connections: usize,
    /// Streams, WebSockets and sockets that hear what is published.
    subscribers: usize,
    /// Per second, since the sample before.
    deliveries: f64,
    /// Of this process, in bytes; none where the system does not say.
    memory: Option<u64>,
    /// Of one core, in percent, since the sample before.
    cpu: Option<f64>,
}

/// Someone watches, until it is dropped.
pub(super) struct Watching(Arc<Metrics>);

impl Metrics {
    pub(super) fn new(bell: watch::Sender<()>) -> Self {
        Self {
            samples: Mutex::new(Recent::new(KEPT)),
            watchers: watch::Sender::new(0),
            bell,
        }
    }

    /// One more watches.
    pub(super) fn watch(self: &Arc<Self>) -> Watching {
        self.watchers.send_modify(|watchers| *watchers += 1);
        Watching(self.clone())
    }

    /// Those kept behind number `seen`, and the number of the last; none where there are
    /// none.
    pub(super) fn behind(&self, seen: u64) -> Option<(u64, Vec<Sample>)> {
        let samples = self.lock();
        let new: Vec<_> = samples.behind(seen).map(|(_, one)| one.clone()).collect();
        (!new.is_empty()).then(|| (samples.last(), new))
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watchers.send_modify(|watchers| *watchers -= 1);
    }
}

/// Adds a sample every `interval` while anyone watches. Ends with the metrics.
pub(super) async fn measure(metrics: Weak<Metrics>, figures: Figures, interval: Duration) {
    let Some(mut watchers) = metrics.upgrade().map(|m| m.watchers.subscribe()) else {
        return;
    };
    while watchers.wait_for(|watchers| *watchers > 0).await.is_ok() {
        let before = Counters::read(&figures);
        tokio::time::sleep(interval).await;
        let Some(metrics) = metrics.upgrade() else {
            return;
        };
        metrics.lock().add(before.until_now(&figures));
        metrics.bell.send_replace(());
    }
}

/// What only ever grows, at one moment.
struct Counters {
    at: Instant,
    deliveries: u64,
    cpu: Option<Duration>,
}

impl Counters {
    fn read(figures: &Figures) -> Self {
        Self {
            at: Instant::now(),
            deliveries: figures.stats().deliveries,
            cpu: cpu_time(),
        }
    }

    fn until_now(self, figures: &Figures) -> Sample {
        let stats = figures.stats();
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        let deliveries = stats.deliveries.saturating_sub(self.deliveries);
        let cpu = cpu_time().zip(self.cpu);
        Sample {
            timestamp: now_ms(),
            connections: figures.connections(),
            subscribers: stats.subscribers,
            deliveries: deliveries as f64 / seconds,
            memory: memory(),
            cpu: cpu.map(|(now, then)| (now - then).as_secs_f64() * 100.0 / seconds),
        }
    }
}

/// Resident memory of this process, in bytes: Linux says it in KiB.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// What this process has used of all cores: Linux says it in hundredths of a second, as
/// the 14th and 15th field; the second, its name, may hold blanks and ends with `)`.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut used = fields.split_whitespace().skip(11);
    let mut next = || used.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * 10))
}

#[cfg(test)]
mod tests {
    use fanwire::{Config, Server};

    use super::*;

    #[tokio::test]
    async fn nothing_is_measured_while_nobody_watches() {
        let mut config = Config::default();
        config.listen.addresses = vec![([127, 0, 0, 1], 0).into()];
        let server = Server::new(config).expect("a configuration");
        let running = server.start().await.expect("a server");
        tokio::time::pause();
        let metrics = Arc::new(Metrics::new(watch::Sender::new(())));
        let second = Duration::from_secs(1);
        tokio::spawn(measure(Arc::downgrade(&metrics), running.figures(), second));
        let after = async |seconds| {
            // The clock is stopped: it goes on where everybody waits for it.
            tokio::time::sleep(seconds * second + second / 2).await;
            metrics.lock().last()
        };
        assert_eq!(after(100).await, 0);
        let (one, two) = (metrics.watch(), metrics.watch());
        assert_eq!(after(10).await, 10);
        drop(one);
        let before = after(10).await;
        assert!((19..=21).contains(&before), "{before}");
        drop(two);
        let last = after(100).await;
        assert!(last <= before + 1, "{last}");
        assert_eq!(after(100).await, last);
        let _again = metrics.watch();
        assert_eq!(after(10).await, last + 10);
    }
}
