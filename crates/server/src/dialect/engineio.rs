//! What an Engine.IO session says itself: nothing of its own accord but how it ends. The
//! units are WebSocket frames on either transport; a poll tells a close frame as a packet.

use bytes::Bytes;
use fanwire_core::cursor::Cursor;
use fanwire_core::hub::{Delivery, Encoder, End, Gap, GapForm, Ready};

use super::ws;

/// A session's own subscriber: it listens to nothing.
pub(super) struct EngineIo;

impl Encoder for EngineIo {
    fn message(&self, _: Delivery<'_>) -> Bytes {
        Bytes::new()
    }

    fn gap(&self, _: &Gap) -> GapForm {
        GapForm::Unit(Bytes::new())
    }

    fn ready(&self, _: &Ready<'_>) -> Bytes {
        Bytes::new()
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    fn keep_alive(&self) -> Option<Bytes> {
        None
    }

    fn end(&self, end: &End, _: u64) -> Bytes {
        ws::close(end)
    }
}
