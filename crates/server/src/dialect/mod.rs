//! How messages are written: one [`Encoder`] per wire form, on top of proto's
//! writers. `PROTOCOL.md` sections 4 to 7 are what they write.
//!
//! The hub encodes a publication once per form and shares the bytes among all
//! its subscribers; so nothing here knows of a single connection.

mod parts;
mod pid;
mod poll;
pub(crate) mod socketio;
mod sse;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::hub::{Encoder, FormId};
use fanwire_proto::ws::Deflate;
use fanwire_proto::ws::deflate::Window;

pub(crate) use pid::Pids;

/// The wire forms, by their place in the list that [`encoders`] gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Event stream, raw; `chunked` on HTTP/1.1, else ended by close.
    Sse { envelope: bool, chunked: bool },
    /// WebSocket, data only or JSON envelopes; compressed where it was agreed on.
    Ws {
        envelope: bool,
        deflate: Option<Window>,
    },
    /// Long poll and history.
    Poll,
    /// A socket of Socket.IO; `recovery`: its client may come back for what it missed.
    SocketIo { recovery: bool },
}

impl Form {
    /// The hub's name for it.
    pub(crate) fn id(self) -> FormId {
        FormId(match self {
            Self::Sse { envelope, chunked } => u8::from(envelope) * 2 + u8::from(chunked),
            Self::Ws { envelope, deflate } => {
                let way = match deflate {
                    None => 0,
                    Some(Window::Full) => 1,
                    Some(Window::Small) => 2,
                };
                4 + way * 2 + u8::from(envelope)
            }
            Self::Poll => 10,
            Self::SocketIo { recovery } => 11 + u8::from(recovery),
        })
    }
}

/// All encoders, in the order of their ids. `retry` is the range of the
/// reconnection time that event streams are told, `drain_retry` that of the last
/// word of a server that stops; `deflate_threshold` the bytes from which on
/// WebSocket messages are compressed for those who agreed; `pids` makes the secret
/// names of sockets.
pub(crate) fn encoders(
    retry: (Duration, Duration),
    drain_retry: (Duration, Duration),
    deflate_threshold: usize,
    pids: Arc<Pids>,
) -> Vec<Arc<dyn Encoder>> {
    let mut list: Vec<Arc<dyn Encoder>> = Vec::new();
    for (envelope, chunked) in [(false, false), (false, true), (true, false), (true, true)] {
        list.push(Arc::new(sse::Sse {
            envelope,
            chunked,
            retry,
            drain_retry,
        }));
    }
    for window in [None, Some(Window::Full), Some(Window::Small)] {
        let deflate = window.map(|window| Deflate {
            window,
            threshold: deflate_threshold,
        });
        list.push(Arc::new(ws::Raw { deflate }));
        list.push(Arc::new(ws::Envelope { deflate }));
    }
    list.push(Arc::new(poll::Poll));
    list.push(Arc::new(socketio::SocketIo { pids: None }));
    list.push(Arc::new(socketio::SocketIo { pids: Some(pids) }));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_its_own_place_in_the_list() {
        let forms = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(envelope, chunked)| Form::Sse { envelope, chunked })
            .into_iter()
            .chain(
                [None, Some(Window::Full), Some(Window::Small)]
                    .into_iter()
                    .flat_map(|deflate| {
                        [false, true].map(|envelope| Form::Ws { envelope, deflate })
                    }),
            )
            .chain([Form::Poll])
            .chain([false, true].map(|recovery| Form::SocketIo { recovery }));
        let ids: Vec<u8> = forms.map(|form| form.id().0).collect();
        let range = (Duration::from_secs(2), Duration::from_secs(3));
        let list = encoders(range, range, 1024, Arc::new(Pids::new([0; 32])));
        assert_eq!(ids, (0..list.len() as u8).collect::<Vec<_>>());
    }
}
