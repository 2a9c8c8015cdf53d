//! Socket.IO, version 5: packets inside the messages of
//! [Engine.IO](crate::engineio), read and written.
//!
//! ```text
//! 0/chat,{"token":"x"}     CONNECT        a client joins a namespace
//! 4/chat,{"message":"no"}  CONNECT_ERROR  and is refused
//! 1/chat,                  DISCONNECT     either side leaves it
//! 2/chat,7["score",1,2]    EVENT          7: an ack is asked for
//! 3/chat,7["ok"]           ACK
//! 51-["pic",{"_placeholder":true,"num":0}]   BINARY_EVENT, 6…: BINARY_ACK;
//!                          so many binary messages follow
//! ```
//!
//! JSON stays as it was written: [`Packet`] checks it, bounds its nesting and
//! takes the arguments apart, and numbers of any size, escapes and order of
//! members pass through. A [`Reassembler`] gathers attachments. What is written
//! is a *unit* of one of Engine.IO's [wires](crate::engineio::Wire): the text
//! and its attachments, contiguous.

pub mod ack;
pub mod connect;
pub mod connect_error;
pub mod disconnect;
pub mod event;
pub mod packet;
pub mod reassemble;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use ack::Ack;
pub use connect::{Connect, Connected};
pub use connect_error::ConnectError;
pub use disconnect::Disconnect;
pub use event::{Event, RESERVED};
pub use packet::{Kind, Limits, Packet};
pub use reassemble::{Reassembler, Whole};
pub use scan::Args;
