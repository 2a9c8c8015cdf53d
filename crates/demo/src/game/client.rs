//! The other end of [`wire`](super::wire): for programs that play, and for tests.

use bytes::Bytes;

use super::scene::{Comet, Event, Mode, Place, Round, SPARKS, Scene, Spark, tail_length};
use super::wire::{Input, Malformed, NAME, NOBODY, part, section};

/// What the server says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output<'a> {
    /// All that there is, and milliseconds of a tick.
    Snapshot(Box<Scene>, u16),
    /// What is different since the tick before: see [`apply`].
    Delta {
        /// The tick.
        tick: u32,
        /// What [`apply`] takes.
        changes: &'a [u8],
    },
    /// This comet is yours.
    You(u8),
    /// The number that was asked for.
    Pong(u32),
    /// Nobody more can play.
    Full,
}

/// Writes what a client says.
pub fn write_input(input: &Input) -> Bytes {
    match input {
        Input::Play(name) => [&[1], name.as_bytes()].concat().into(),
        Input::Steer { aim, boost } => vec![2, *aim, u8::from(*boost)].into(),
        Input::Ping(number) => [&[3][..], &number.to_le_bytes()].concat().into(),
    }
}

/// Reads what the server sent: for programs that play, and for tests.
///
/// # Errors
/// Anything but one whole frame; of a difference [`apply`] says so.
pub fn output(frame: &[u8]) -> Result<Output<'_>, Malformed> {
    let mut from = Reader(frame);
    let output = match from.u8()? {
        1 => {
            let (scene, millis) = from.snapshot()?;
            Output::Snapshot(Box::new(scene), millis)
        }
        2 => {
            let tick = from.u32()?;
            let changes = std::mem::take(&mut from.0);
            Output::Delta { tick, changes }
        }
        3 => Output::You(from.u8()?),
        4 => Output::Pong(from.u32()?),
        5 => Output::Full,
        _ => return Err(Malformed),
    };
    from.end()?;
    Ok(output)
}

/// Puts the changes of a tick into the scene of the tick before, and tells what happened.
///
/// # Errors
/// Changes of another scene, or none at all. Some of them may have been made then: ask for
/// all that there is.
pub fn apply(scene: &mut Scene, tick: u32, changes: &[u8]) -> Result<Vec<Event>, Malformed> {
    let mut from = Reader(changes);
    if tick != scene.tick.wrapping_add(1) {
        return Err(Malformed);
    }
    scene.tick = tick;
    let mask = from.u8()?;
    if mask & section::ROUND != 0 {
        scene.round = from.round()?;
    }
    from.list(mask & section::GONE, |from| {
        scene.comets.remove(&from.u8()?).map(drop).ok_or(Malformed)
    })?;
    from.list(mask & section::COMETS, |from| {
        let number = from.u8()?;
        from.change(scene, number)
    })?;
    from.list(mask & section::TAKEN, |from| {
        scene.sparks.remove(&from.u8()?).map(drop).ok_or(Malformed)
    })?;
    from.list(mask & section::SPARKS, |from| {
        let (number, spark) = from.spark()?;
        scene.sparks.insert(number, spark);
        Ok(())
    })?;
    let mut events = Vec::new();
    from.list(mask & section::EVENTS, |from| {
        events.push(match [from.u8()?, from.u8()?, from.u8()?] {
            [1, who, into] => Event::Crash(who, into),
            [2, who, worth] => Event::Gathered(who, worth),
            _ => return Err(Malformed),
        });
        Ok(())
    })?;
    from.end()?;
    Ok(events)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn end(&self) -> Result<(), Malformed> {
        self.0.is_empty().then_some(()).ok_or(Malformed)
    }

    /// A list, unless its section is 0.
    fn list(
        &mut self,
        section: u8,
        mut read: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let length = if section == 0 { 0 } else { self.u8()? };
        (0..length).try_for_each(|_| read(self))
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            flag @ (0 | 1) => Ok(flag == 1),
            _ => Err(Malformed),
        }
    }

    fn round(&mut self) -> Result<Round, Malformed> {
        Ok(Round {
            pause: self.flag()?,
            until: self.u32()?,
            winner: Some(self.u8()?).filter(|winner| *winner != NOBODY),
        })
    }

    fn name(&mut self) -> Result<(bool, String), Malformed> {
        let bot = self.flag()?;
        let length = usize::from(self.u8()?);
        if length > NAME {
            return Err(Malformed);
        }
        let name = std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed)?;
        Ok((bot, name.to_owned()))
    }

    fn mode(&mut self) -> Result<(Mode, bool), Malformed> {
        let byte = self.u8()?;
        let mode = match byte & 3 {
            0 => Mode::Out,
            1 => Mode::Shielded,
            2 => Mode::Flying,
            _ => return Err(Malformed),
        };
        if byte > 7 {
            Err(Malformed)
        } else {
            Ok((mode, byte & 4 != 0))
        }
    }

    fn place(&mut self) -> Result<Place, Malformed> {
        Ok(Place {
            x: self.u16()?,
            y: self.u16()?,
        })
    }

    fn step(&mut self, from: Place) -> Result<Place, Malformed> {
        let [x, y] = self.array::<2>()?.map(|byte| i16::from(byte.cast_signed()));
        let sum = |from: u16, by| from.checked_add_signed(by).ok_or(Malformed);
        Ok(Place {
            x: sum(from.x, x)?,
            y: sum(from.y, y)?,
        })
    }

    fn spark(&mut self) -> Result<(u8, Spark), Malformed> {
        let number = self.u8()?;
        if usize::from(number) >= SPARKS {
            return Err(Malformed);
        }
        let worth = self.u8()?;
        let at = self.place()?;
        Ok((number, Spark { at, worth }))
    }

    fn change(&mut self, scene: &mut Scene, number: u8) -> Result<(), Malformed> {
        let mask = self.u8()?;
        if mask & part::NAME != 0 {
            let (bot, name) = self.name()?;
            let comet = scene
                .comets
                .entry(number)
                .or_insert_with(|| Comet::new(String::new(), bot));
            comet.name = name;
            comet.bot = bot;
        }
        let comet = scene.comets.get_mut(&number).ok_or(Malformed)?;
        if mask & part::PUT != 0 {
            comet.put(self.place()?);
        }
        if mask & part::MOVED != 0 {
            comet.move_to(self.step(comet.head)?);
        }
        if mask & part::MODE != 0 {
            (comet.mode, comet.boost) = self.mode()?;
        }
        if mask & part::SCORE != 0 {
            comet.score = self.u16()?;
        }
        if mask & part::WINS != 0 {
            comet.wins = self.u8()?;
        }
        comet.trim();
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(Scene, u16), Malformed> {
        let mut scene = Scene {
            tick: self.u32()?,
            ..Scene::default()
        };
        let millis = self.u16()?;
        scene.round = self.round()?;
        self.list(1, |from| {
            let number = from.u8()?;
            let (bot, name) = from.name()?;
            let mut comet = Comet::new(name, bot);
            (comet.mode, comet.boost) = from.mode()?;
            comet.score = from.u16()?;
            comet.wins = from.u8()?;
            comet.head = from.place()?;
            let length = usize::from(from.u8()?);
            if length > tail_length(comet.score) {
                return Err(Malformed);
            }
            let mut at = comet.head;
            for _ in 0..length {
                at = from.step(at)?;
                comet.tail.push_back(at);
            }
            scene.comets.insert(number, comet);
            Ok(())
        })?;
        self.list(1, |from| {
            let (number, spark) = from.spark()?;
            scene.sparks.insert(number, spark);
            Ok(())
        })?;
        Ok((scene, millis))
    }
}
