//! What is said over an Engine.IO session: the one place where this module and the protocol
//! above it meet.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::engine::Engine;
use super::reason::Reason;

/// What is said over one session. Messages are handed over in the order in which they came,
/// never two at once; the others may be called at any time.
pub(crate) trait Talk: Send + Sync + 'static {
    /// A text message came. False: it broke the protocol, the session is closed as
    /// [`Reason::Parse`]. Returns at once: what takes time is queued by whoever implements
    /// this, and bounded by [`Talk::poll_room`].
    fn text(&self, text: Bytes) -> bool;

    /// A binary message came; else as [`Talk::text`].
    fn binary(&self, bytes: Bytes) -> bool;

    /// Ready while more may be taken in. While it is not, a WebSocket is not read and a
    /// POST is not answered. Always ready once the session is over.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// True where [`Talk::poll_room`] is not ready.
    fn is_full(&self) -> bool;

    /// Subscribers that found no room may write again.
    fn writable(&self);

    /// The session is over. Called once. What subscribers still have to say is to be
    /// written before they end.
    fn closed(&self, reason: Reason);
}

/// Begins conversations.
pub(crate) trait Host: Send + Sync + 'static {
    /// A session has opened; it is held weakly by what is returned.
    fn opened(&self, engine: &Arc<Engine>) -> Arc<dyn Talk>;
}
