//! Places and directions.

use super::scene::{HEIGHT, Place, WIDTH};

/// What lies so far ahead, in the arena or out of it.
pub(super) fn ahead(from: Place, heading: u8, far: f32) -> (i32, i32) {
    let angle = f32::from(heading) * std::f32::consts::TAU / 256.0;
    let step = |by: f32| (by * far).round() as i32;
    (
        i32::from(from.x) + step(angle.cos()),
        i32::from(from.y) + step(angle.sin()),
    )
}

/// The direction from one place to another.
pub(super) fn towards(from: Place, to: Place) -> u8 {
    let by = |from: u16, to: u16| f32::from(to) - f32::from(from);
    let angle = by(from.y, to.y).atan2(by(from.x, to.x));
    ((angle * 256.0 / std::f32::consts::TAU).round() as i32).rem_euclid(256) as u8
}

/// The nearest place inside.
pub(super) fn place(x: i32, y: i32) -> Place {
    let within = |at: i32, most: u16| u16::try_from(at.max(0)).map_or(most, |at| at.min(most));
    Place {
        x: within(x, WIDTH),
        y: within(y, HEIGHT),
    }
}

/// Squared.
pub(super) fn distance(a: Place, b: Place) -> i32 {
    let (x, y) = (
        i32::from(a.x) - i32::from(b.x),
        i32::from(a.y) - i32::from(b.y),
    );
    x * x + y * y
}

pub(super) fn near(a: Place, b: Place, far: i32) -> bool {
    distance(a, b) < far * far
}
