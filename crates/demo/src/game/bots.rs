//! Company for who plays alone: they fly to the nearest spark and out of the way, and
//! hunt nobody. With a few dozen sparks they are content, and just fly about.

use std::collections::BTreeMap;

use super::plane::{ahead, distance, towards};
use super::scene::{Comet, HEIGHT, Mode, Place, Scene, WIDTH};
use super::world::Pilot;

/// Comets that one can look up.
pub(super) const NAMES: [&str; 6] = ["Halley", "Encke", "Biela", "Swift", "Tuttle", "Olbers"];

/// Sparks with which a bot is content: it can be beaten.
pub(super) const ENOUGH: u16 = 40;

/// Ticks between two thoughts: people have reflexes no better.
const THINKS: u32 = 4;
/// How far ahead it looks, in eighths of a unit, and how close to a tail is too close.
const LOOKS: [f32; 4] = [25.0 * 8.0, 50.0 * 8.0, 80.0 * 8.0, 115.0 * 8.0];
const CLOSE: i32 = 26 * 8;
/// Ways round, by how much it turns: straight on first.
const WAYS: [i8; 9] = [0, 18, -18, 36, -36, 60, -60, 90, -90];

/// Says for all bots where they fly.
pub(super) fn steer(scene: &Scene, pilots: &mut BTreeMap<u8, Pilot>) {
    let turn = |number: u8| {
        scene
            .tick
            .wrapping_add(u32::from(number))
            .is_multiple_of(THINKS)
    };
    let bots = scene
        .comets
        .iter()
        .filter(|(n, comet)| comet.bot && turn(**n));
    for (number, comet) in bots {
        if let Some(pilot) = pilots.get_mut(number) {
            let wish = wish(scene, comet).map_or(pilot.heading, |at| towards(comet.head, at));
            let ways = WAYS.map(|way| wish.wrapping_add_signed(way));
            let free = |way: &u8| is_free(scene, *number, comet.head, *way);
            pilot.aim = ways.into_iter().find(free).unwrap_or(wish);
        }
    }
}

/// The spark that is the least trouble for what it is worth; none for who has enough.
fn wish(scene: &Scene, comet: &Comet) -> Option<Place> {
    if comet.score >= ENOUGH {
        return None;
    }
    let trouble = |at: Place, worth: u8| distance(comet.head, at) / i32::from(worth.clamp(1, 8));
    let sparks = scene.sparks.values();
    sparks
        .min_by_key(|spark| trouble(spark.at, spark.worth))
        .map(|spark| spark.at)
}

fn is_free(scene: &Scene, number: u8, from: Place, way: u8) -> bool {
    LOOKS.iter().all(|far| {
        let (x, y) = ahead(from, way, *far);
        let inside = |at: i32, most: u16| u16::try_from(at).ok().filter(|at| *at < most);
        let (Some(x), Some(y)) = (inside(x, WIDTH), inside(y, HEIGHT)) else {
            // The edge turns one round, that is all.
            return true;
        };
        let clear = |point: Place| distance(Place { x, y }, point) > CLOSE * CLOSE;
        let others = scene.comets.iter().filter(|(other, _)| **other != number);
        others
            .filter(|(_, other)| other.mode == Mode::Flying)
            .all(|(_, other)| clear(other.head) && other.tail.iter().copied().all(clear))
    })
}
