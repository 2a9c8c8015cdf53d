//! Notifications: what people and the server itself tell everyone who watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::recent::Recent;
use crate::time::now_ms;

/// Longest text, in characters.
pub(super) const LONGEST: usize = 200;
/// Those that who comes late still gets.
const KEPT: usize = 10;

/// A handle: cheap to clone.
#[derive(Clone)]
pub(super) struct Notices {
    recent: Arc<Mutex<Recent<Notice>>>,
    bell: watch::Sender<()>,
}

#[derive(Clone, Serialize)]
pub(super) struct Notice {
    kind: Kind,
    text: String,
    timestamp: u64,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    #[default]
    Info,
    Success,
    Warning,
    Error,
}

impl Notices {
    pub(super) fn new(bell: watch::Sender<()>) -> Self {
        let recent = Arc::new(Mutex::new(Recent::new(KEPT)));
        Self { recent, bell }
    }

    /// Tells all who watch.
    pub(super) fn send(&self, kind: Kind, text: &str) {
        self.lock().add(Notice {
            kind,
            text: text.to_owned(),
            timestamp: now_ms(),
        });
        self.bell.send_replace(());
    }

    /// Those kept behind number `seen`, each with its number.
    pub(super) fn behind(&self, seen: u64) -> Vec<(u64, Notice)> {
        let recent = self.lock();
        let new = recent.behind(seen);
        new.map(|(number, notice)| (number, notice.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Notice>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
