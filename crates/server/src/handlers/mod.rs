//! Code of the application's own: what it says to connections, and what is done for
//! it. Nothing here knows how a connection is written; [`Link`] does, which whoever
//! serves the transport brings along.
//!
//! Read in this order: [`Application`] is built of [`Handlers`], one per namespace;
//! they are called with a [`Socket`] and [`Args`]; [`Emit`] says who hears what is
//! sent; [`Io`] is a namespace as a whole.

mod acks;
mod application;
mod args;
mod code;
mod convert;
mod emit;
mod io;
mod pattern;
mod refusal;
mod rooms;
mod socket;
mod space;
mod visitor;

pub use application::{Application, Handlers};
pub use args::{Args, InvalidArgs, Json};
pub use convert::{FromArg, FromArgs, IntoArg, IntoArgs, IntoReply, Reply};
pub use emit::{Answers, Emit, Target};
pub use io::Io;
pub use refusal::{AckError, ConnectRefusal, Rejected};
pub use socket::{Auth, Handshake, Socket};

pub(crate) use code::caught;
pub(crate) use rooms::rooms;
pub(crate) use socket::{Data, Link, New, Room};
pub(crate) use space::{Space, Spaces};
pub(crate) use visitor::{Calling, Visitor, posted};
