//! What a server counts, for its own code to show.

use std::fmt;
use std::sync::Arc;

use fanwire_core::hub::{Hub, Stats};

use crate::limit::Counts;

/// The figures of a running server: a handle, cheap to clone, for routes and tasks that do
/// not own the [`crate::Running`]. It keeps nothing open.
#[derive(Clone)]
pub struct Figures {
    pub(crate) hub: Arc<Hub>,
    pub(crate) counts: Arc<Counts>,
}

impl Figures {
    /// Connections now.
    pub fn connections(&self) -> usize {
        self.counts.total()
    }

    /// Connections so far that a panic in their own task has ended.
    pub fn broken(&self) -> u64 {
        self.counts.broken()
    }

    /// Those of the hub: subscribers, deliveries, what waits for them.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures(…)")
    }
}
