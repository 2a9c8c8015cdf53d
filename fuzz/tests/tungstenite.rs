//! Our WebSocket codec beside tungstenite's: seeded streams, legal and broken,
//! both sides, both directions.

use fanwire_fuzz::input::{Dice, Input};
use fanwire_fuzz::peer::{self, Part};
use fanwire_fuzz::targets::ws::{Script, compare, there_and_back, written_by_us};
use fanwire_proto::ws::{Event, Limits, Role};

const SIDES: [Role; 2] = [Role::Server, Role::Client];
/// Conversations of each test and side.
const SEEDS: u64 = 4000;

/// Text of all widths of characters, and some noise.
fn noise(seed: u64) -> Vec<u8> {
    const WORDS: &[&str] = &[
        "a",
        "fanwire ",
        "é",
        "€",
        "🐦",
        "\0",
        "\u{7ff}",
        "\u{10ffff}",
    ];
    let mut dice = Dice::new(seed);
    let mut out = Vec::new();
    for _ in 0..dice.below(30) + 2 {
        match dice.below(3) {
            0 => out.push(dice.below(256) as u8),
            1 => out.extend_from_slice(WORDS[dice.below(WORDS.len())].as_bytes()),
            _ => out.extend_from_slice(&[dice.below(8) as u8, dice.below(64) as u8]),
        }
    }
    out
}

#[test]
fn what_either_codec_writes_both_read_as_it_was_meant() {
    let (mut fragments, mut controls, mut closes, mut long) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let data = noise(seed);
        let script = Script::read(Input::new(&data));
        for writer in SIDES {
            there_and_back(writer, &script);
        }
        for part in &script.parts {
            fragments += usize::from(part.opcode == 0);
            controls += usize::from(matches!(part.opcode, 9 | 10));
            closes += usize::from(part.opcode == 8);
            long += usize::from(part.payload.len() > 0xFFFF);
        }
    }
    let seen = [fragments, controls, closes, long];
    assert!(seen.iter().all(|count| *count > 5), "too tame: {seen:?}");
}

#[test]
fn all_forms_of_a_length_are_written_and_read_alike() {
    for len in [0, 1, 124, 125, 126, 127, 0xFFFE, 0xFFFF, 0x1_0000, 0x1_0001] {
        let part = Part {
            fin: true,
            opcode: 2,
            payload: vec![b'x'; len],
        };
        let script = Script {
            events: vec![Event::Binary(part.payload.clone().into())],
            parts: vec![part],
        };
        for writer in SIDES {
            there_and_back(writer, &script);
        }
    }
}

#[test]
fn changed_streams_are_taken_or_refused_by_both() {
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..SEEDS {
        let data = noise(seed);
        let mut script = Script::read(Input::new(&data));
        // Within the limit that the two are compared under, mostly.
        for part in &mut script.parts {
            part.payload.truncate(1001);
        }
        for reader in SIDES {
            let writer = if reader == Role::Server {
                Role::Client
            } else {
                Role::Server
            };
            let mut stream = written_by_us(writer, &script.parts);
            let mut dice = Dice::new(seed ^ 0x5EED);
            for _ in 0..dice.below(3) {
                change(&mut dice, &mut stream);
            }
            compare(reader, &stream);
            let reading = peer::tungstenite(reader, 1000, &stream);
            refused += usize::from(reading.refused);
            taken += reading.events.len();
        }
    }
    assert!(
        refused > 300 && taken > 1000,
        "too tame: {refused} refused, {taken} taken"
    );
}

/// A bit of a header or a payload, a byte more or less.
fn change(dice: &mut Dice, stream: &mut Vec<u8>) {
    let at = dice.below(stream.len().max(1));
    match dice.below(4) {
        _ if stream.is_empty() => stream.push(dice.below(256) as u8),
        0 => {
            stream.remove(at);
        }
        1 => stream.insert(at, dice.below(256) as u8),
        // The first bytes are a header for sure.
        2 => {
            let at = at % stream.len().min(4);
            stream[at] ^= 1 << dice.below(8);
        }
        _ => stream[at] ^= 1 << dice.below(8),
    }
}

#[test]
fn bytes_without_any_plan_are_refused_alike() {
    for seed in 0..SEEDS {
        let data = noise(seed ^ 0xF00D);
        for reader in SIDES {
            compare(reader, &data);
        }
    }
}

#[test]
fn the_documented_differences_are_there() {
    let limits = Limits::default();
    // 1. Five bytes in the form for sixteen bits.
    let long_form = [0x82, 0x7E, 0, 5, 1, 2, 3, 4, 5];
    assert!(peer::ours(Role::Client, limits, &long_form).0.refused);
    assert!(!peer::tungstenite(Role::Client, 1000, &long_form).refused);
    // 2. Text that is wrong in its first byte, of a frame that has not ended.
    let cut = [0x81, 0x05, 0xFF];
    assert!(peer::ours(Role::Client, limits, &cut).0.refused);
    assert!(!peer::tungstenite(Role::Client, 1000, &cut).refused);
    // 3. A gateway's close code.
    let gateway = [0x88, 0x02, 0x03, 0xF6];
    assert!(!peer::ours(Role::Client, limits, &gateway).0.refused);
    assert!(peer::tungstenite(Role::Client, 1000, &gateway).refused);
}
