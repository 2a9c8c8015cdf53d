//! Server-Sent Events (WHATWG HTML, "Server-sent events"): writing blocks,
//! wrapping them into HTTP chunks, and reading a stream as a browser does.

pub mod chunk;
pub mod encode;
pub mod parse;

pub use chunk::{LAST_CHUNK, chunk, chunked};
pub use encode::{Block, comment};
pub use parse::{Event, Limits, Parser};

#[cfg(test)]
mod tests;
