//! Begins conversations.

use std::sync::Arc;

use super::conversation::Conversation;
use super::recovery::Recovery;
use crate::config::SocketIo as Settings;
use crate::dialect::Pids;
use crate::engineio::{Engine, Host, Talk};
use crate::handlers::Spaces;

/// Socket.IO, as one server speaks it.
pub(crate) struct SocketIo(Arc<Shared>);

/// What all conversations share.
pub(super) struct Shared {
    pub(super) spaces: Arc<Spaces>,
    pub(super) recovery: Recovery,
    pub(super) pids: Arc<Pids>,
}

impl SocketIo {
    pub(crate) fn new(spaces: Arc<Spaces>, pids: Arc<Pids>, settings: &Settings) -> Self {
        Self(Arc::new(Shared {
            spaces,
            recovery: Recovery::new(settings.recoverable),
            pids,
        }))
    }
}

impl Host for SocketIo {
    fn opened(&self, engine: &Arc<Engine>) -> Arc<dyn Talk> {
        Conversation::begin(self.0.clone(), engine)
    }
}
