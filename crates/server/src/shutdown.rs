//! A running server, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::hub::{End, Hub};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::limit::Counts;

/// A server that serves. Dropping it cuts every stream at once.
pub struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) doors: Vec<JoinHandle<()>>,
    pub(crate) drivers: Vec<JoinHandle<()>>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) grace: Duration,
}

impl Running {
    /// The first address that it listens on, with the port that it got.
    pub fn addr(&self) -> SocketAddr {
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        self.addresses.first().copied().unwrap_or(none)
    }

    /// All addresses that it listens on.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The hub, for the same process to publish and to look at its figures.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.counts.total()
    }

    /// Stops: takes nobody new, tells every subscriber to come back (close code
    /// 3001, the end of an event stream, an answer to every poll), lets requests that are
    /// under way finish, and waits for connections to end, at most
    /// `listen.shutdown_grace`. The addresses are free when it returns.
    pub async fn shutdown(mut self) {
        // Nobody may be waiting: then nothing is left to stop.
        let _ = self.stop.send(true);
        for door in &mut self.doors {
            // A door that panicked is closed too.
            let _ = door.await;
        }
        self.hub.shutdown(&End::Shutdown);
        if tokio::time::timeout(self.grace, self.counts.none_left())
            .await
            .is_err()
        {
            let left = self.counts.total();
            tracing::warn!(left, "connections did not end in time and were cut");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for task in self.doors.iter().chain(&self.drivers) {
            task.abort();
        }
    }
}
