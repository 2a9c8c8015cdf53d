//! Requests whose connection goes on under HTTP whatever they ask for: all over HTTP/2,
//! and all that somebody else's server brings. They are judged as any other, and every
//! event stream and poll stays here, in pull mode; a WebSocket's stream is given away.

mod answer;
mod body;
mod progress;
mod tunnel;

pub(super) use answer::{Arrived, answer, refuse};
pub(super) use body::Reply;
pub(super) use progress::{Patience, Progress, Times};
