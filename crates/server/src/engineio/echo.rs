//! Sessions that say back what they hear: for suites that test Engine.IO by itself.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_proto::engineio::{Packet, Wire};

use super::engine::Engine;
use super::reason::Reason;
use super::talk::{Host, Talk};

/// Echoes every message.
pub(crate) struct Echo;

/// One session's echo.
struct Echoing(Weak<Engine>);

impl Host for Echo {
    fn opened(&self, engine: &Arc<Engine>) -> Arc<dyn Talk> {
        Arc::new(Echoing(Arc::downgrade(engine)))
    }
}

impl Echoing {
    fn say(&self, packet: &Packet<'_>) -> bool {
        if let Some(engine) = self.0.upgrade() {
            let mut unit = Vec::new();
            Wire::WebSocket.packet(packet, &mut unit);
            engine.send(unit.into());
        }
        true
    }
}

impl Talk for Echoing {
    fn text(&self, text: Bytes) -> bool {
        std::str::from_utf8(&text).is_ok_and(|text| self.say(&Packet::Text(text)))
    }

    fn binary(&self, bytes: Bytes) -> bool {
        self.say(&Packet::decode_binary(&bytes))
    }

    fn poll_room(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn is_full(&self) -> bool {
        false
    }

    fn writable(&self) {}

    fn closed(&self, _: Reason) {}
}
