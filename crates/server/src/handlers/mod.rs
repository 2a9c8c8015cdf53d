//! Code of the application's own: what it says to connections, and what is done for
//! it. Nothing here knows how a connection is written; [`Link`] does, which whoever
//! serves the transport brings along.
//!
//! Read in this order: [`Application`] is built of [`Handlers`], one per namespace; a
//! [`Handler`] is a function, called at a moment ([`Context`]) with what its parameters
//! [`Extract`] from it: a [`Socket`], [`Args`] and what else there is; [`Emit`] says who
//! hears what is sent; [`Io`] is a namespace as a whole.

mod acks;
mod application;
mod args;
mod around;
mod auth;
mod code;
mod context;
mod convert;
mod emit;
mod extract;
mod handler;
mod history;
mod io;
mod meter;
mod namespace;
mod native;
mod pattern;
mod place;
mod refusal;
mod rooms;
mod socket;
mod space;
mod states;
mod visitor;

pub use application::Application;
pub use args::{Args, InvalidArgs, Json};
pub use around::{Around, Next};
pub use auth::Auth;
pub use context::{Arrival, Call, Context, Departure, Entry};
pub use convert::{FromArg, IntoArg, IntoArgs, IntoReply, Reply};
pub use emit::{Answers, Emit, Target};
pub use extract::{EventName, Extract, Kept, Reason, State};
pub use handler::Handler;
pub use history::{Past, PastMessage};
pub use io::{Io, Namespaces};
pub use namespace::Handlers;
pub use refusal::{AckError, ConnectRefusal, Rejected};
pub use socket::{Handshake, Socket};
pub use states::Needs;

pub(crate) use code::caught;
pub(crate) use native::{Hears, Post};
pub(crate) use rooms::rooms;
pub(crate) use socket::{Data, Link, New, Room};
pub(crate) use space::{Space, Spaces};
pub(crate) use visitor::{AtWork, Calling, Comer, Visit, posted};
