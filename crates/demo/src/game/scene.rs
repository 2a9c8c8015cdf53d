//! What everyone sees: the comets, the sparks and the round. It is what the server has,
//! exactly: lengths are whole eighths of a unit, so that nothing is lost on the way.

use std::collections::{BTreeMap, VecDeque};

/// The arena, in eighths of a unit.
pub const WIDTH: u16 = 1280 * 8;
/// See [`WIDTH`].
pub const HEIGHT: u16 = 800 * 8;
/// Comets at most, bots among them.
pub const COMETS: usize = 24;
/// Sparks at most: their numbers are one byte.
pub const SPARKS: usize = 200;
/// Points of a tail at most, one for each tick.
pub const TAIL: usize = 110;

/// A place in the arena, in eighths of a unit from its upper left corner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// To the right.
    pub x: u16,
    /// Down.
    pub y: u16,
}

/// The arena after a tick.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scene {
    /// Ticks since the server began.
    pub tick: u32,
    /// What is being played.
    pub round: Round,
    /// By number.
    pub comets: BTreeMap<u8, Comet>,
    /// By number.
    pub sparks: BTreeMap<u8, Spark>,
}

/// A round, or the pause behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Round {
    /// True behind a round: nobody gathers or crashes.
    pub pause: bool,
    /// The tick at which it ends.
    pub until: u32,
    /// Who has won the last one.
    pub winner: Option<u8>,
}

/// A player, or a bot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comet {
    /// At most [`super::wire::NAME`] bytes.
    pub name: String,
    /// Played by the server.
    pub bot: bool,
    /// Whether it flies.
    pub mode: Mode,
    /// It spends sparks to be faster.
    pub boost: bool,
    /// Sparks that it carries.
    pub score: u16,
    /// Rounds that it has won.
    pub wins: u8,
    /// Its head; where it crashed, while it is out.
    pub head: Place,
    /// Where its head was, a tick ago first.
    pub tail: VecDeque<Place>,
}

/// Whether a comet flies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It will be back.
    Out,
    /// It is new: it crashes into nobody, and nobody into it.
    Shielded,
    /// Its tail shatters others.
    Flying,
}

/// Something to gather.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spark {
    /// Where.
    pub at: Place,
    /// How much it adds to a score.
    pub worth: u8,
}

/// What happened in a tick, for those who like to see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The first crashed into the second.
    Crash(u8, u8),
    /// It gathered something that is worth this.
    Gathered(u8, u8),
}

impl Comet {
    /// One that has just come: it is out, and will be put somewhere.
    pub(super) fn new(name: String, bot: bool) -> Self {
        Self {
            name,
            bot,
            mode: Mode::Out,
            boost: false,
            score: 0,
            wins: 0,
            head: Place::default(),
            tail: VecDeque::new(),
        }
    }

    /// It flies on: where it was becomes tail.
    pub(super) fn move_to(&mut self, head: Place) {
        self.tail.push_front(self.head);
        self.head = head;
    }

    /// It is somewhere else at once, without a tail.
    pub(super) fn put(&mut self, head: Place) {
        self.tail.clear();
        self.head = head;
    }

    /// Cuts the tail to its length; done last in a tick.
    pub(super) fn trim(&mut self) {
        self.tail.truncate(tail_length(self.score));
    }
}

/// Points of a tail: what one carries is seen.
pub fn tail_length(score: u16) -> usize {
    TAIL.min(12 + usize::from(score) * 3 / 4)
}
