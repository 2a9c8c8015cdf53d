//! Which channels a stream holds, and since when: by what it asked for when it
//! came, and by what it joined and left since.
//!
//! What was published between is owed. Of a channel that was left, what stood in
//! the outbox goes out and what was still to be read does not: what came before
//! the leave may be heard, or not.

use crate::events::{At, Entry, Sub};
use crate::oracle::{Oracle, Stream};
use crate::truth::Verdict;

/// What a node had handed out: how many cuts, and through where.
pub(crate) type Place = (usize, u64);

/// A channel held for a while.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) channel: String,
    /// None: as far back as the stream starts.
    from: Option<Place>,
    /// It was joined in an earlier connection.
    earlier: bool,
    until: Option<Place>,
}

/// Whether a stream holds a channel at a message's place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Holds {
    No,
    Maybe,
    Yes,
}

/// The channels under which a message may come; and whether it must.
pub(crate) struct Labels<'a> {
    pub(crate) may: Vec<&'a String>,
    pub(crate) sure: Option<&'a String>,
}

impl Held {
    /// Held since the stream began, and now.
    pub(crate) fn throughout(&self) -> bool {
        (self.from.is_none() || self.earlier) && self.until.is_none()
    }
}

impl Oracle {
    pub(crate) fn held(&self, sub: &Sub) -> Vec<Held> {
        let since = |number: usize| sub.since.get(number).and_then(Option::as_ref);
        let held = |(number, channel): (usize, &String)| Held {
            channel: channel.clone(),
            from: since(number).map(|at: &At| (self.truth.of(at), at.1)),
            earlier: since(number).is_some(),
            until: None,
        };
        sub.channels.iter().enumerate().map(held).collect()
    }

    pub(crate) fn joined(&self, stream: &mut Stream, channels: &[String], at: Place) -> Verdict {
        for channel in channels {
            let mut own = stream.members.iter();
            if !own.any(|held| held.channel == *channel && held.until.is_none()) {
                stream.members.push(Held {
                    channel: channel.clone(),
                    from: Some(at),
                    earlier: false,
                    until: None,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn left(&self, stream: &mut Stream, channels: &[String], at: Place) -> Verdict {
        for held in &mut stream.members {
            if channels.contains(&held.channel) {
                held.until = held.until.or(Some(at));
                // A cut that comes later is no longer told there.
                stream.heard.remove(&held.channel);
            }
        }
        stream.bare |= stream.members.iter().all(|held| held.until.is_some());
        Ok(())
    }

    /// Whether a message comes by the feed after a place. What a cut had taken away
    /// by then came before, or never.
    fn past(&self, of: usize, seq: u64, (cuts, through): Place) -> bool {
        of > cuts || seq > through && seq < self.truth.cut(of, cuts)
    }

    /// Whether a cut set the stream back there while it held no channel in which it
    /// could have been told.
    pub(crate) fn bare_cut(&self, stream: &Stream, at: &At) -> bool {
        let mut cuts = self.truth.epochs[1..].iter();
        let unheard = stream.heard.values().all(|heard| *heard <= at.1);
        stream.bare && unheard && cuts.any(|(_, first)| *first == at.1 + 1)
    }

    /// Whether `channel` is held where `entry` stands. A volatile message stands
    /// somewhere after its place.
    pub(crate) fn holds(&self, stream: &Stream, entry: &Entry, channel: &str) -> Holds {
        let (of, seq) = (self.truth.of(&entry.id), entry.id.1);
        let of_one = |held: &Held| {
            if held.until.is_some_and(|until| self.past(of, seq, until)) {
                return Holds::No;
            }
            match held.from {
                Some(from) if !self.past(of, seq, from) => {
                    // An epoch that a cut went below is forgotten, and the place with it.
                    let (epochs, now) = (&self.truth.epochs, self.truth.current());
                    let forgotten = held.earlier && self.truth.cut(from.0, now) < epochs[from.0].1;
                    let beside = entry.volatile && seq == from.1;
                    match forgotten || beside {
                        true => Holds::Maybe,
                        false => Holds::No,
                    }
                }
                _ if held.until.is_some() => Holds::Maybe,
                _ => Holds::Yes,
            }
        };
        let own = stream.members.iter().filter(|held| held.channel == channel);
        own.map(of_one).max().unwrap_or(Holds::No)
    }

    /// Whether `channel` was held at some time when `entry` could be told as lost. The
    /// log may know of losses before the feed brings what is lost.
    pub(crate) fn lost_to(&self, stream: &Stream, entry: &Entry, channel: &str) -> bool {
        let (of, seq) = (self.truth.of(&entry.id), entry.id.1);
        let mut own = stream.members.iter().filter(|held| held.channel == channel);
        own.any(|held| held.from.is_none_or(|from| self.past(of, seq, from)))
            || self.holds(stream, entry, channel) != Holds::No
    }

    /// The first of its targets that the stream holds, unless its connection or a
    /// channel of its own is excluded.
    pub(crate) fn labels<'a>(&self, stream: &Stream, entry: &'a Entry) -> Labels<'a> {
        let socket = format!("@socket/{}", stream.sub.conn);
        let excluded = entry.except.iter().map(|key| match key.ends_with(&socket) {
            true => Holds::Yes,
            false => self.holds(stream, entry, key),
        });
        let excluded = excluded.max().unwrap_or(Holds::No);
        let mut labels = Labels {
            may: Vec::new(),
            sure: None,
        };
        if excluded == Holds::Yes {
            return labels;
        }
        for target in &entry.targets {
            let holds = self.holds(stream, entry, target);
            if holds != Holds::No {
                labels.may.push(target);
            }
            if holds == Holds::Yes {
                labels.sure = Some(target).filter(|_| excluded == Holds::No);
                break;
            }
        }
        labels
    }
}
