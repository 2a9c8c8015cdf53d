//! permessage-deflate (RFC 7692), sans-IO.
//!
//! [`offer`] agrees on it in the handshake, [`Deflate`] writes frames, and a
//! [`Decoder`](super::Decoder) that was told of it inflates what comes.
//!
//! What is written never refers to an earlier message (*no context takeover*):
//! one compressed frame is right for every connection, so that it is made once
//! and shared, and no connection keeps a compressor. The tables that DEFLATE
//! needs (400 KiB to write, 50 KiB to read) belong to threads, not to
//! connections: a connection holds what has come of a message, and, where the
//! peer may refer to earlier messages, the last 32 KiB of them.

mod compress;
mod inflate;
pub mod offer;
#[cfg(test)]
mod tests;

pub use compress::{Deflate, Window};
pub(super) use inflate::Inflate;
pub use offer::{Agreed, Offer};

/// The end that every compressed message has, and that is not sent (7.2.1): an
/// empty stored block without its first byte.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
