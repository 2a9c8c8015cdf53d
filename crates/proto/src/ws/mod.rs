//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), sans-IO.
//!
//! A server turns a request's key into an accept with [`handshake`], feeds what
//! it reads to a [`Decoder`] and writes finished frames from [`encode`].
//! Compression is agreed on in [`deflate::offer`], read by a decoder that was
//! told so, and written by a [`Deflate`].

pub mod close;
pub mod decode;
pub mod deflate;
pub mod encode;
pub mod frame;
pub mod handshake;
#[cfg(test)]
mod tests;
mod utf8;

pub use close::CloseCode;
pub use decode::{Decoder, Event, Limits, Role};
pub use deflate::Deflate;
pub use encode::{close_frame, frame, masked_frame};
pub use frame::{Header, Opcode};
