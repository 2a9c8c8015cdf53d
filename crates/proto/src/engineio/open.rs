//! The handshake's packet.

use std::time::Duration;

use crate::native::json::write_str;

/// What the server says first.
///
/// ```text
/// 0{"sid":"…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// The session's secret name, which every later request shows.
    pub sid: &'a str,
    /// Whether the client may move to WebSocket: true on polling alone, and
    /// where WebSocket is served.
    pub upgrade: bool,
    /// Between a pong and the next ping.
    pub ping_interval: Duration,
    /// How long a ping waits for its pong.
    pub ping_timeout: Duration,
    /// Most bytes of one POST, and of one WebSocket message.
    pub max_payload: usize,
}

impl Open<'_> {
    /// Appends the packet, `0` and JSON with exactly these five members: the
    /// whole answer of a handshake by polling, or the text for
    /// [`Wire::WebSocket`](super::Wire::text).
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"0{\"sid\":");
        write_str(out, self.sid);
        out.extend_from_slice(if self.upgrade {
            b",\"upgrades\":[\"websocket\"]"
        } else {
            b",\"upgrades\":[]"
        });
        let rest = format!(
            ",\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
            self.ping_interval.as_millis(),
            self.ping_timeout.as_millis(),
            self.max_payload
        );
        out.extend_from_slice(rest.as_bytes());
    }
}
