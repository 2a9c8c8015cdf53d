//! Socket.IO above Engine.IO: what a session says is taken apart here, one
//! conversation per session, and each namespace that it joins becomes a
//! [`Socket`](crate::handlers::Socket) with a subscriber of the hub.
//!
//! Read in this order: `host` begins conversations; `conversation` takes in what is
//! said and handles it in order; `connect` lets a client into a namespace; `event`
//! handles its events; `joined` is what it has there, until `ending`; `recovery`
//! knows who may come back.

mod connect;
mod conversation;
mod ending;
mod event;
mod host;
mod inbox;
mod joined;
mod recovery;
mod units;

pub(crate) use host::SocketIo;
