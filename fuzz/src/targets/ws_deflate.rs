//! permessage-deflate.

use fanwire_proto::ws::deflate::Window;
use fanwire_proto::ws::deflate::offer::{Agreed, Offer};
use fanwire_proto::ws::frame::Header;
use fanwire_proto::ws::{Decoder, Deflate, Event, Limits, Opcode, Role};

use crate::input::Input;
use crate::peer::{self, Inflated};

/// Small enough that a fuzzer's inputs inflate past it.
const LIMIT: usize = 4096;

/// The first byte is the client's offer; the rest are header lines, which are
/// read as a client's and as a server's.
pub(super) fn extensions(data: &[u8]) {
    let mut input = Input::new(data);
    let offer = Offer {
        server_no_context_takeover: input.byte() & 1 == 1,
    };
    let lines: Vec<&[u8]> = input.rest().split(|b| *b == b'\n').collect();
    if let Some(agreed) = Agreed::answer(lines.iter().copied()) {
        assert!(agreed.server_no_context_takeover && agreed.client_no_context_takeover);
        assert!(matches!(agreed.server_max_window_bits, None | Some(9 | 15)));
        // What we answer, a client of ours that offered it takes.
        let header = agreed.header();
        assert_eq!(offer.check([header.as_bytes()]), Ok(Some(agreed)));
    }
    if let Ok(Some(agreed)) = offer.check(lines.iter().copied()) {
        assert!(!offer.server_no_context_takeover || agreed.server_no_context_takeover);
        assert!(
            agreed
                .server_max_window_bits
                .is_none_or(|bits| (8..=15).contains(&bits))
        );
    }
}

fn server_frame(payload: &[u8]) -> Vec<u8> {
    let head = Header {
        fin: true,
        deflated: true,
        opcode: Opcode::Binary,
        mask: None,
        len: payload.len() as u64,
    };
    [&head.encode()[..], payload].concat()
}

fn limits() -> Limits {
    Limits {
        max_message: LIMIT,
        max_fragments: 1,
    }
}

/// All of it is one compressed message's payload.
pub(super) fn inflate(data: &[u8]) {
    if data.len() > LIMIT {
        return;
    }
    let frame = server_frame(data);
    let mut alone = Decoder::new(Role::Client, limits()).inflating(false);
    let (events, violation) = peer::drain(&mut alone, [&frame[..]]);
    let ours = match (&events[..], violation) {
        ([Event::Binary(message)], None) => {
            assert!(message.len() <= LIMIT);
            Ok(message.to_vec())
        }
        ([], Some(violation)) => {
            assert!(matches!(violation.close_code, 1007 | 1009));
            Err(())
        }
        other => panic!("one message gave {other:?}"),
    };
    match peer::inflated(data, LIMIT) {
        Inflated::Message(theirs) => assert_eq!(ours, Ok(theirs)),
        Inflated::Refused => assert_eq!(ours, Err(()), "flate2 refuses it"),
        // Behind a final block we go on with a fresh stream.
        Inflated::Stopped => {}
    }
    // Where earlier messages count, the first one has none before it, and what
    // is kept is a window.
    let mut context = Decoder::new(Role::Client, limits()).inflating(true);
    let (first, violation) = peer::drain(&mut context, [&frame[..]]);
    assert_eq!((first, violation.is_some()), (events, ours.is_err()));
    let _ = peer::drain(&mut context, [&frame[..]]);
    assert!(context.held_bytes() <= 64 * 1024);
}

/// The first byte is how, the rest a message.
pub(super) fn deflate(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let window = match how & 1 {
        0 => Window::Full,
        _ => Window::Small,
    };
    // Long enough for references past a window of 512 bytes.
    let repeats = usize::from(how >> 1 & 7) + 1;
    let message = input.rest().repeat(repeats);
    let message = &message[..message.len().min(LIMIT)];
    let threshold = usize::from(how >> 4);
    let frame = Deflate { window, threshold }.frame(Opcode::Binary, message);
    let (header, head_len) = Header::decode_with(&frame, true)
        .expect("a legal header")
        .expect("all of it");
    assert!(header.fin && header.mask.is_none() && header.opcode == Opcode::Binary);
    assert_eq!(header.len, (frame.len() - head_len) as u64);
    let payload = &frame[head_len..];
    if header.deflated {
        assert!(message.len() >= threshold && payload.len() < message.len());
        let theirs = peer::inflated(payload, LIMIT);
        assert_eq!(theirs, Inflated::Message(message.to_vec()));
    } else {
        assert_eq!(payload, message);
    }
    let mut decoder = Decoder::new(Role::Client, limits()).inflating(false);
    let (events, violation) = peer::drain(&mut decoder, [&frame[..], &frame[..]]);
    assert_eq!(violation, None);
    let expected = Event::Binary(message.to_vec().into());
    assert_eq!(events, [expected.clone(), expected], "it stands alone");
    // A control frame is never compressed.
    let ping = Deflate { window, threshold }.frame(Opcode::Ping, message);
    assert_eq!(ping[0], 0x89);
}
