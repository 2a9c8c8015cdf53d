//! A running server, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::hub::Hub;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{Config, Problems};
use crate::figures::Figures;
use crate::handlers::{Io, Spaces};
use crate::limit::Counts;
use crate::reload::{Reload, Reloaded, Renew};

/// Between two looks at whether all streams have ended.
const LOOK: Duration = Duration::from_millis(5);

/// How far a server's end has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// It serves.
    Serving,
    /// Nobody new comes; streams end in their turn, requests are answered with
    /// `Connection: close`.
    Draining,
    /// No stream is left: idle connections are closed, requests under way go on.
    Closing,
    /// What is left is cut.
    Over,
}

/// What became of the connections that there were when a server began to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// They ended in order.
    pub ended: usize,
    /// They did not end in time, and were cut.
    pub cut: usize,
}

/// A server that serves. Dropping it cuts every connection at once.
pub struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) secured: usize,
    pub(crate) admin_addresses: Vec<SocketAddr>,
    pub(crate) operators_doors: Vec<JoinHandle<()>>,
    pub(crate) self_signed: Option<String>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) reload: Arc<Reload>,
    pub(crate) renew: Renew,
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) stop: watch::Sender<Stage>,
    pub(crate) doors: Vec<JoinHandle<()>>,
    pub(crate) drivers: Vec<JoinHandle<()>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) window: Duration,
    pub(crate) grace: Duration,
}

impl Running {
    /// The first address that it listens on, with the port that it got; `0.0.0.0:0` where
    /// it is mounted and listens nowhere.
    pub fn addr(&self) -> SocketAddr {
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        self.addresses.first().copied().unwrap_or(none)
    }

    /// All addresses that it listens on, `listen.plain_addresses` last.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Those of operators, which [`Self::addrs`] does not name.
    pub fn admin_addrs(&self) -> &[SocketAddr] {
        &self.admin_addresses
    }

    /// Those that speak TLS.
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.addresses[..self.secured.min(self.addresses.len())]
    }

    /// The SHA-256 of the certificate that it made for itself, as `AB:CD:…`.
    pub fn self_signed(&self) -> Option<&str> {
        self.self_signed.as_deref()
    }

    /// The hub, for the same process to publish and to look at its figures.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// A namespace (`/`, `/chat`), to send to its sockets and to know who is there.
    /// None where no namespace can have this name.
    pub fn io(&self, namespace: &str) -> Option<Io> {
        self.spaces.named(namespace).map(Io::new)
    }

    /// Reads the configuration again, as [`crate::Server::reload_with`] says, and
    /// puts it in force; blocks while it reads. No connection is dropped but those
    /// of whoever may no longer be here.
    ///
    /// # Errors
    /// Everything that is wrong with it; then nothing changed.
    pub fn reload(&self) -> Result<Reloaded, Problems> {
        (self.renew)(None)
    }

    /// The same with a configuration that is here already.
    ///
    /// # Errors
    /// As [`Running::reload`].
    pub fn reload_to(&self, config: Config) -> Result<Reloaded, Problems> {
        (self.renew)(Some(config))
    }

    /// Connections so far that a panic in their own task has ended. Each was
    /// told on stderr with its place.
    pub fn broken(&self) -> u64 {
        self.counts.broken()
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.counts.total()
    }

    /// The same figures, for code that does not own this.
    pub fn figures(&self) -> Figures {
        Figures {
            hub: self.hub.clone(),
            counts: self.counts.clone(),
        }
    }

    /// Stops. Takes nobody new; tells every subscriber (`$drain`); answers every
    /// poll; and lets streams end one after the other over `listen.drain_window`
    /// (close code 1012; `retry:` and the end of an event stream), so that they
    /// do not come back elsewhere all at once. Until then they are served as
    /// ever, and so are publishers. Then connections without a request are
    /// closed. What has not ended after `listen.shutdown_grace` is cut. The
    /// addresses are free when it returns; dropped before that, it cuts what is
    /// left.
    pub async fn shutdown(mut self) -> Stopped {
        let deadline = Instant::now() + self.grace;
        self.reach(Stage::Draining);
        for door in &mut self.doors {
            // A door that panicked is closed too.
            let _ = door.await;
        }
        let all = self.counts.total();
        self.hub.shutdown(self.window.min(self.grace));
        let orderly = async {
            while !self.is_quiet() {
                sleep(LOOK).await;
            }
            self.reach(Stage::Closing);
            self.counts.none_left().await;
        };
        let cut = match timeout_at(deadline, orderly).await {
            Ok(()) => 0,
            Err(_) => self.counts.total(),
        };
        if cut > 0 {
            tracing::warn!(cut, "connections did not end in time and were cut");
        }
        // Operators could watch until here.
        self.reach(Stage::Over);
        for door in &mut self.operators_doors {
            let _ = door.await;
        }
        Stopped {
            ended: all.saturating_sub(cut),
            cut,
        }
    }

    fn reach(&self, stage: Stage) {
        // Nobody may be waiting: then nothing is left to stop.
        let _ = self.stop.send(stage);
    }

    /// No subscriber is left.
    fn is_quiet(&self) -> bool {
        let stats = self.hub.stats();
        stats.subscribers == 0 && stats.queued == 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reach(Stage::Over);
        let doors = self.doors.iter().chain(&self.operators_doors);
        for task in doors.chain(&self.drivers) {
            task.abort();
        }
        self.reload.end();
        self.hub.close();
    }
}
