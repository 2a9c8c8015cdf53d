//! All demos, started.

use std::net::SocketAddr;
use std::time::Duration;

use fanwire::Running;
use fanwire_demo::{LogTail, Options, Timings};
use fanwire_tests::http::{self, Answer};
use fanwire_tests::wait::{until, within};

/// Longer than any test waits.
pub(crate) const NEVER: Duration = Duration::from_secs(600);
/// As soon as can be.
pub(crate) const SOON: Duration = Duration::from_millis(10);

pub(crate) struct Demos {
    pub(crate) running: Running,
    pub(crate) addr: SocketAddr,
    /// Of a log that a test may turn on.
    pub(crate) log: LogTail,
}

impl Demos {
    /// Nothing happens in them by itself, but for what `change` says.
    pub(crate) async fn start(change: impl FnOnce(&mut Timings)) -> Self {
        let mut timings = Timings {
            patience: NEVER,
            greeting: NEVER,
            count: NEVER,
            absence: NEVER,
            ping: NEVER,
            ..Timings::default()
        };
        change(&mut timings);
        let options = Options {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            timings,
            ..Options::default()
        };
        let log = options.log.clone();
        let running = fanwire_demo::start(options).await.unwrap();
        let addr = running.addr();
        Self { running, addr, log }
    }

    pub(crate) async fn post(&self, target: &str, json: &str) -> Answer {
        let kind = [("Content-Type", "application/json")];
        http::post(self.addr, target, &kind, json.as_bytes()).await
    }

    /// Waits until everybody is gone, with everything that was there for them.
    pub(crate) async fn deserted(&self) {
        let gone = || (self.running.connections() == 0).then_some(());
        until("the last connection to go", gone).await;
        let none = || (self.running.hub().stats().subscribers == 0).then_some(());
        until("the last subscriber to go", none).await;
    }

    pub(crate) async fn stop(self) {
        within("the demos to end", self.running.shutdown()).await;
    }
}
