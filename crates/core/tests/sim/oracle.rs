//! The judge: a model of the promises written against the protocol's page alone.
//! It shares no code with core, knows strings and numbers only, and is told what
//! happened ([`Event`]) in the order in which it happened.
//!
//! A message may be missing from a stream only where the stream does not want it
//! (other channel, excluded), it lies below the start, a later value of its key
//! replaces it, a cut took it away, or a `$gap` told of it before. A `$gap` may
//! be told only where something is missing.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use crate::events::{At, Entry, Event, From, Heard, Keeps, Rx, Sub, Told};
use crate::members::{Held, Holds};
use crate::truth::{Truth, Verdict, hold};

pub struct Oracle {
    pub truth: Truth,
    volatile: HashMap<String, Entry>,
    streams: HashMap<String, Stream>,
    /// `$gap`s that only two channels in one forgotten bucket explain.
    pub collisions: Cell<u64>,
    /// Times that a later value of its key excused a missing message.
    pub conflated: Cell<u64>,
}

#[derive(Clone, Default)]
pub(crate) struct Stream {
    pub(crate) sub: Sub,
    pub(crate) members: Vec<Held>,
    /// There was a time when it held no channel.
    pub(crate) bare: bool,
    /// How far it has been served, and under which epoch.
    pub(crate) epoch: usize,
    pub(crate) pos: u64,
    pub(crate) open: bool,
    /// What the log held when it came.
    pub(crate) began: usize,
    /// One of these reasons must be told; none if the first is "?".
    pub(crate) owed: Vec<&'static str>,
    pub(crate) told: Vec<Notice>,
    /// By channel, through where; a cut below it is to be told.
    pub(crate) heard: HashMap<String, u64>,
    pub(crate) volatile: HashSet<String>,
    /// Below a start in history, by channel.
    pub(crate) below: HashSet<(At, String)>,
}

/// A `$gap` that was told.
#[derive(Clone)]
pub(crate) struct Notice {
    pub(crate) channel: String,
    pub(crate) epoch: usize,
    pub(crate) through: u64,
    /// What is held may be left out too: the stream goes on from now.
    pub(crate) anyway: bool,
}

impl Oracle {
    /// One that knows the rules, and the epoch that the store begins with.
    pub fn new(epoch: &str, rules: HashMap<String, Keeps>, exact: bool) -> Self {
        let truth = Truth::new(epoch, rules, exact);
        let (volatile, streams, collisions, conflated) = Default::default();
        Self {
            truth,
            volatile,
            streams,
            collisions,
            conflated,
        }
    }

    /// Judges one more thing that happened.
    pub fn observe(&mut self, event: Event) -> Verdict {
        match event {
            Event::Time(now) => self.truth.now = now,
            Event::Kept(entry) => self.truth.kept(entry)?,
            Event::Volatile(entry) => drop(self.volatile.insert(entry.body.clone(), entry)),
            Event::Cut(epoch, first) => self.truth.epochs.push((epoch, first)),
            Event::Lost(through) => self.truth.lose(through),
            Event::Published(scope, body, said) => self.truth.published(scope, &body, said)?,
            Event::Attach(sub) => drop(self.streams.insert(sub.conn.clone(), self.attach(sub))),
            Event::Join(conn, channels, at) => {
                self.with(conn, |oracle, stream| oracle.joined(stream, &channels, at))?;
            }
            Event::Leave(conn, channels, at) => {
                self.with(conn, |oracle, stream| oracle.left(stream, &channels, at))?;
            }
            Event::Rx(conn, rx) => self.with(conn.clone(), |oracle, stream| {
                let verdict = oracle.received(stream, &rx);
                verdict.map_err(|why| format!("{why}; {conn} got {rx:?}"))
            })?,
        }
        Ok(())
    }

    fn with(&mut self, conn: String, judge: impl Fn(&Self, &mut Stream) -> Verdict) -> Verdict {
        let mut stream = self.streams.remove(&conn).unwrap_or_default();
        judge(self, &mut stream)?;
        self.streams.insert(conn, stream);
        Ok(())
    }

    /// At rest: the listener must have been told of everything.
    pub fn settled(&mut self, conn: &str) -> Verdict {
        let (mut stream, now) = (self.streams[conn].clone(), self.truth.current());
        hold!(stream.open => "liveness: {conn} never opened");
        let verdict = self.serve(&mut stream, now, self.truth.top(now) + 1);
        verdict.map_err(|why| format!("liveness, at rest: {why}; {conn}"))
    }

    fn received(&self, stream: &mut Stream, rx: &Rx) -> Verdict {
        hold!(!stream.open || !matches!(rx, Rx::Ready(_)) => "$ready twice");
        // While the broker cannot be asked, a poll's own cursor is still good.
        let own = |at: &At| stream.sub.from == From::After(format!("{}-{}", at.0, at.1));
        if !stream.open && !stream.owed.is_empty() && matches!(rx, Rx::Answer(at) if own(at)) {
            return Ok(());
        }
        self.grow(stream, rx);
        if !stream.open && !matches!(rx, Rx::Gap(Told { id: None, .. }) | Rx::EndGap(_)) {
            self.opened(stream)?;
        }
        match rx {
            Rx::Ready(at) | Rx::Cursor(at) | Rx::Answer(at) => self.point(stream, at),
            Rx::Message(heard) => self.message(stream, heard),
            Rx::Gap(told) => self.gap(stream, told),
            Rx::EndGap(cursor) => self.ended(stream, cursor),
        }
    }

    /// Everything wanted before `end` has been served, or told, or need not be.
    pub(crate) fn serve(&self, stream: &mut Stream, epoch: usize, end: u64) -> Verdict {
        if epoch > stream.epoch {
            let first = self.truth.cut(stream.epoch, epoch);
            let untold = stream.heard.iter().find(|(_, heard)| **heard >= first);
            hold!(untold.is_none() => "P3: served {untold:?}, cut at {first}, not told");
            (stream.epoch, stream.pos) = (epoch, stream.pos.min(first - 1));
        }
        let between = |entry: &&Entry| stream.pos < entry.id.1 && entry.id.1 < end;
        for entry in self.truth.view(stream.epoch).filter(between) {
            hold!(self.excused(stream, entry) => "P3: {entry:?} is missing after {}", stream.pos);
        }
        Ok(())
    }

    fn excused(&self, stream: &Stream, entry: &Entry) -> bool {
        let of = self.truth.of(&entry.id);
        let Some(label) = self.labels(stream, entry).sure else {
            return true;
        };
        let told = |key: &String| {
            let covers = |told: &&Notice| told.channel == *key && told.epoch >= of;
            let mut told = stream.told.iter().filter(covers);
            told.any(|told| {
                told.through >= entry.id.1 && (told.anyway || !self.truth.held(entry, key))
            })
        };
        let below = |key: &String| stream.below.contains(&(entry.id.clone(), key.clone()));
        let held = |key: &&String| self.holds(stream, entry, key) == Holds::Yes;
        let mut own = entry.targets.iter().filter(held);
        // What is cut away by now is owed to nobody.
        let now = self.truth.current();
        if entry.id.1 >= self.truth.cut(of, now) || own.all(|key| below(key) || told(key)) {
            return true;
        }
        let later = |other: &&Entry| other.id.1 > entry.id.1 && other.key == entry.key;
        // A cut may have taken the later value since; whoever had it is told.
        let log = self.truth.log.iter().map(|(_, other)| other);
        let mut later = log.filter(later);
        let replaced = later.any(|other| self.labels(stream, other).may.contains(&label));
        let conflated = self.truth.keeps(label).conflate && entry.key.is_some() && replaced;
        self.conflated.update(|times| times + u64::from(conflated));
        conflated
    }

    /// A point that the client may come back with.
    fn point(&self, stream: &mut Stream, at: &At) -> Verdict {
        let Some(of) = self.truth.epoch(&at.0) else {
            return Err("of no epoch".into());
        };
        self.serve(stream, of, at.1 + 1)?;
        if self.bare_cut(stream, at) {
            stream.pos = at.1;
        }
        hold!(at.1 >= stream.pos => "P1: the cursor goes back behind {}", stream.pos);
        let known = at.1 <= self.truth.top(of) || stream.owed.contains(&"future");
        hold!(known => "the cursor is ahead of the top");
        stream.pos = at.1;
        Ok(())
    }

    fn message(&self, stream: &mut Stream, heard: &Heard) -> Verdict {
        let entry = match &heard.id {
            Some(id) => self
                .truth
                .log
                .iter()
                .map(|(_, entry)| entry)
                .rfind(|entry| entry.id == *id),
            None => self.volatile.get(&heard.body),
        };
        let Some(entry) = entry else {
            return Err("P1: invented".into());
        };
        let labels = self.labels(stream, entry).may;
        hold!(entry.body == heard.body => "the body is not that of {entry:?}");
        let ours = labels.contains(&&heard.channel);
        hold!(ours => "it is not for this stream, but for {labels:?}");
        let (of, seq) = (self.truth.of(&entry.id), entry.id.1);
        hold!(seq < self.truth.cut(of, stream.epoch) => "P1: cut away before this stream began");
        self.serve(stream, of, seq)?;
        if heard.id.is_none() {
            hold!(stream.volatile.insert(heard.body.clone()) => "P1: volatile twice");
            let late = stream.heard.values().any(|heard| *heard > seq);
            hold!(!late => "P1: volatile out of place");
            self.serve(stream, of, seq + 1)?;
            return heard.after.iter().try_for_each(|at| self.point(stream, at));
        }
        hold!(seq > stream.pos => "P1: out of order after {}", stream.pos);
        self.asked_for(stream, entry)?;
        stream.pos = seq;
        for target in &entry.targets {
            if self.holds(stream, entry, target) == Holds::Yes {
                stream.heard.insert(target.clone(), seq);
            }
        }
        Ok(())
    }
}
