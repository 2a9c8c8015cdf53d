//! A client that comes back: subscribe over WebSocket, Server-Sent Events or
//! long poll, publish over HTTP, and after every loss of the connection go on
//! where it was.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | what a caller sets |
//! | [`session`] | the state machine of a subscription: what to request, how long to wait, what is new. Pure: no sockets, no clock, no randomness |
//! | [`subscriber`] | the session on a socket: `next().await` |
//! | [`publisher`] | one message, or the same message until it is kept |
//! | [`proof`] | what it shows of itself: a key, a token, where the next token comes from |
//! | [`error`] | what ends a subscription or a publish |
//!
//! ```no_run
//! # async fn run() -> Result<(), fanwire_client::Error> {
//! use fanwire_client::{Event, SubscribeOptions, Subscriber};
//!
//! let mut news = Subscriber::connect(SubscribeOptions::new("http://127.0.0.1:3000", ["news"]))?;
//! loop {
//!     if let Event::Message(message) = news.next().await? {
//!         println!("{:?} {:?}", message.id, message.body);
//!         // Handled: a start from here misses nothing and repeats nothing.
//!         let _resume_from = news.cursor();
//!     }
//! }
//! # }
//! ```

pub mod error;
mod net;
pub mod options;
pub mod proof;
pub mod publisher;
pub mod session;
pub mod subscriber;

pub use error::{Error, Refusal};
pub use fanwire_proto::native::answer::Published;
pub use fanwire_proto::native::{Message, MessageBody};
pub use options::{Backoff, PublishOptions, Start, SubscribeOptions, Transport, Trust};
pub use proof::TokenSource;
pub use publisher::{Body, Publication, Publisher};
pub use session::{Event, Session};
pub use subscriber::Subscriber;
