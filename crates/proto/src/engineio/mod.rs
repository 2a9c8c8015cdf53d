//! Engine.IO, version 4, the side of the server: packets on both transports,
//! and what one session does, sans-IO.
//!
//! A packet travels as a WebSocket frame or, over HTTP long-polling, as text
//! between record separators (0x1E). [`Packet`] and [`Payload`] read both;
//! [`encode`] writes both, as *units* that can be shared among all sessions of
//! a transport. [`query`] reads what a request asks for, and [`Session`]
//! decides what becomes of it.
//!
//! ```text
//! GET  ?EIO=4&transport=polling            0{"sid":…}              the handshake
//! GET  ?EIO=4&transport=polling&sid=…      4hello<1E>bAQIDBA==     a poll
//! POST ?EIO=4&transport=polling&sid=…      ok                      the client's packets
//! GET  ?EIO=4&transport=websocket[&sid=…]  101, one packet a frame  handshake or upgrade
//! ```

pub mod encode;
mod frames;
pub mod open;
pub mod packet;
pub mod payload;
pub mod query;
pub mod session;
#[cfg(test)]
mod tests;

pub use encode::Wire;
pub use frames::frames_to_polling;
pub use open::Open;
pub use packet::Packet;
pub use payload::{Payload, PayloadLimits};
pub use query::{Ask, Query, Refusal};
pub use session::{Config, Output, Reason, Session};
