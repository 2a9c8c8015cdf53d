//! How messages are written: one [`Encoder`] per wire form, on top of proto's
//! writers. `PROTOCOL.md` sections 4 to 7 are what they write.
//!
//! The hub encodes a publication once per form and shares the bytes among all
//! its subscribers; so nothing here knows of a single connection.

mod parts;
mod poll;
mod sse;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::hub::{Encoder, FormId};

pub(crate) use poll::NOTHING;

/// The wire forms, by their place in the list that [`encoders`] gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Event stream, raw; `chunked` on HTTP/1.1, else ended by close.
    Sse { envelope: bool, chunked: bool },
    /// WebSocket, data only.
    WsRaw,
    /// WebSocket, JSON envelopes.
    WsEnvelope,
    /// Long poll and history.
    Poll,
}

impl Form {
    /// The hub's name for it.
    pub(crate) fn id(self) -> FormId {
        FormId(match self {
            Self::Sse { envelope, chunked } => u8::from(envelope) * 2 + u8::from(chunked),
            Self::WsRaw => 4,
            Self::WsEnvelope => 5,
            Self::Poll => 6,
        })
    }
}

/// All encoders, in the order of their ids. `retry` is the range of the
/// reconnection time that event streams are told.
pub(crate) fn encoders(retry: (Duration, Duration)) -> Vec<Arc<dyn Encoder>> {
    let sse = |envelope, chunked| -> Arc<dyn Encoder> {
        Arc::new(sse::Sse {
            envelope,
            chunked,
            retry,
        })
    };
    vec![
        sse(false, false),
        sse(false, true),
        sse(true, false),
        sse(true, true),
        Arc::new(ws::Raw),
        Arc::new(ws::Envelope),
        Arc::new(poll::Poll),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_its_own_place_in_the_list() {
        let forms = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(envelope, chunked)| Form::Sse { envelope, chunked })
            .into_iter()
            .chain([Form::WsRaw, Form::WsEnvelope, Form::Poll]);
        let ids: Vec<u8> = forms.map(|form| form.id().0).collect();
        let list = encoders((Duration::from_secs(2), Duration::from_secs(3)));
        assert_eq!(ids, (0..list.len() as u8).collect::<Vec<_>>());
    }
}
