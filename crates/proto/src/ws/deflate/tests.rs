//! Compressed messages through the decoder: where RSV1 may stand, what is held,
//! and that it makes no difference how the bytes were cut.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::{Deflate, Window};
use crate::ws::{Decoder, Event, Limits, Opcode, Role};

const DEFLATE: Deflate = Deflate {
    window: Window::Full,
    threshold: 0,
};

/// Feeds all pieces; gives the events and, if it came to that, the close code.
fn run<'a>(
    mut decoder: Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<u16>) {
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(broken) => return (events, Some(broken.close_code)),
            }
        }
    }
    (events, None)
}

fn inflating() -> Decoder {
    Decoder::new(Role::Client, Limits::default()).inflating(false)
}

fn code(bytes: &[u8]) -> Option<u16> {
    run(inflating(), [bytes]).1
}

fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, payload.len() as u8];
    out.extend_from_slice(payload);
    out
}

/// "Hello", compressed (RFC 7692, 7.2.3.1).
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn hello() -> Vec<Event> {
    vec![Event::Text(Bytes::from_static(b"Hello"))]
}

#[test]
fn a_compressed_message_is_read_whole_or_in_fragments_among_plain_ones() {
    assert_eq!(run(inflating(), [&raw(0xC1, HELLO)[..]]), (hello(), None));
    let parts = [
        raw(0x41, &HELLO[..3]),
        raw(0x89, b"p"),
        raw(0x00, b""),
        raw(0x80, &HELLO[3..]),
        raw(0x81, b"plain"),
    ];
    let expected = vec![
        Event::Ping(Bytes::from_static(b"p")),
        Event::Text(Bytes::from_static(b"Hello")),
        Event::Text(Bytes::from_static(b"plain")),
    ];
    assert_eq!(run(inflating(), [&parts.concat()[..]]), (expected, None));
}

#[test]
fn d5_rsv1_stands_on_the_first_frame_of_a_message_alone() {
    for first in [0xC9, 0xCA, 0xC8, 0x49, 0xC0, 0x40] {
        assert_eq!(code(&[first]), Some(1002), "{first:x}");
    }
    let continued = [raw(0x41, &HELLO[..3]), raw(0xC0, &HELLO[3..])].concat();
    assert_eq!(code(&continued), Some(1002));
    for first in [0xA1, 0x91, 0xE1, 0xD1, 0xF1] {
        assert_eq!(code(&[first]), Some(1002), "RSV2 and RSV3: {first:x}");
    }
    let plain = Decoder::new(Role::Client, Limits::default());
    assert_eq!(run(plain, [&[0xC1][..]]).1, Some(1002), "not agreed on");
}

#[test]
fn d1_the_limit_is_that_of_what_is_inflated_and_bounds_what_is_kept_too() {
    let bomb = DEFLATE.frame(Opcode::Binary, &vec![0; 1 << 20]);
    assert!(bomb.len() < 2000, "{}", bomb.len());
    assert_eq!(code(&bomb), Some(1009));
    assert_eq!(code(&[0xC2, 127, 0, 0, 0, 0, 0, 2, 0, 0]), Some(1009));
    let largest = vec![7; 64 * 1024];
    let (events, broken) = run(inflating(), [&DEFLATE.frame(Opcode::Binary, &largest)[..]]);
    assert_eq!(
        (events, broken),
        (vec![Event::Binary(largest.into())], None)
    );
}

#[test]
fn d2_what_cannot_be_inflated_and_what_is_not_text_is_1007() {
    assert_eq!(code(&raw(0xC2, b"")), Some(1007));
    assert_eq!(code(&raw(0xC2, b"garbage")), Some(1007));
    let not_text = DEFLATE.frame(Opcode::Text, &[0xFF; 100]);
    assert_eq!(not_text[0], 0xC1);
    assert_eq!(code(&not_text), Some(1007));
    let half = "x".repeat(100) + "é";
    let cut = DEFLATE.frame(Opcode::Text, &half.as_bytes()[..101]);
    assert_eq!(code(&cut), Some(1007), "ends inside a character");
}

#[test]
fn d6_an_idle_decoder_holds_nothing_between_messages() {
    let mut decoder = inflating();
    let big = DEFLATE.frame(Opcode::Text, "again ".repeat(5000).as_bytes());
    assert!(decoder.decode(&mut &big[..]).unwrap().is_some());
    assert_eq!(decoder.held_bytes(), 0);
    let mut with = Decoder::new(Role::Client, Limits::default()).inflating(true);
    assert!(with.decode(&mut &big[..]).unwrap().is_some());
    assert!((20_000..=64 * 1024).contains(&with.held_bytes()));
}

proptest! {
    #[test]
    fn f11_any_split_of_compressed_messages_gives_the_same_result(
        messages in prop::collection::vec(("[a-c ]{0,200}", any::<bool>()), 1..6),
        broken in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        context in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for (text, binary) in &messages {
            let opcode = if *binary { Opcode::Binary } else { Opcode::Text };
            bytes.extend_from_slice(&DEFLATE.frame(opcode, text.as_bytes()));
        }
        if let Some((at, byte)) = broken {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = Limits { max_message: 150, max_fragments: 5 };
        let decoder = || Decoder::new(Role::Client, limits).inflating(context);
        let whole = run(decoder(), [&bytes[..]]);
        prop_assert_eq!(&whole, &run(decoder(), bytes.chunks(1)));
        for at in 0..=bytes.len() {
            prop_assert_eq!(&whole, &run(decoder(), [&bytes[..at], &bytes[at..]]));
        }
    }
}
