//! The game's frames, all binary. Numbers are little-endian.
//!
//! From a client, one frame each:
//!
//! | bytes | |
//! |---|---|
//! | `1` name | plays under this name (UTF-8, 1–16 characters) |
//! | `2` aim boost | flies there: 256ths of a turn from the right, clockwise; 1 to boost |
//! | `3` number:u32 | asks for the same number back |
//!
//! To a client:
//!
//! | bytes | |
//! |---|---|
//! | `1` tick:u32 millis:u16 round comets sparks | all that there is, and a tick's length |
//! | `2` tick:u32 sections | what is different since the tick before |
//! | `3` comet:u8 | this one is yours |
//! | `4` number:u32 | the number that was asked for |
//! | `5` | nobody more can play at the moment |
//!
//! A round is `pause:u8 until:u32 winner:u8`, 255 for nobody. A list begins with its
//! length, a byte. The sections of a difference stand in the order of `section`, those
//! that its mask names; what is said of a comet in that of `part`. A comet moves by two
//! signed bytes: its tail is where it was, and travels once, when somebody comes.

use bytes::Bytes;

use super::scene::{Comet, Event, Mode, Place, Round, Scene, Spark};

/// Bytes of a name at most: 16 characters.
pub const NAME: usize = 64;

/// What a client may say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// It plays.
    Play(String),
    /// It flies somewhere.
    Steer {
        /// 256ths of a turn from the right, clockwise.
        aim: u8,
        /// Whether it spends sparks to be faster.
        boost: bool,
    },
    /// It measures the way.
    Ping(u32),
}

/// It is no frame of the game.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Bits of a difference.
pub(super) mod section {
    pub(in crate::game) const ROUND: u8 = 1;
    pub(in crate::game) const GONE: u8 = 2;
    pub(in crate::game) const COMETS: u8 = 4;
    pub(in crate::game) const TAKEN: u8 = 8;
    pub(in crate::game) const SPARKS: u8 = 16;
    pub(in crate::game) const EVENTS: u8 = 32;
}

/// Bits of what is said of a comet.
pub(super) mod part {
    pub(in crate::game) const NAME: u8 = 1;
    pub(in crate::game) const PUT: u8 = 2;
    pub(in crate::game) const MOVED: u8 = 4;
    pub(in crate::game) const MODE: u8 = 8;
    pub(in crate::game) const SCORE: u8 = 16;
    pub(in crate::game) const WINS: u8 = 32;
}

pub(super) const NOBODY: u8 = 255;

/// Reads what a client sent.
///
/// # Errors
/// Anything but one whole frame of the table above.
pub fn input(frame: &[u8]) -> Result<Input, Malformed> {
    match *frame {
        [1, ref name @ ..] => name_of(name).map(Input::Play),
        [2, aim, boost @ (0 | 1)] => Ok(Input::Steer {
            aim,
            boost: boost == 1,
        }),
        [3, a, b, c, d] => Ok(Input::Ping(u32::from_le_bytes([a, b, c, d]))),
        _ => Err(Malformed),
    }
}

/// A name: 1–16 characters without those that are not seen or turn what follows.
fn name_of(bytes: &[u8]) -> Result<String, Malformed> {
    if bytes.len() > NAME {
        return Err(Malformed);
    }
    let name = std::str::from_utf8(bytes).map_err(|_| Malformed)?.trim();
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}')
    };
    let count = name.chars().count();
    if count == 0 || count > 16 || name.chars().any(unseen) {
        return Err(Malformed);
    }
    Ok(name.to_owned())
}

/// All that there is, for somebody who comes.
pub fn snapshot(scene: &Scene, millis: u16) -> Bytes {
    let mut to = Writer(vec![1]);
    to.u32(scene.tick);
    to.u16(millis);
    to.round(scene.round);
    to.length(scene.comets.len());
    for (number, comet) in &scene.comets {
        to.0.push(*number);
        to.name(comet);
        to.mode(comet);
        to.u16(comet.score);
        to.0.push(comet.wins);
        to.place(comet.head);
        to.length(comet.tail.len());
        let mut at = comet.head;
        for point in &comet.tail {
            to.step(at, *point);
            at = *point;
        }
    }
    to.length(scene.sparks.len());
    for (number, spark) in &scene.sparks {
        to.spark(*number, *spark);
    }
    to.0.into()
}

/// What a tick changed. The states are those of two ticks, one behind the other.
pub fn delta(before: &Scene, after: &Scene, events: &[Event]) -> Bytes {
    let mut to = Writer(vec![2]);
    to.u32(after.tick);
    let mask = to.0.len();
    to.0.push(0);
    if after.round != before.round {
        to.0[mask] |= section::ROUND;
        to.round(after.round);
    }
    let gone = before
        .comets
        .keys()
        .filter(|n| !after.comets.contains_key(n));
    to.list(mask, section::GONE, gone, |to, number| to.0.push(*number));
    let changed = after
        .comets
        .iter()
        .map(|(number, comet)| (*number, change(before.comets.get(number), comet)))
        .filter(|(_, change)| change[0] != 0);
    to.list(mask, section::COMETS, changed, |to, (number, change)| {
        to.0.push(number);
        to.0.extend_from_slice(&change);
    });
    let taken = before
        .sparks
        .keys()
        .filter(|n| !after.sparks.contains_key(n));
    to.list(mask, section::TAKEN, taken, |to, number| to.0.push(*number));
    let new = after
        .sparks
        .iter()
        .filter(|(n, spark)| before.sparks.get(n) != Some(spark));
    to.list(mask, section::SPARKS, new, |to, (number, spark)| {
        to.spark(*number, *spark);
    });
    // They are for the eye: of very many the first will do.
    let seen = events.iter().take(usize::from(u8::MAX));
    to.list(mask, section::EVENTS, seen, |to, event| {
        to.0.extend_from_slice(&match *event {
            Event::Crash(who, into) => [1, who, into],
            Event::Gathered(who, worth) => [2, who, worth],
        });
    });
    to.0.into()
}

/// A mask and its parts: what is different of a comet.
fn change(before: Option<&Comet>, after: &Comet) -> Vec<u8> {
    let mut to = Writer(vec![0]);
    if before.is_none_or(|it| (&it.name, it.bot) != (&after.name, after.bot)) {
        to.0[0] |= part::NAME;
        to.name(after);
    }
    match before {
        // What has a tail has moved, be it to where it was.
        Some(before) if !after.tail.is_empty() => {
            to.0[0] |= part::MOVED;
            to.step(before.head, after.head);
        }
        Some(before) if before.tail.is_empty() && before.head == after.head => {}
        _ => {
            to.0[0] |= part::PUT;
            to.place(after.head);
        }
    }
    if before.is_none_or(|it| (it.mode, it.boost) != (after.mode, after.boost)) {
        to.0[0] |= part::MODE;
        to.mode(after);
    }
    if before.is_none_or(|it| it.score != after.score) {
        to.0[0] |= part::SCORE;
        to.u16(after.score);
    }
    if before.is_none_or(|it| it.wins != after.wins) {
        to.0[0] |= part::WINS;
        to.0.push(after.wins);
    }
    to.0
}

/// This comet is yours.
pub fn you(number: u8) -> Bytes {
    vec![3, number].into()
}

/// The number that was asked for.
pub fn pong(number: u32) -> Bytes {
    [&[4][..], &number.to_le_bytes()].concat().into()
}

/// Nobody more can play.
pub fn full() -> Bytes {
    Bytes::from_static(&[5])
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Every list is bounded below this by the rules of the game.
    fn length(&mut self, length: usize) {
        self.0.push(u8::try_from(length).unwrap_or(u8::MAX));
    }

    /// A section: nothing where there is nothing.
    fn list<T>(
        &mut self,
        mask: usize,
        section: u8,
        items: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        let length = self.0.len();
        self.0.push(0);
        for item in items {
            self.0[length] += 1;
            write(self, item);
        }
        match self.0[length] {
            0 => self.0.truncate(length),
            _ => self.0[mask] |= section,
        }
    }

    fn round(&mut self, round: Round) {
        self.0.push(u8::from(round.pause));
        self.u32(round.until);
        self.0.push(round.winner.unwrap_or(NOBODY));
    }

    fn name(&mut self, comet: &Comet) {
        self.0.push(u8::from(comet.bot));
        self.length(comet.name.len());
        self.0.extend_from_slice(comet.name.as_bytes());
    }

    fn mode(&mut self, comet: &Comet) {
        let mode = match comet.mode {
            Mode::Out => 0,
            Mode::Shielded => 1,
            Mode::Flying => 2,
        };
        self.0.push(mode | u8::from(comet.boost) << 2);
    }

    fn place(&mut self, place: Place) {
        self.u16(place.x);
        self.u16(place.y);
    }

    /// From one place to the next, which no comet's speed brings out of two bytes.
    fn step(&mut self, from: Place, to: Place) {
        for (from, to) in [(from.x, to.x), (from.y, to.y)] {
            self.0.push(to.wrapping_sub(from) as u8);
        }
    }

    fn spark(&mut self, number: u8, spark: Spark) {
        self.0.push(number);
        self.0.push(spark.worth);
        self.place(spark.at);
    }
}
