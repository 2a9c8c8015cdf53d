//! Packets read and written, and attachments.
#![allow(clippy::unwrap_used)]

mod reading;
mod writing;

use super::*;
use crate::engineio::{self, PayloadLimits, Wire, frames_to_polling};
use crate::error::DecodeError;

fn decode(text: &str) -> Result<Packet<'_>, DecodeError> {
    Packet::decode(text, &Limits::default())
}

/// Malformed, and nothing else.
fn refused(text: &str) {
    let read = decode(text);
    let why = matches!(read, Err(DecodeError::Malformed { at, .. }) if at <= text.len());
    assert!(why, "{text}: {read:?}");
}

/// Kind, namespace, id and data.
fn parts(text: &str) -> (Kind, String, Option<u64>, String) {
    let packet = decode(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (
        packet.kind(),
        packet.namespace().to_owned(),
        packet.id(),
        packet.data().to_owned(),
    )
}

/// Name and arguments of an event.
fn event(text: &str) -> (String, Vec<String>) {
    let packet = decode(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let (name, args) = packet.event().unwrap();
    (name.into_owned(), args.map(str::to_owned).collect())
}

/// The packets of a unit for polling, which is also what its frames for a WebSocket
/// become: texts without Engine.IO's type, and attachments as Rust prints them.
fn unit(write: impl Fn(Wire, &mut Vec<u8>)) -> Vec<String> {
    let (mut polling, mut websocket, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    write(Wire::Polling, &mut polling);
    write(Wire::WebSocket, &mut websocket);
    frames_to_polling(&websocket, &mut moved);
    assert_eq!(moved, polling);
    engineio::Payload::new(&polling[1..], PayloadLimits::of(1 << 20))
        .unwrap()
        .map(|packet| match packet.unwrap() {
            engineio::Packet::Text(text) => text.to_owned(),
            engineio::Packet::Binary(data) => format!("{data:?}"),
            other => panic!("{other:?}"),
        })
        .collect()
}
