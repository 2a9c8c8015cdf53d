//! The chaos broker, driven: nothing is lost or refused, but orders, acks, feeds
//! and reads each wait their turn.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fanwire::Config;
use fanwire_core::broker::{ChaosBroker, Faults, MemoryBroker};
use fanwire_core::clock::Clock;
use fanwire_core::cursor::Epoch;
use fanwire_core::policy::Door;

struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}

/// A broker for a server with this configuration, and a task that moves it for
/// as long as somebody has it. What goes wrong can be changed while it runs.
pub fn broker(config: &Config) -> Arc<ChaosBroker> {
    let core = config.to_core();
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
    let epoch = nanos.map_or(1, |since| since.as_nanos() as u64);
    let broker = Arc::new(ChaosBroker::new(
        &core.limits,
        Door::new(core.namespaces),
        Arc::new(Real(Instant::now())),
        Epoch(epoch),
        epoch,
        Faults::slow(),
    ));
    let weak = Arc::downgrade(&broker);
    tokio::spawn(async move {
        let mut turns = tokio::time::interval(Duration::from_millis(1));
        while let Some(broker) = weak.upgrade() {
            broker.step();
            drop(broker);
            turns.tick().await;
        }
    });
    broker
}

/// A broker in memory, for several servers of this process.
pub fn memory() -> Arc<MemoryBroker> {
    let core = Config::default().to_core();
    let door = Door::new(core.namespaces);
    let clock = Arc::new(Real(Instant::now()));
    Arc::new(MemoryBroker::new(&core.limits, door, clock, Epoch(77), 77))
}
