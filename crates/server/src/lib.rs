//! Fanwire, the server: owns sockets, and introduces what bytes mean
//! (`fanwire-proto`) to what messages mean (`fanwire-core`).
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = fanwire::Config::default();
//! let running = fanwire::Server::new(config)?.start().await?;
//! println!("http://{}", running.addr());
//! running.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! | what you want | where it is |
//! |---|---|
//! | a server of its own, from a configuration | [`Server::new`], [`Config`], [`Server::start`] |
//! | Fanwire within an axum app that you have | [`Server::mount`] |
//! | routes of yours beside it, on the same port | [`Server::routes`] |
//! | code for what clients send, by any transport | [`Application`], [`Handlers`], [`Handler`] |
//! | what a handler may ask for, and return | [`Extract`], [`IntoReply`] |
//! | to let clients in, by a token of your own, too | [`Handlers::on_connect`], [`Auth`] |
//! | something before, behind or instead of all handlers | [`Handlers::around`] |
//! | to send: to one, to rooms, to all, with acknowledgements | [`Socket`], [`Io`], [`Emit`] |
//! | to send from anywhere else | [`Running::io`]; from routes, [`Namespaces`] |
//! | what was said before | [`Io::history`] |
//! | event streams and long polls of your own | [`sse`], [`Changes`] |
//! | to know who was turned away, and why | [`Server::on_refused`] |
//! | to stop in order | [`Running::shutdown`] |
//!
//! The programs in `crates/server/examples` show most of it on one screen each.
//!
//! # The crate's own parts
//!
//! Read in this order: [`config`] says what can be set, `assemble` puts a
//! server together, `accept` takes connections in, `tls` secures them, `http` answers their
//! requests, `transport` serves those whose sockets left HTTP, `dialect` writes
//! what they hear.

mod accept;
mod access;
mod answer;
mod app;
mod assemble;
mod auth;
mod browser_client;
mod changes;
mod clock;
pub mod config;
mod dialect;
mod drive;
mod engineio;
mod figures;
mod forwarded;
mod handlers;
mod http;
mod limit;
mod listen;
mod live;
mod metrics;
mod page;
mod preamble;
mod rates;
mod refused;
mod reload;
mod renew;
mod shown;
mod shutdown;
mod socketio;
pub mod sse;
mod tls;
pub mod tokens;
mod transport;

pub use assemble::{Mounted, Server};
pub use changes::Changes;
pub use config::Config;
pub use fanwire_core::error::{Code, Refusal};
pub use fanwire_core::hub::Stats;
pub use fanwire_core::key::SocketId;
pub use fanwire_core::policy::{Subject, User};
pub use figures::Figures;
pub use handlers::{
    AckError, Answers, Application, Args, Around, Arrival, Auth, Call, ConnectRefusal, Context,
    Departure, Emit, Entry, EventName, Extract, FromArg, Handler, Handlers, Handshake, IntoArg,
    IntoArgs, IntoReply, InvalidArgs, Io, Json, Kept, Namespaces, Needs, Next, Past, PastMessage,
    Reason, Rejected, Reply, Socket, State, Target,
};
/// Decoders without a public door, for the fuzz targets.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use http::fuzzing;
pub use http::{Client, MountedBody, MountedService, RequestBody};
pub use refused::{Refused, Via};
pub use reload::{Loader, Reloaded};
pub use shutdown::{Running, Stopped};
