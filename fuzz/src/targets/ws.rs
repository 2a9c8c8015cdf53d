//! Frames.

use bytes::Bytes;
use fanwire_proto::ws::frame::{Header, MAX_HEADER, apply_mask};
use fanwire_proto::ws::{CloseCode, Decoder, Event, Limits, Opcode, Role};

use crate::input::{Dice, Input};
use crate::peer::{self, Part, Reading};

/// Small enough that a fuzzer's inputs reach it.
const LIMIT: usize = 1000;

/// The first byte says which decoder; the rest is what it reads.
pub fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let role = role_of(how);
    let limits = Limits {
        max_message: LIMIT,
        max_fragments: 4,
    };
    let decoder = || {
        let decoder = Decoder::new(role, limits);
        match how >> 1 & 3 {
            0 | 1 => decoder,
            context => decoder.inflating(context == 3),
        }
    };
    let stream = input.rest();
    let mut whole = decoder();
    let expected = peer::drain(&mut whole, [stream]);
    for event in &expected.0 {
        match event {
            Event::Text(text) => {
                assert!(text.len() <= LIMIT);
                assert!(std::str::from_utf8(text).is_ok());
            }
            Event::Binary(data) => assert!(data.len() <= LIMIT),
            Event::Ping(data) | Event::Pong(data) => assert!(data.len() <= 125),
            Event::Close(code, reason) => {
                assert!(code.is_none_or(CloseCode::is_valid));
                assert!(reason.len() <= 123);
            }
        }
    }
    if let Some(violation) = expected.1 {
        assert!(matches!(violation.close_code, 1002 | 1007 | 1009));
    }
    let mut dice = Dice::of(data);
    let mut cut = decoder();
    let pieces = dice.cut(stream);
    for piece in &pieces {
        let held = cut.held_bytes();
        assert!(
            held <= 2 * (LIMIT + LIMIT / 8 + 1024) + 33 * 1024,
            "{held} bytes"
        );
        if peer::drain(&mut cut, [*piece]).1.is_some() {
            break;
        }
    }
    let mut cut = decoder();
    assert_eq!(peer::drain(&mut cut, pieces), expected, "cut in pieces");
    let mut single = decoder();
    assert_eq!(
        peer::drain(&mut single, stream.chunks(1)),
        expected,
        "byte by byte"
    );
    for decoder in [&whole, &cut, &single] {
        let over = expected.1.is_some() || matches!(expected.0.last(), Some(Event::Close(..)));
        assert!(!over || decoder.held_bytes() == 0 && !decoder.is_mid_message());
    }
}

fn role_of(byte: u8) -> Role {
    if byte & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    }
}

/// The first byte says which side; the rest is what it reads.
pub fn peer(data: &[u8]) {
    let mut input = Input::new(data);
    let role = role_of(input.byte());
    compare(role, input.rest());
}

/// Panics where tungstenite does not read a stream as we do. Where the two may
/// differ:
///
/// 1. a length that is not in its shortest form, or has its top bit set, is
///    refused by us alone (RFC 6455, 5.2: "MUST"), of a control frame as one
///    that is too long;
/// 2. we refuse a frame as soon as a byte shows it, tungstenite when it is
///    whole: of a frame that is cut, we may say more;
/// 3. tungstenite knows nothing of 1014 (bad gateway) and refuses it, with a
///    1002 of its own that looks as if the peer had sent it in these words.
pub fn compare(role: Role, stream: &[u8]) {
    let limits = Limits {
        max_message: LIMIT,
        max_fragments: u32::MAX, // Tungstenite has no such limit.
    };
    let (ours, violation) = peer::ours(role, limits, stream);
    let theirs = peer::tungstenite(role, LIMIT, stream);
    if ours == theirs {
        return;
    }
    let same_events = ours.events == theirs.events;
    let strict = violation.is_some_and(|violation| {
        ["shortest form", "top bit", "control frame longer"]
            .iter()
            .any(|why| violation.why.contains(why))
    });
    if strict && theirs.events.starts_with(&ours.events) {
        return;
    }
    if ours.refused && !theirs.refused && same_events && ends_in_mid_frame(stream) {
        return;
    }
    let foreign = match ours.events.last() {
        Some(Event::Close(Some(code), reason)) => {
            *code == CloseCode::BAD_GATEWAY
                || (*code == CloseCode::PROTOCOL && reason == peer::PROTOCOL_VIOLATION)
        }
        _ => false,
    };
    let Reading { events, refused } = &theirs;
    if foreign && !ours.refused && *refused && *events == ours.events[..ours.events.len() - 1] {
        return;
    }
    panic!("ours {ours:?} {violation:?}\ntheirs {theirs:?}");
}

/// Whether the last frame of a stream is not all there.
fn ends_in_mid_frame(mut stream: &[u8]) -> bool {
    while !stream.is_empty() {
        let Some(head) = stream.first_chunk::<2>() else {
            return true;
        };
        let extra = match head[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(digits) = stream.get(2..2 + extra) else {
            return true;
        };
        let len = match extra {
            0 => u64::from(head[1] & 0x7F),
            _ => digits.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)),
        };
        let mask = usize::from(head[1] >> 7) * 4;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(2 + extra + mask));
        match end.and_then(|end| stream.get(end..)) {
            Some(rest) => stream = rest,
            None => return true,
        }
    }
    false
}

/// A legal conversation of one side: its frames, and what it says.
#[derive(Debug)]
pub struct Script {
    /// The frames.
    pub parts: Vec<Part>,
    /// What they come to.
    pub events: Vec<Event>,
}

/// Largest message of a script: all three forms of a length occur.
pub const SCRIPT_LIMIT: usize = 70_000;

impl Script {
    /// Every input is one: messages of all lengths, in fragments cut anywhere,
    /// with control frames between.
    #[must_use]
    pub fn read(mut input: Input<'_>) -> Self {
        let mut script = Self {
            parts: Vec::new(),
            events: Vec::new(),
        };
        while !input.is_empty() && script.parts.len() < 64 {
            match input.byte() % 8 {
                0 => script.control(&mut input),
                7 => {
                    script.close(&mut input);
                    break;
                }
                kind => script.message(&mut input, kind % 2 == 1),
            }
        }
        script
    }

    fn control(&mut self, input: &mut Input<'_>) {
        let ping = input.byte() & 1 == 0;
        let payload = input.part();
        let payload = &payload[..payload.len().min(125)];
        self.push(true, if ping { 9 } else { 10 }, payload);
        let payload = Bytes::copy_from_slice(payload);
        self.events.push(match ping {
            true => Event::Ping(payload),
            false => Event::Pong(payload),
        });
    }

    fn close(&mut self, input: &mut Input<'_>) {
        let code = CloseCode(input.short());
        // What tungstenite does not know is compared elsewhere.
        if !code.is_valid() || code == CloseCode::BAD_GATEWAY {
            self.push(true, 8, &[]);
            self.events.push(Event::Close(None, String::new()));
            return;
        }
        let text = input.text();
        let reason = &text[..text.floor_char_boundary(123)];
        let payload = [&code.0.to_be_bytes()[..], reason.as_bytes()].concat();
        self.push(true, 8, &payload);
        self.events
            .push(Event::Close(Some(code), reason.to_owned()));
    }

    fn message(&mut self, input: &mut Input<'_>, text: bool) {
        let mut payload = match text {
            true => input.text().into_bytes(),
            false => input.part().to_vec(),
        };
        let filler = match input.byte() % 16 {
            0 => 126_usize.saturating_sub(payload.len()),
            1 => 125_usize.saturating_sub(payload.len()),
            2 => 0xFFFF - payload.len(),
            3 => 0x1_0000 - payload.len(),
            _ => 0,
        };
        payload.resize(payload.len() + filler, b'~');
        let fragments = input.byte() % 4;
        let opcode = if text { 1 } else { 2 };
        let mut rest = &payload[..];
        for fragment in 0..fragments {
            let at = usize::from(input.short()) % (rest.len() + 1);
            let (part, tail) = rest.split_at(at);
            self.push(false, if fragment == 0 { opcode } else { 0 }, part);
            rest = tail;
            if input.byte() % 2 == 1 {
                self.control(input);
            }
        }
        self.push(true, if fragments == 0 { opcode } else { 0 }, rest);
        self.events.push(match text {
            true => Event::Text(payload.into()),
            false => Event::Binary(payload.into()),
        });
    }

    fn push(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.parts.push(Part {
            fin,
            opcode,
            payload: payload.to_vec(),
        });
    }
}

/// Frames as we write them, with the masks that
/// [`written_by_tungstenite`](peer::written_by_tungstenite) chooses.
#[must_use]
pub fn written_by_us(role: Role, parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let mask = [1, part.opcode, 3, part.payload.len() as u8];
        let header = Header {
            fin: part.fin,
            deflated: false,
            opcode: Opcode::from_bits(part.opcode).expect("a script's opcode"),
            mask: (role == Role::Client).then_some(mask),
            len: part.payload.len() as u64,
        };
        let head = header.encode();
        assert!(head.len() <= MAX_HEADER);
        assert_eq!(Header::decode(&head), Ok(Some((header, head.len()))));
        out.extend_from_slice(&head);
        let from = out.len();
        out.extend_from_slice(&part.payload);
        if let Some(mask) = header.mask {
            apply_mask(mask, 0, &mut out[from..]);
        }
    }
    out
}

/// The first byte says which side writes; the rest is its [`Script`].
pub fn round_trip(data: &[u8]) {
    let mut input = Input::new(data);
    let role = role_of(input.byte());
    there_and_back(role, &Script::read(input));
}

/// Panics where the two codecs do not write the same bytes for a script, or
/// either does not read from them what the script says.
pub fn there_and_back(writer: Role, script: &Script) {
    let reader = match writer {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let stream = written_by_us(writer, &script.parts);
    assert!(
        stream == peer::written_by_tungstenite(writer, &script.parts),
        "the two write {:?} differently",
        script.parts
    );
    let limits = Limits {
        max_message: SCRIPT_LIMIT,
        max_fragments: 64,
    };
    let (ours, violation) = peer::ours(reader, limits, &stream);
    assert_eq!(violation, None);
    assert_eq!(ours.events, script.events, "what we read");
    let theirs = peer::tungstenite(reader, SCRIPT_LIMIT, &stream);
    assert!(!theirs.refused);
    assert_eq!(theirs.events, script.events, "what tungstenite reads");
}
