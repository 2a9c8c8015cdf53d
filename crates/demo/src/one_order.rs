//! One order, four ways: the same channel by WebSocket, Server-Sent Events, long polling
//! and Socket.IO, at once, in one page.
//!
//! There is no code here, because there is nothing to write: a channel is heard by every
//! transport, numbered once, kept a while. `POST /c/relay:all` publishes;
//! `/c/relay:all` is a WebSocket, an event stream or a poll, as the client asks; the room
//! `all` of Socket.IO's namespace `/relay` is the same channel. Who comes back shows the
//! id of the last message that it has, whichever way it got it.

use std::time::Duration;

use fanwire::config::{NamedRules, Rooms};

use crate::demo::Demo;

pub(crate) const DEMO: Demo = Demo {
    name: "one-order",
    title: "One order, four ways",
    shows: "The same messages by every transport, side by side. Cut any of the four: it comes \
            back where it was, and nothing is missing.",
    by: "WebSocket · SSE · long polling · Socket.IO",
    body: include_str!("assets/one-order.html"),
    script: include_str!("assets/one-order.js"),
    source: &[("one_order.rs", include_str!("one_order.rs"))],
};

pub(crate) const NAMESPACE: &str = "relay";

/// What its namespace does otherwise than others.
pub(crate) fn rules() -> NamedRules {
    NamedRules {
        socketio: Some(true),
        rooms: Some(Rooms::Public),
        // Sockets get what they missed, too.
        recovery: Some(true),
        // What is kept for those who are away.
        history_messages: Some(5_000),
        history_ttl: Some(Duration::from_secs(600)),
        ..NamedRules::default()
    }
}
