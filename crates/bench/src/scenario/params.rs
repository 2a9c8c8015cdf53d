//! The numbers of a scenario.

use serde::{Deserialize, Serialize};

/// What can be chosen. Which of them matter is the scenario's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Params {
    /// Subscribers, 1 to 100,000.
    pub(crate) clients: u32,
    /// Channels that they are spread over.
    pub(crate) channels: u32,
    /// Messages per second: of each client in `classic`, of all in the others.
    /// 0: as fast as the window lets.
    pub(crate) rate: f64,
    /// Messages under way at once, where there is no rate.
    pub(crate) window: u32,
    /// Bytes of a message, 32 to 65,536.
    pub(crate) payload: usize,
    /// Length of what is measured.
    pub(crate) seconds: f64,
    /// What goes before.
    pub(crate) warmup: f64,
    /// Connections on the way at once.
    pub(crate) at_once: u32,
    /// Clients that stop to read.
    pub(crate) stalled: u32,
    /// Clients that share a connection on HTTP/2, 1 to 50.
    pub(crate) streams: u32,
    /// TLS: who comes back shows the ticket that it was given.
    pub(crate) tickets: bool,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            clients: 100,
            channels: 1,
            rate: 0.0,
            window: 16,
            payload: 128,
            seconds: 10.0,
            warmup: 2.0,
            at_once: 64,
            stalled: 0,
            streams: 1,
            tickets: true,
        }
    }
}
