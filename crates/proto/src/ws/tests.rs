//! The decoder and the encoder against each other, against the RFC's own bytes
//! and against everything a hostile peer sends.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::encode::header;
use super::frame::apply_mask;
use super::*;
use crate::error::Violation;

/// Everything the decoder says about an input that comes in these pieces: the
/// events, and the violation at the end if there is one.
fn run<'a>(
    role: Role,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Violation>) {
    let mut decoder = Decoder::new(role, limits);
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(decoder.held_bytes(), 0, "a dead decoder holds memory");
                    return (events, Some(violation));
                }
            }
        }
        assert!(piece.is_empty(), "None means that the input was used up");
    }
    if !decoder.is_mid_message() {
        assert_eq!(decoder.held_bytes(), 0, "an idle decoder holds memory");
    }
    (events, None)
}

fn client(bytes: &[u8]) -> (Vec<Event>, Option<Violation>) {
    run(Role::Client, Limits::default(), [bytes])
}

fn code(bytes: &[u8]) -> Option<u16> {
    let whole = client(bytes);
    let single = run(Role::Client, Limits::default(), bytes.chunks(1));
    assert_eq!(whole, single, "byte by byte it must be the same");
    whole.1.map(|v| v.close_code)
}

/// An unmasked frame, legal or not.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(Opcode::Binary, payload.len()).to_vec();
    out[0] = first;
    out.extend_from_slice(payload);
    out
}

#[test]
fn the_examples_of_rfc_6455_section_5_7() {
    let text = |s: &'static [u8]| vec![Event::Text(Bytes::from_static(s))];
    assert_eq!(
        client(&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]),
        (text(b"Hello"), None)
    );
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(
        run(Role::Server, Limits::default(), [&masked[..]]),
        (text(b"Hello"), None)
    );
    assert_eq!(
        masked_frame(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]),
        &masked[..]
    );
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(client(&fragments), (text(b"Hello"), None));
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(
        client(&ping),
        (vec![Event::Ping(Bytes::from_static(b"Hello"))], None)
    );
    let pong = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    let expected = vec![Event::Pong(Bytes::from_static(b"Hello"))];
    assert_eq!(
        run(Role::Server, Limits::default(), [&pong[..]]),
        (expected, None)
    );
    assert_eq!(&header(Opcode::Binary, 256)[..], [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(
        &header(Opcode::Binary, 65536)[..],
        [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]
    );
}

#[test]
fn f1_an_unmasked_client_frame_is_1002_at_its_second_byte() {
    let (events, violation) = run(Role::Server, Limits::default(), [&[0x81, 0x05][..]]);
    assert!(events.is_empty());
    assert_eq!(violation.unwrap().close_code, 1002);
}

#[test]
fn what_is_wrong_with_a_header_does_not_depend_on_how_it_was_cut() {
    // No mask, and a length with its top bit set: the first is there first.
    let bytes = [0x82, 0x7F, 0xFF, 0, 0, 0, 0, 0, 0, 0];
    let whole = Decoder::new(Role::Server, Limits::default()).decode(&mut &bytes[..]);
    let mut cut = Decoder::new(Role::Server, Limits::default());
    assert_eq!(cut.decode(&mut &bytes[..1]), Ok(None));
    assert_eq!(cut.decode(&mut &bytes[1..]), whole);
    assert_eq!(whole.unwrap_err().why, "a client's frame must be masked");
}

#[test]
fn a_masked_server_frame_is_1002() {
    assert_eq!(
        code(&masked_frame(Opcode::Text, b"x", [1, 2, 3, 4])),
        Some(1002)
    );
}

#[test]
fn f2_reserved_bits_are_1002_at_the_first_byte() {
    for bits in 1..8 {
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xA] {
            assert_eq!(code(&[0x80 | bits << 4 | opcode]), Some(1002));
        }
    }
}

#[test]
fn f3_reserved_opcodes_are_1002_at_the_first_byte() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        assert_eq!(code(&[0x80 | opcode]), Some(1002));
    }
}

#[test]
fn f4_control_frame_over_125_or_fragmented_is_1002() {
    for opcode in [0x8, 0x9, 0xA] {
        assert_eq!(code(&raw(0x80 | opcode, &[b'x'; 126])), Some(1002));
        assert_eq!(code(&[opcode]), Some(1002));
    }
    assert_eq!(code(&raw(0x89, &[b'x'; 125])), None);
}

#[test]
fn f5_length_not_minimal_or_with_top_bit_is_1002() {
    assert_eq!(code(&[0x82, 126, 0, 5]), Some(1002));
    assert_eq!(code(&[0x82, 126, 0, 125]), Some(1002));
    assert_eq!(code(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), Some(1002));
    assert_eq!(code(&[0x82, 127, 0x80, 0, 0, 0, 0, 1, 0, 0]), Some(1002));
    assert_eq!(code(&[0x82, 126, 0, 126]), None);
}

#[test]
fn f6_a_declared_length_over_the_limit_is_1009_before_any_payload() {
    assert_eq!(code(&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]), Some(1009));
    assert_eq!(code(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1]), Some(1009));
    assert_eq!(code(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), None);
}

#[test]
fn f7_memory_grows_only_with_the_bytes_that_came() {
    let mut decoder = Decoder::new(Role::Client, Limits::default());
    let mut head: &[u8] = &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(decoder.decode(&mut head), Ok(None));
    assert!(decoder.is_mid_message());
    assert_eq!(decoder.held_bytes(), 0);
    for sent in 1..=1000 {
        assert_eq!(decoder.decode(&mut &b"x"[..]), Ok(None));
        assert!(
            decoder.held_bytes() <= 2 * sent + 8,
            "{} for {sent}",
            decoder.held_bytes()
        );
    }
}

#[test]
fn f12_data_after_a_close_is_ignored() {
    let mut bytes = close_frame(Some(CloseCode::NORMAL), "bye").to_vec();
    bytes.extend_from_slice(&frame(Opcode::Text, b"late"));
    bytes.extend_from_slice(&[0xFF; 20]);
    bytes.extend_from_slice(&close_frame(Some(CloseCode::GOING_AWAY), ""));
    let expected = vec![Event::Close(Some(CloseCode::NORMAL), "bye".to_owned())];
    assert_eq!(client(&bytes), (expected, None));
    assert_eq!(code(&bytes), None);
}

#[test]
fn f13_empty_messages_are_messages() {
    let bytes = [0x81, 0].repeat(1000);
    let (events, violation) = client(&bytes);
    assert_eq!((events.len(), violation), (1000, None));
    assert!(events.iter().all(|e| *e == Event::Text(Bytes::new())));
}

#[test]
fn g1_a_continuation_without_start_is_1002() {
    assert_eq!(code(&raw(0x80, b"x")), Some(1002));
    assert_eq!(
        code(&[raw(0x81, b"x"), raw(0x00, b"x")].concat()),
        Some(1002)
    );
}

#[test]
fn g2_a_new_message_inside_a_message_is_1002() {
    for first in [0x01, 0x02, 0x81, 0x82] {
        assert_eq!(
            code(&[raw(0x01, b"x"), raw(first, b"y")].concat()),
            Some(1002)
        );
    }
}

#[test]
fn g3_a_ping_between_fragments_comes_at_once() {
    let mut decoder = Decoder::new(Role::Client, Limits::default());
    let bytes = [
        raw(0x01, b"a"),
        raw(0x89, b"p"),
        raw(0x00, b"b"),
        raw(0x8A, b""),
        raw(0x80, b"c"),
    ];
    let said: Vec<_> = bytes
        .iter()
        .map(|b| decoder.decode(&mut b.as_slice()).unwrap())
        .collect();
    let expected = [
        None,
        Some(Event::Ping(Bytes::from_static(b"p"))),
        None,
        Some(Event::Pong(Bytes::new())),
        Some(Event::Text(Bytes::from_static(b"abc"))),
    ];
    assert_eq!(said, expected);
}

#[test]
fn g4_g5_fragments_are_counted_empty_ones_too() {
    let limits = Limits {
        max_message: 1 << 20,
        max_fragments: 1000,
    };
    for payload in [&b"x"[..], b""] {
        let mut bytes = raw(0x01, payload);
        for _ in 2..1000 {
            bytes.extend_from_slice(&raw(0x00, payload));
        }
        let allowed = [bytes.clone(), raw(0x80, payload)].concat();
        let (events, violation) = run(Role::Client, limits, [&allowed[..]]);
        assert_eq!((events.len(), violation), (1, None));
        let over = [bytes, raw(0x00, payload), raw(0x80, payload)].concat();
        let (events, violation) = run(Role::Client, limits, [&over[..]]);
        assert_eq!((events.len(), violation.unwrap().close_code), (0, 1009));
    }
}

#[test]
fn g6_the_sum_of_fragments_over_the_limit_is_1009_at_the_crossing_header() {
    let limits = Limits {
        max_message: 10,
        max_fragments: 10,
    };
    let bytes = [raw(0x02, b"123456"), vec![0x00, 5]].concat();
    assert_eq!(
        run(Role::Client, limits, [&bytes[..]])
            .1
            .unwrap()
            .close_code,
        1009
    );
    let bytes = [raw(0x02, b"123456"), raw(0x80, b"7890")].concat();
    let expected = vec![Event::Binary(Bytes::from_static(b"1234567890"))];
    assert_eq!(run(Role::Client, limits, [&bytes[..]]), (expected, None));
}

#[test]
fn g7_a_close_in_mid_message_discards_the_message() {
    let bytes = [
        raw(0x01, b"half"),
        close_frame(None, "").to_vec(),
        raw(0x80, b"rest"),
    ]
    .concat();
    assert_eq!(
        client(&bytes),
        (vec![Event::Close(None, String::new())], None)
    );
}

#[test]
fn u1_text_that_is_not_utf_8_is_1007_at_the_byte_that_shows_it() {
    for bad in [
        &b"\xCE\xBA\xE1\xBD\xB9\xFF"[..], // a byte that never stands in UTF-8
        b"\xC0",                          // overlong, whatever follows
        b"\xE0\x80",                      // overlong, shown by the second byte
        b"\xED\xA0",                      // surrogate
        b"\xF4\x90",                      // beyond U+10FFFF
        b"\xF5",
        b"abc\x80",
        b"\xE2\x28",
    ] {
        // A header that promises more: the error may not wait for the rest.
        let mut bytes = vec![0x01, 100];
        bytes.extend_from_slice(bad);
        assert_eq!(code(&bytes), Some(1007), "{bad:x?}");
        bytes.pop();
        assert_eq!(code(&bytes), None, "{bad:x?} shows only at its last byte");
        for split in 0..bad.len() {
            let bytes = [
                raw(0x01, &bad[..split]),
                raw(0x00, b""),
                raw(0x80, &bad[split..]),
            ];
            assert_eq!(code(&bytes.concat()), Some(1007), "{bad:x?} at {split}");
        }
        assert_eq!(code(&raw(0x82, bad)), None, "binary may be anything");
    }
    assert_eq!(
        code(&raw(0x81, b"\xF0\x9F\x98")),
        Some(1007),
        "ends inside a character"
    );
}

#[test]
fn u2_u4_a_character_split_over_frames_is_delivered() {
    let text = "a😀\u{0}\u{2028}\u{202e}é";
    for split in 0..=text.len() {
        let bytes = [
            raw(0x01, &text.as_bytes()[..split]),
            raw(0x80, &text.as_bytes()[split..]),
        ];
        let expected = vec![Event::Text(Bytes::from_static(text.as_bytes()))];
        assert_eq!(client(&bytes.concat()), (expected, None));
    }
}

#[test]
fn u3_c1_c2_bad_close_frames_are_refused() {
    assert_eq!(code(&raw(0x88, b"\x03\xE8\xFF")), Some(1007));
    assert_eq!(code(&raw(0x88, b"\x03")), Some(1002));
    for bad in (0..1000)
        .chain([1004, 1005, 1006])
        .chain(1015..3000)
        .chain(5000..=u16::MAX)
    {
        assert!(!CloseCode(bad).is_valid(), "{bad}");
        assert_eq!(
            client(&raw(0x88, &bad.to_be_bytes())).1.unwrap().close_code,
            1002,
            "{bad}"
        );
    }
    for good in [1000, 1003, 1007, 1014, 3000, 3999, 4000, 4999] {
        let expected = vec![Event::Close(Some(CloseCode(good)), String::new())];
        assert_eq!(
            client(&raw(0x88, &u16::to_be_bytes(good))),
            (expected, None)
        );
    }
}

#[test]
fn c3_a_close_without_code_is_a_close() {
    assert_eq!(
        client(&raw(0x88, b"")),
        (vec![Event::Close(None, String::new())], None)
    );
    assert_eq!(
        close_frame(Some(CloseCode::NO_STATUS), "ignored"),
        &[0x88, 0][..]
    );
}

#[test]
fn a_long_close_reason_is_cut_on_a_character_boundary() {
    let bytes = close_frame(Some(CloseCode::GAP), &"é".repeat(100));
    let (events, violation) = client(&bytes);
    assert_eq!(violation, None);
    assert_eq!(events, [Event::Close(Some(CloseCode::GAP), "é".repeat(61))]);
}

#[test]
fn every_named_code_of_ours_may_be_sent_and_says_whether_to_come_back() {
    use CloseCode as C;
    for back in [C::SLOW, C::GAP, C::NO_PONG, C::RATE_LIMITED, C::RESTART] {
        assert!(back.is_valid() && !back.is_terminal(), "{back}");
    }
    for end in [
        C::UNAUTHORIZED,
        C::BAD_REQUEST,
        C::CONNECTION_LIMIT,
        C::FORBIDDEN,
    ] {
        assert!(end.is_valid() && end.is_terminal(), "{end}");
    }
}

/// A frame as a peer might send it: mostly legal, so that sequences go deep.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x01_u8, 0x02, 0x00, 0x80, 0x81, 0x82, 0x89, 0x8A]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[a-zé😀]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(Just(b'x'), 120..300),
    ];
    (first, payload, any::<[u8; 4]>()).prop_map(|(first, mut payload, mask)| {
        let header = Header {
            fin: true,
            deflated: false,
            opcode: Opcode::Binary,
            mask: Some(mask),
            len: payload.len() as u64,
        };
        let mut out = header.encode().to_vec();
        out[0] = first;
        apply_mask(mask, 0, &mut payload);
        out.extend_from_slice(&payload);
        out
    })
}

proptest! {
    #[test]
    fn f11_any_split_gives_the_same_result(
        frames in prop::collection::vec(any_frame(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let limits = Limits { max_message: 600, max_fragments: 5 };
        let bytes = frames.concat();
        let whole = run(Role::Server, limits, [&bytes[..]]);
        prop_assert_eq!(&whole, &run(Role::Server, limits, bytes.chunks(1)));
        for at in 0..=bytes.len() {
            prop_assert_eq!(&whole, &run(Role::Server, limits, [&bytes[..at], &bytes[at..]]));
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]);
        prop_assert_eq!(&whole, &run(Role::Server, limits, pieces));
    }

    #[test]
    fn decoding_arbitrary_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for role in [Role::Server, Role::Client] {
            let whole = run(role, Limits::default(), [&bytes[..]]);
            prop_assert_eq!(whole, run(role, Limits::default(), bytes.chunks(1)));
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(
        payload in prop::collection::vec(any::<u8>(), 0..70_000),
        mask in any::<[u8; 4]>(),
    ) {
        let limits = Limits { max_message: 70_000, max_fragments: 1 };
        let event = Event::Binary(payload.clone().into());
        let server = frame(Opcode::Binary, &payload);
        prop_assert_eq!(run(Role::Client, limits, [&server[..]]), (vec![event.clone()], None));
        let client = masked_frame(Opcode::Binary, &payload, mask);
        prop_assert_eq!(run(Role::Server, limits, [&client[..]]), (vec![event], None));
    }

    #[test]
    fn a_header_decodes_to_itself(
        fin in any::<bool>(),
        bits in prop::sample::select(vec![0_u8, 1, 2, 8, 9, 10]),
        mask in any::<Option<[u8; 4]>>(),
        len in prop_oneof![0..200_u64, 65_000..66_000_u64, 0..=u64::MAX >> 1],
    ) {
        let opcode = Opcode::from_bits(bits).unwrap();
        let control = opcode.is_control();
        let header = Header {
            fin: fin || control,
            deflated: false,
            opcode,
            mask,
            len: if control { len % 126 } else { len },
        };
        let bytes = header.encode();
        prop_assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
        for cut in 0..bytes.len() {
            prop_assert_eq!(Header::decode(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn the_mask_is_the_rfcs_at_every_offset(
        data in prop::collection::vec(any::<u8>(), 0..100),
        mask in any::<[u8; 4]>(),
        offset in 0..=u64::MAX - 200,
    ) {
        let mut fast = data.clone();
        apply_mask(mask, offset, &mut fast);
        let slow: Vec<u8> = data
            .iter()
            .zip(offset..)
            .map(|(byte, i)| byte ^ mask[(i % 4) as usize])
            .collect();
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn text_validation_agrees_with_the_standard_library(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x80..0xC0_u8, Just(0xE2), Just(0xF0), Just(0xED)], 0..40),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(bytes.len() + 1);
        let mut state = super::utf8::Utf8::default();
        let fed = state.feed(&bytes[..at]).and_then(|()| state.feed(&bytes[at..]));
        match std::str::from_utf8(&bytes) {
            Ok(_) => prop_assert!(fed.is_ok() && state.is_whole()),
            Err(e) if e.error_len().is_none() => prop_assert!(fed.is_ok() && !state.is_whole()),
            Err(_) => prop_assert!(fed.is_err()),
        }
    }

    #[test]
    fn keys_and_close_payloads_of_any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
        let _ = handshake::check_key(&bytes);
        if let Ok((code, reason)) = close::decode(&bytes) {
            let mut out = Vec::new();
            close::encode(code, &reason, &mut out);
            if bytes.len() <= 125 {
                prop_assert_eq!(out, bytes);
            }
        }
    }
}
