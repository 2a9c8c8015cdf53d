//! Who listens to what on this node, and how they hear it.

mod attach;
mod encode;
mod outbox;
mod runtime;
mod writer;

pub use attach::{Attach, Heartbeat, Kind, Start};
pub use encode::{Delivery, Encoder, End, FormId, Gap, GapForm, Ready};
pub use outbox::Outbox;
pub use runtime::{Runtime, Task};
pub use writer::{Flushed, Writer, hand_over, write_all};
