//! A plain WebSocket: what one sends, all receive, text as text and bytes as bytes.
//!
//! `new WebSocket("ws://localhost:3000")`, or port 8080: the first frame says `Connected
//! to server!`, then comes everything that anyone sends, the sender too, in one order for
//! all. Nothing is added and nothing is read: the page's files are frames like any others.
//!
//! It is a channel of Fanwire's, `/c/wall:all`, at a path of its own. Who reads too slowly
//! is served from what is kept, as long as it is kept; who falls further behind is closed
//! with 3010 and knows that something is missing. Who is silent is pinged, and cut where no
//! answer comes.

use std::time::Duration;

use fanwire::config::{NamedRules, Problems, Rooms};
use fanwire::{Application, Config, Server, Socket};

use crate::demo::Demo;

pub(crate) const DEMO: Demo = Demo {
    name: "web-socket",
    title: "WebSocket",
    shows: "What one sends, all receive: text and files of up to 16 MB, in one frame each. No \
            protocol on top, no library in the page.",
    by: "WebSocket at /",
    body: include_str!("assets/web-socket.html"),
    script: include_str!("assets/web-socket.js"),
    source: &[("web_socket.rs", include_str!("web_socket.rs"))],
};

const NAMESPACE: &str = "wall";
/// In it, what everybody listens to.
const CHANNEL: &str = "wall:all";

/// The largest frame, in bytes: a photograph or a song.
const LARGEST: usize = 16 << 20;

/// Says the first word to whoever is in.
pub(crate) fn serve(
    application: Application,
) -> Result<Application, Box<dyn std::error::Error + Send + Sync>> {
    let application = application.namespace(NAMESPACE, |wall| {
        wall.on_connected(async |socket: Socket| {
            tracing::info!("somebody came to the wall");
            if let Err(why) = socket.emit("message", "Connected to server!").await {
                tracing::debug!(%why, "somebody was not greeted");
            }
        });
    })?;
    Ok(application)
}

/// Puts it where clients of the tutorial look.
pub(crate) fn mount(server: Server) -> Result<Server, Problems> {
    server.web_socket_at("/", CHANNEL)
}

/// Room for large frames, in bytes that do not grow with the number of readers: a frame
/// is kept once, for all.
pub(crate) fn configure(config: &mut Config, ping: Duration) {
    config.limits.message = LARGEST;
    // A ping after so long a silence, and as long again to answer it.
    config.ws.ping = ping;
    config.ws.timeout = ping;
    let rules = NamedRules {
        // So that it is heard by its URL.
        rooms: Some(Rooms::Public),
        // For those who read slowly.
        history_messages: Some(1000),
        history_bytes: Some(4 * LARGEST),
        history_ttl: Some(Duration::from_secs(60)),
        ..NamedRules::default()
    };
    config
        .namespaces
        .by_name
        .insert(NAMESPACE.to_owned(), rules);
}
