//! The JSON of `PROTOCOL.md`: how messages, system events, commands and answers
//! are written and read.
//!
//! Writers append to a `Vec<u8>` and take borrowed parts; a published JSON body
//! is spliced in as it is, never parsed again. Readers keep payloads raw.

pub mod answer;
pub mod args;
pub mod command;
pub mod envelope;
pub mod json;
pub mod poll;
pub mod read;
pub mod system;

pub use command::{Auth, Command, CommandError, Payload, Ref, Request};
pub use envelope::{Body, Envelope};
pub use poll::PollWriter;
pub use read::{Incoming, Message, MessageBody};
pub use system::System;

#[cfg(test)]
mod tests;
