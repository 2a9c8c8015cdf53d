//! WebSocket (RFC 6455), sans-IO, without extensions.
//!
//! A server turns a request's key into an accept with [`handshake`], feeds what
//! it reads to a [`Decoder`] and writes finished frames from [`encode`]. An
//! extension (permessage-deflate) would be negotiated in [`handshake`], let its
//! RSV bit through in [`frame::Header::decode`], and inflate in [`decode`].

pub mod close;
pub mod decode;
pub mod encode;
pub mod frame;
pub mod handshake;
#[cfg(test)]
mod tests;
mod utf8;

pub use close::CloseCode;
pub use decode::{Decoder, Event, Limits, Role};
pub use encode::{close_frame, frame, masked_frame};
pub use frame::{Header, Opcode};
