//! Raw clients, a cutting proxy and a server to test: what the behaviour suite
//! in `tests/` stands on.
//!
//! The clients share no code with the server's transports: an error made on
//! both sides would not be seen. Everything waits for events, bounded by
//! [`wait::PATIENCE`], and never sleeps to be in step.

pub mod base64;
pub mod chaos;
pub mod engineio;
pub mod frames;
pub mod http;
pub mod http2;
pub mod listener;
pub mod memory;
pub mod poll;
pub mod proxy;
pub mod said;
pub mod script;
pub mod secure;
pub mod server;
pub mod soak;
pub mod socketio;
pub mod sse;
pub mod token;
pub mod wait;
pub mod wire;
pub mod ws;

#[cfg(test)]
mod tests;
