//! The rules: what a tick does. No clock, no connection; the same seed and the same calls
//! make the same game.
//!
//! A comet flies on and on; its player says whereto. Sparks make its tail longer; whose
//! head touches another's tail shatters and spills half of its sparks. Who carries most
//! when the round ends has won it.

use std::collections::{BTreeMap, BTreeSet};

use super::bots;
use super::plane::{ahead, distance, near, place, towards};
use super::random::Random;
use super::scene::{COMETS, Comet, Event, HEIGHT, Mode, Place, SPARKS, Scene, Spark, WIDTH};

/// Ticks of a round, and of the pause behind it: two minutes and eight seconds, at 25 a
/// second.
pub const ROUND: u32 = 3000;
/// See [`ROUND`].
pub const PAUSE: u32 = 200;

/// Eighths of a unit in a tick.
const SPEED: f32 = 62.0;
const BOOSTED: f32 = 108.0;
/// Bots are no match for anybody.
const LEISURELY: f32 = 48.0;
/// 256ths of a turn in a tick.
const TURN: i8 = 7;
/// How close to the edge a head comes.
const EDGE: i32 = 12 * 8;
/// How close is touching: head and spark, head and tail, two heads.
const REACH: i32 = 26 * 8;
const TOUCH: i32 = 13 * 8;
const HEADS: i32 = 18 * 8;
/// Ticks: out behind a crash, shielded after it, between two sparks that boosting costs.
const OUT: u16 = 45;
const SHIELD: u16 = 50;
const COST: u32 = 6;
/// Sparks that are always there, and a big one so often.
const FIELD: usize = 60;
const BIG: u8 = 10;
const BIG_EVERY: u32 = 250;
/// Sparks into which a crash falls at most, and what it brings to the other.
const SPILLED: u16 = 30;
const BOUNTY: u16 = 5;
/// Bots, while fewer than two people play.
const BOTS: usize = 3;

/// All of the game.
#[derive(Debug)]
pub struct World {
    scene: Scene,
    pilots: BTreeMap<u8, Pilot>,
    random: Random,
}

/// What is known of a comet and not shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pilot {
    /// Where it flies and where it is to fly: 256ths of a turn from the right, clockwise.
    pub(super) heading: u8,
    pub(super) aim: u8,
    boost: bool,
    /// Ticks until it comes back, or until its shield is gone.
    wait: u16,
}

impl World {
    /// An arena with sparks and nobody in it.
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            scene: Scene::default(),
            pilots: BTreeMap::new(),
            random: Random::new(seed),
        };
        world.scene.round.until = ROUND;
        world.sow();
        world
    }

    /// What everyone sees.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Lets a person play; the number of its comet. None where there is no room. A name
    /// that is taken gets a number.
    pub fn join(&mut self, name: &str) -> Option<u8> {
        self.add(name, false)
    }

    /// Lets one go; what it carries stays.
    pub fn leave(&mut self, number: u8) {
        if let Some(comet) = self.scene.comets.remove(&number) {
            self.pilots.remove(&number);
            // Its number will be another's.
            self.scene.round.winner.take_if(|winner| *winner == number);
            self.spill(&comet, comet.score);
        }
    }

    /// Says whereto; the last word before a tick counts.
    pub fn steer(&mut self, number: u8, aim: u8, boost: bool) {
        if let Some(pilot) = self.pilots.get_mut(&number) {
            (pilot.aim, pilot.boost) = (aim, boost);
        }
    }

    /// The next tick; what happened in it.
    pub fn step(&mut self) -> Vec<Event> {
        self.scene.tick = self.scene.tick.wrapping_add(1);
        let mut events = Vec::new();
        self.turn_of_rounds();
        self.balance();
        bots::steer(&self.scene, &mut self.pilots);
        self.fly();
        if !self.scene.round.pause {
            self.gather(&mut events);
            self.crash(&mut events);
            self.sow();
        }
        self.pass();
        self.scene.comets.values_mut().for_each(Comet::trim);
        events
    }

    #[cfg(test)]
    pub(super) fn put_for_tests(&mut self, number: u8, at: Place) {
        if let Some(comet) = self.scene.comets.get_mut(&number) {
            comet.put(at);
        }
    }

    #[cfg(test)]
    pub(super) fn give_for_tests(&mut self, number: u8, sparks: u16) {
        if let Some(comet) = self.scene.comets.get_mut(&number) {
            comet.score += sparks;
        }
    }

    fn turn_of_rounds(&mut self) {
        let Scene {
            tick,
            round,
            comets,
            ..
        } = &mut self.scene;
        if *tick < round.until {
            return;
        }
        round.pause = !round.pause;
        if round.pause {
            round.until = *tick + PAUSE;
            let most = comets.values().map(|comet| comet.score).max();
            let most = most.filter(|most| *most > 0);
            let mut best = comets
                .iter_mut()
                .filter(|(_, comet)| Some(comet.score) == most);
            // Two with as many have not won, neither of them.
            round.winner = match (best.next(), best.next()) {
                (Some((number, comet)), None) => {
                    comet.wins = comet.wins.saturating_add(1);
                    Some(*number)
                }
                _ => None,
            };
            return;
        }
        round.until = *tick + ROUND;
        for (number, comet) in comets {
            comet.score = 0;
            if comet.mode == Mode::Flying {
                comet.mode = Mode::Shielded;
                if let Some(pilot) = self.pilots.get_mut(number) {
                    pilot.wait = SHIELD;
                }
            }
        }
        self.scene.sparks.clear();
    }

    /// Bots play while there are not two people who can play with each other.
    fn balance(&mut self) {
        let bots = self.scene.comets.iter().filter(|(_, comet)| comet.bot);
        let bots: Vec<_> = bots.map(|(number, _)| *number).collect();
        let people = self.scene.comets.len() - bots.len();
        if people >= 2 {
            bots.into_iter().for_each(|number| self.leave(number));
        } else if bots.len() < BOTS {
            let comets = self.scene.comets.values();
            let names: BTreeSet<_> = comets.map(|comet| comet.name.as_str()).collect();
            let name = bots::NAMES.iter().find(|name| !names.contains(*name));
            self.add(name.unwrap_or(&bots::NAMES[0]), true);
        }
    }

    fn add(&mut self, name: &str, bot: bool) -> Option<u8> {
        let taken = |name: &str| self.scene.comets.values().any(|comet| comet.name == name);
        let name = std::iter::once(name.to_owned())
            .chain((2..).map(|n| {
                let short: String = name.chars().take(13).collect();
                format!("{short} {n}")
            }))
            .find(|name| !taken(name))?;
        let number = (0..)
            .take(COMETS)
            .find(|n| !self.scene.comets.contains_key(n))?;
        let pilot = Pilot {
            wait: 1,
            ..Pilot::default()
        };
        self.scene.comets.insert(number, Comet::new(name, bot));
        self.pilots.insert(number, pilot);
        Some(number)
    }

    fn fly(&mut self) {
        let Scene {
            tick,
            comets,
            sparks,
            round,
        } = &mut self.scene;
        for (number, comet) in comets {
            let Some(pilot) = self
                .pilots
                .get_mut(number)
                .filter(|_| comet.mode != Mode::Out)
            else {
                continue;
            };
            let missing = pilot.aim.wrapping_sub(pilot.heading).cast_signed();
            pilot.heading = pilot
                .heading
                .wrapping_add_signed(missing.clamp(-TURN, TURN));
            comet.boost = pilot.boost && comet.score > 0 && !round.pause;
            let speed = match (comet.bot, comet.boost) {
                (true, _) => LEISURELY,
                (false, true) => BOOSTED,
                (false, false) => SPEED,
            };
            comet.move_to(bounced(comet.head, pilot, speed));
            if comet.boost && tick.is_multiple_of(COST) {
                comet.score -= 1;
                if let Some(last) = comet.tail.back() {
                    drop_spark(sparks, *last, 1);
                }
            }
        }
    }

    fn gather(&mut self, events: &mut Vec<Event>) {
        let Scene { comets, sparks, .. } = &mut self.scene;
        let hungry = |comet: &Comet| !(comet.bot && comet.score >= bots::ENOUGH);
        for (number, comet) in comets
            .iter_mut()
            .filter(|(_, comet)| comet.mode != Mode::Out && hungry(comet))
        {
            sparks.retain(|_, spark| {
                let taken = near(comet.head, spark.at, REACH);
                if taken {
                    comet.score = comet.score.saturating_add(u16::from(spark.worth));
                    events.push(Event::Gathered(*number, spark.worth));
                }
                !taken
            });
        }
    }

    /// All crashes of a tick are of the same moment: nobody's counts before another's.
    fn crash(&mut self, events: &mut Vec<Event>) {
        let flying = self
            .scene
            .comets
            .iter()
            .filter(|(_, comet)| comet.mode == Mode::Flying);
        let flying: Vec<_> = flying.collect();
        let mut crashed = Vec::new();
        for (who, comet) in &flying {
            let others = flying.iter().filter(|(number, _)| number != who);
            let met = others.into_iter().find(|(_, other)| {
                near(comet.head, other.head, HEADS)
                    || other
                        .tail
                        .iter()
                        .any(|point| near(comet.head, *point, TOUCH))
            });
            crashed.extend(met.map(|(into, _)| (**who, **into)));
        }
        for (who, into) in crashed {
            events.push(Event::Crash(who, into));
            if let Some(other) = self.scene.comets.get_mut(&into) {
                other.score = other.score.saturating_add(BOUNTY);
            }
            let Some(comet) = self.scene.comets.get_mut(&who) else {
                continue;
            };
            let spilled = comet.score.div_ceil(2);
            comet.score -= spilled;
            let shattered = comet.clone();
            comet.put(comet.head);
            (comet.mode, comet.boost) = (Mode::Out, false);
            if let Some(pilot) = self.pilots.get_mut(&who) {
                pilot.wait = OUT;
            }
            self.spill(&shattered, spilled);
        }
    }

    /// Sparks along a tail that is no more.
    fn spill(&mut self, comet: &Comet, worth: u16) {
        let pieces = worth.min(SPILLED);
        for piece in 0..pieces {
            let share = worth / pieces + u16::from(piece < worth % pieces);
            let point = usize::from(piece) * comet.tail.len() / usize::from(pieces);
            let at = comet.tail.get(point).copied().unwrap_or(comet.head);
            let worth = u8::try_from(share).unwrap_or(u8::MAX);
            drop_spark(&mut self.scene.sparks, at, worth);
        }
    }

    /// The field never gets empty.
    fn sow(&mut self) {
        let big = self.scene.tick % BIG_EVERY == BIG_EVERY - 1;
        while self.scene.sparks.len() < FIELD {
            let at = self.somewhere();
            drop_spark(&mut self.scene.sparks, at, 1);
        }
        if big {
            let at = self.somewhere();
            drop_spark(&mut self.scene.sparks, at, BIG);
        }
    }

    /// Time passes for those who wait.
    fn pass(&mut self) {
        let waiting: Vec<_> = self
            .pilots
            .iter_mut()
            .filter(|(_, pilot)| pilot.wait > 0)
            .collect();
        let mut done = Vec::new();
        for (number, pilot) in waiting {
            pilot.wait -= 1;
            if pilot.wait == 0 {
                done.push(*number);
            }
        }
        for number in done {
            match self.scene.comets.get(&number).map(|comet| comet.mode) {
                Some(Mode::Out) => self.appear(number),
                Some(Mode::Shielded) => {
                    if let Some(comet) = self.scene.comets.get_mut(&number) {
                        comet.mode = Mode::Flying;
                    }
                }
                _ => {}
            }
        }
    }

    /// Puts one where there is most room.
    fn appear(&mut self, number: u8) {
        let places: Vec<_> = (0..8).map(|_| self.somewhere()).collect();
        let room = |at: &Place| {
            let heads = self
                .scene
                .comets
                .values()
                .map(|comet| distance(*at, comet.head));
            heads.min().unwrap_or_default()
        };
        let place = places.iter().copied().max_by_key(room).unwrap_or_default();
        let heading = towards(
            place,
            Place {
                x: WIDTH / 2,
                y: HEIGHT / 2,
            },
        );
        let (Some(comet), Some(pilot)) = (
            self.scene.comets.get_mut(&number),
            self.pilots.get_mut(&number),
        ) else {
            return;
        };
        comet.put(place);
        comet.mode = Mode::Shielded;
        (pilot.heading, pilot.aim, pilot.wait) = (heading, heading, SHIELD);
    }

    fn somewhere(&mut self) -> Place {
        let margin = 40 * 8;
        Place {
            x: margin + self.random.below(WIDTH - 2 * margin),
            y: margin + self.random.below(HEIGHT - 2 * margin),
        }
    }
}

/// A step on; the edge turns it round.
fn bounced(from: Place, pilot: &mut Pilot, speed: f32) -> Place {
    let (x, y) = ahead(from, pilot.heading, speed);
    let (right, down) = (i32::from(WIDTH) - EDGE, i32::from(HEIGHT) - EDGE);
    let back = |at: i32, most: i32| match at {
        at if at < EDGE => 2 * EDGE - at,
        at if at > most => 2 * most - at,
        at => at,
    };
    let (inside_x, inside_y) = (back(x, right), back(y, down));
    if inside_x != x {
        pilot.heading = 128u8.wrapping_sub(pilot.heading);
        pilot.aim = pilot.heading;
    }
    if inside_y != y {
        pilot.heading = 0u8.wrapping_sub(pilot.heading);
        pilot.aim = pilot.heading;
    }
    place(inside_x, inside_y)
}

/// Puts a spark there, where one more is bearable.
fn drop_spark(sparks: &mut BTreeMap<u8, Spark>, at: Place, worth: u8) {
    if sparks.len() < SPARKS {
        let free = (0..).find(|number| !sparks.contains_key(number));
        if let Some(number) = free {
            sparks.insert(number, Spark { at, worth });
        }
    }
}
