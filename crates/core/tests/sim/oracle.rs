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

use crate::events::{At, Entry, Event, From, Heard, Keeps, Rx, Sub, Told, namespace, read};
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
struct Stream {
    sub: Sub,
    /// How far it has been served, and under which epoch.
    epoch: usize,
    pos: u64,
    open: bool,
    /// One of these reasons must be told; none if the first is "?".
    owed: Vec<&'static str>,
    told: Vec<Notice>,
    /// By channel, through where; a cut below it is to be told.
    heard: HashMap<String, u64>,
    volatile: HashSet<String>,
    /// Below a start in history, by channel.
    below: HashSet<(At, String)>,
}

/// A `$gap` that was told.
#[derive(Clone)]
struct Notice {
    channel: String,
    epoch: usize,
    through: u64,
    /// What is held may be left out too: the stream goes on from now.
    anyway: bool,
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
            Event::Rx(conn, rx) => {
                let mut stream = self.streams.remove(&conn).unwrap_or_default();
                let verdict = self.received(&mut stream, &rx);
                verdict.map_err(|why| format!("{why}; {conn} got {rx:?}"))?;
                self.streams.insert(conn, stream);
            }
        }
        Ok(())
    }

    /// At rest: the listener must have been told of everything.
    pub fn settled(&mut self, conn: &str) -> Verdict {
        let (mut stream, now) = (self.streams[conn].clone(), self.truth.current());
        hold!(stream.open => "liveness: {conn} never opened");
        let verdict = self.serve(&mut stream, now, self.truth.top(now) + 1);
        verdict.map_err(|why| format!("liveness, at rest: {why}; {conn}"))
    }

    fn attach(&self, sub: Sub) -> Stream {
        let (epoch, pos) = (sub.cuts, sub.applied);
        let mut stream = Stream {
            epoch,
            pos,
            sub,
            ..Stream::default()
        };
        match stream.sub.from.clone() {
            From::Latest => {}
            From::Earliest | From::Rewind(_) | From::Newest(_) => stream.pos = 0,
            From::After(text) if text.is_empty() => stream.owed.push("empty"),
            From::After(text) => match read(&text) {
                None => stream.owed.push("malformed"),
                Some(at) => self.resolve(&mut stream, &at),
            },
        }
        stream
    }

    /// What a well-formed cursor is, by what is true now.
    fn resolve(&self, stream: &mut Stream, (epoch, seq): &At) {
        let (truth, now) = (&self.truth, self.truth.current());
        let (cuts, applied) = (stream.sub.cuts, stream.sub.applied);
        let (found, first) = (truth.epoch(epoch), |of: usize| truth.epochs[of].1);
        let known = found.filter(|of| truth.cut(*of, now) >= first(*of));
        // What the node knows by itself, it does not ask the broker.
        let own = |of: usize| of < cuts || of == cuts && *seq <= applied;
        let valid = |of: usize| own(of) && first(of) <= seq + 1 && *seq < truth.cut(of, cuts);
        (stream.owed, stream.epoch, stream.pos) = match known {
            _ if found.is_some_and(valid) => (vec![], found.unwrap_or(0), *seq),
            None => (vec!["epoch_unknown"], cuts, 0),
            Some(of) if seq + 1 < first(of) => (vec!["malformed"], cuts, applied),
            Some(of) if of == now && *seq > truth.top(now) => (vec!["future"], cuts, applied),
            Some(of) if *seq >= truth.cut(of, now) => (vec!["rewound"], of, *seq),
            Some(of) => (vec![], of, *seq),
        };
        if matches!(stream.owed[..], [] | ["rewound"]) {
            let heard = stream.sub.channels.iter().cloned();
            stream.heard = heard.map(|channel| (channel, applied.min(*seq))).collect();
        }
        // The node may not have heard of the newest epoch yet.
        if cuts < now {
            stream.owed.insert(0, "?");
        }
    }

    fn received(&self, stream: &mut Stream, rx: &Rx) -> Verdict {
        hold!(!stream.open || !matches!(rx, Rx::Ready(_)) => "$ready twice");
        // While the broker cannot be asked, a poll's own cursor is still good.
        let own = |at: &At| stream.sub.from == From::After(format!("{}-{}", at.0, at.1));
        if !stream.open && !stream.owed.is_empty() && matches!(rx, Rx::Answer(at) if own(at)) {
            return Ok(());
        }
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

    /// The end of the opening block: what had to be told has been.
    fn opened(&self, stream: &mut Stream) -> Verdict {
        stream.open = true;
        let told = |channel: &String| stream.told.iter().any(|told| told.channel == *channel);
        let told = stream.sub.channels.iter().all(told);
        // By now there may be what the cursor was ahead of.
        let ahead = match &stream.sub.from {
            From::After(text) if stream.owed.contains(&"future") && !told => read(text),
            _ => None,
        };
        let there = |at: &At| self.truth.log.iter().any(|(_, entry)| entry.id == *at);
        let grown = ahead.filter(there);
        let excused = stream.owed.is_empty() || stream.owed[0] == "?" || grown.is_some();
        hold!(told || excused => "P3: {:?} not told", stream.owed);
        let unknown = stream.owed.contains(&"epoch_unknown");
        if unknown || !matches!(stream.sub.from, From::Latest | From::After(_)) {
            // The node may not have heard of the newest epochs yet.
            for epoch in stream.epoch.min(stream.sub.cuts)..=self.truth.current() {
                self.truth
                    .view(epoch)
                    .for_each(|entry| self.start(stream, epoch, entry));
            }
        }
        if let Some(at) = grown {
            (stream.pos, stream.epoch) = (at.1, self.truth.of(&at));
        }
        Ok(())
    }

    /// Notes in which channels a message lies below a start in history.
    fn start(&self, stream: &mut Stream, epoch: usize, entry: &Entry) {
        let Sub { channels, from, .. } = &stream.sub;
        for own in entry.targets.iter().filter(|key| channels.contains(key)) {
            let newer = |counts: &dyn Fn(&String) -> bool| {
                let newer = self
                    .truth
                    .view(epoch)
                    .filter(|other| other.id.1 > entry.id.1);
                newer
                    .filter(|other| other.targets.iter().any(counts))
                    .count()
            };
            let outside = match from {
                From::Rewind(n) => newer(&|key| key == own) >= *n,
                From::Newest(n) => newer(&|key| channels.contains(key)) >= *n,
                _ => false,
            };
            if outside || !self.truth.held(entry, own) {
                stream.below.insert((entry.id.clone(), own.clone()));
            }
        }
    }

    /// Everything wanted before `end` has been served, or told, or need not be.
    fn serve(&self, stream: &mut Stream, epoch: usize, end: u64) -> Verdict {
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
        let (Sub { channels, conn, .. }, of) = (&stream.sub, self.truth.of(&entry.id));
        let Some(label) = entry.label(channels, conn) else {
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
        let mut own = entry.targets.iter().filter(|key| channels.contains(key));
        // What is cut away by now is owed to nobody.
        let now = self.truth.current();
        if entry.id.1 >= self.truth.cut(of, now) || own.all(|key| below(key) || told(key)) {
            return true;
        }
        let later = |other: &&Entry| other.id.1 > entry.id.1 && other.key == entry.key;
        let mut later = self.truth.view(now).filter(later);
        let replaced = later.any(|other| other.label(channels, conn) == Some(label));
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
        let label = entry.label(&stream.sub.channels, &stream.sub.conn);
        hold!(entry.body == heard.body => "the body is not that of {entry:?}");
        hold!(label == Some(&heard.channel) => "it is not for this stream, but for {label:?}");
        let (of, seq) = (self.truth.of(&entry.id), entry.id.1);
        hold!(seq < self.truth.cut(of, stream.epoch) => "P1: cut away before this stream began");
        self.serve(stream, of, seq)?;
        if heard.id.is_none() {
            hold!(stream.volatile.insert(heard.body.clone()) => "P1: volatile twice");
            let late = stream.heard.values().any(|heard| *heard > seq);
            hold!(!late => "P1: volatile out of place");
            return self.serve(stream, of, seq + 1);
        }
        hold!(seq > stream.pos => "P1: out of order after {}", stream.pos);
        stream.pos = seq;
        for target in entry
            .targets
            .iter()
            .filter(|target| stream.sub.channels.contains(target))
        {
            stream.heard.insert(target.clone(), seq);
        }
        Ok(())
    }

    fn gap(&self, stream: &mut Stream, gap: &Told) -> Verdict {
        hold!(stream.sub.channels.contains(&gap.channel) => "P3: a $gap in another's channel");
        hold!(stream.open == gap.id.is_some() => "P3: a $gap has an id exactly in mid-stream");
        let through = gap.lost.as_ref().unwrap_or(&gap.cursor).1;
        let reason = gap.reason.as_str();
        // A cut that the node had not heard of changes what a cursor is.
        let since = !stream.open && self.truth.current() > stream.sub.cuts;
        let owed = since || stream.owed.contains(&reason);
        let anyway = matches!(reason, "malformed" | "empty" | "future");
        let mut notice = Notice {
            channel: gap.channel.clone(),
            epoch: self.truth.of(&gap.cursor),
            through: through.max(gap.cursor.1),
            anyway,
        };
        if let Some(id) = gap.id.as_ref().filter(|_| reason != "rewound") {
            self.serve(stream, self.truth.of(id), 0)?;
            let behind = stream.heard.values().all(|heard| *heard <= id.1);
            hold!(behind => "P1: the gap's id goes back behind what was served");
            self.serve(stream, self.truth.of(id), id.1 + 1)?;
        }
        match reason {
            "rewound" => {
                hold!(owed || self.rewinds(stream) => "P3: rewound without a cut");
                // A cursor that the cut made what it is goes on where the cut says.
                let made = |owed: &&str| matches!(*owed, "future" | "epoch_unknown");
                let made = !stream.open && stream.owed.iter().any(made);
                stream.pos = if made {
                    gap.cursor.1
                } else {
                    stream.pos.min(gap.cursor.1)
                };
                stream.heard.remove(&gap.channel);
                notice.through = 0;
            }
            "trimmed" | "history_off" | "lost" => {
                let cause = self.cause(stream, &gap.channel, through);
                hold!(cause => "P3: a $gap without cause");
            }
            _ => hold!(owed && !stream.open => "P3: {reason} where {:?}", stream.owed),
        }
        if reason == "epoch_unknown" {
            (stream.pos, stream.owed) = (0, vec!["epoch_unknown"]);
            stream.heard.clear();
        }
        if anyway {
            stream.pos = stream.pos.min(gap.cursor.1);
        }
        stream.told.push(notice);
        Ok(())
    }

    /// Whether a cut took away, since it came, what the stream may have been served.
    fn rewinds(&self, stream: &Stream) -> bool {
        let cut = |of: usize, until| self.truth.cut(of, until);
        let (then, now) = (stream.sub.cuts, self.truth.current());
        let taken = |of, seq| cut(of, now) <= seq && seq < cut(of, then);
        self.truth
            .log
            .iter()
            .any(|(of, entry)| taken(*of, entry.id.1))
    }

    /// Whether something of `channel` is gone that the stream had not had.
    fn cause(&self, stream: &Stream, channel: &str, through: u64) -> bool {
        let mut log = self.truth.log.iter().map(|(_, entry)| entry);
        let at_cut = self.truth.epochs[1..]
            .iter()
            .any(|(_, first)| *first == through + 1);
        // Without history, a namespace has one account of what is gone.
        let off = self.truth.keeps(channel).messages == 0;
        let concerns = |key: &String| key == channel || off && namespace(key) == namespace(channel);
        let gone = |entry: &Entry| {
            // A loss that a cut went below is known up to the cut alone.
            let lowered = at_cut && entry.id.1 > through;
            let missed = lowered || stream.pos < entry.id.1 && entry.id.1 <= through;
            missed && entry.targets.iter().any(concerns) && !self.truth.held(entry, channel)
        };
        if self.truth.lost > stream.pos || log.any(gone) {
            return true;
        }
        let bucket = !self.truth.exact
            && self
                .truth
                .view(self.truth.current())
                .any(|entry| entry.id.1 == through);
        self.collisions.update(|times| times + u64::from(bucket));
        bucket
    }

    /// A form without gaps ended for one: nothing that is held may be left out.
    fn ended(&self, stream: &mut Stream, cursor: &At) -> Verdict {
        let (anyway, epoch) = (!stream.owed.is_empty(), self.truth.of(cursor));
        let mut cause = anyway || self.rewinds(stream);
        for channel in stream.sub.channels.clone() {
            cause |= self.cause(stream, &channel, cursor.1);
            stream.told.push(Notice {
                channel,
                epoch,
                through: cursor.1,
                anyway,
            });
        }
        hold!(cause => "P3: ended for a gap without cause");
        self.serve(stream, stream.epoch, cursor.1 + 1)
    }
}
