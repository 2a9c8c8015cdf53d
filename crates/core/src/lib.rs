//! What messages mean. No tokio runtime, no clock, no sockets: `now` is an
//! argument, randomness is handed in, bytes leave through traits.
//!
//! Read in this order: [`key`] and [`message`] say what travels, [`cursor`]
//! where a reader stands, [`policy`] who may, [`broker`] where messages are
//! ordered and kept, [`hub`] how they reach every subscriber of this node.

pub mod broker;
pub mod clock;
pub mod credit;
pub mod cursor;
pub mod error;
pub mod hub;
pub mod key;
pub mod limits;
pub mod message;
#[cfg(not(feature = "mutants"))]
mod mutant;
/// Deliberate bugs; public only where they are compiled in.
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutant;
pub mod namespace;
pub mod policy;
mod sync;
mod ticket;
pub mod users;
