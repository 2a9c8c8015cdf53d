//! The judge: a model of the promises written against the protocol's page alone.
//! It shares no code with core, knows strings and numbers only, and is told what
//! happened ([`Event`]) in the order in which it happened.
//!
//! A message may be missing from a stream only where the stream does not want it
//! (other channel, excluded), it lies below the start, a later value of its key
//! replaces it, or a `$gap` told of it before. A `$gap` may be told only where
//! something is missing.

use std::collections::{HashMap, HashSet};

use crate::events::{At, Entry, Event, From, Heard, Keeps, Rx, Said, Sub, Told, namespace, read};

type Verdict = Result<(), String>;

/// A promise: broken unless it holds.
macro_rules! hold {
    ($holds:expr, $($why:tt)+) => { if !$holds { return Err(format!($($why)+)); } };
}

/// Everything known. Epochs are counted in the order in which they began.
#[derive(Default)]
pub struct Oracle {
    rules: HashMap<String, Keeps>,
    /// False where the node's own caps remove messages before their time.
    exact: bool,
    /// `$gap`s that only two channels in one forgotten bucket explain.
    pub collisions: usize,
    /// Times that a later value of its key excused a missing message.
    pub conflated: std::cell::Cell<u64>,
    epochs: Vec<(String, u64)>,
    log: Vec<(usize, Entry)>,
    volatile: HashMap<String, Entry>,
    never: HashSet<String>,
    scopes: HashMap<String, (String, At)>,
    streams: HashMap<String, Stream>,
    lost: u64,
    now: u64,
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
    /// Channel, epoch, through where, and whether what is held may be left out too.
    told: Vec<(String, usize, u64, bool)>,
    heard: HashMap<String, u64>,
    volatile: HashSet<String>,
    /// Below a start in history, by channel.
    below: HashSet<(At, String)>,
}

impl Oracle {
    /// One that knows the rules, and the epoch that the store begins with.
    pub fn new(epoch: &str, rules: HashMap<String, Keeps>, exact: bool) -> Self {
        let epochs = vec![(epoch.to_owned(), 1)];
        Self {
            rules,
            exact,
            epochs,
            ..Self::default()
        }
    }

    /// Judges one more thing that happened.
    pub fn observe(&mut self, event: Event) -> Verdict {
        match event {
            Event::Time(now) => self.now = now,
            Event::Kept(entry) => return self.kept(entry),
            Event::Volatile(entry) => drop(self.volatile.insert(entry.body.clone(), entry)),
            Event::Cut(epoch, first) => self.epochs.push((epoch, first)),
            Event::Lost(through) => {
                self.lost = self.lost.max(through);
                let gone = self
                    .log
                    .iter_mut()
                    .filter(|(_, entry)| entry.id.1 <= through);
                gone.for_each(|(_, entry)| entry.gone = true);
            }
            Event::Attach(sub) => self.attach(sub),
            Event::Published(scope, body, said) => return self.published(scope, &body, said),
            Event::Rx(conn, rx) => {
                let mut stream = self.streams.remove(&conn).unwrap_or_default();
                let verdict = self.received(&mut stream, &rx);
                verdict.map_err(|why| format!("{why}; {conn} got {rx:?}"))?;
                self.streams.insert(conn, stream);
            }
        }
        Ok(())
    }

    /// The current epoch.
    pub fn current(&self) -> &str {
        self.epochs.last().map_or("", |(epoch, _)| epoch)
    }

    /// At rest: the listener must have been told of everything.
    pub fn settled(&mut self, conn: &str) -> Verdict {
        let mut stream = self.streams[conn].clone();
        hold!(stream.open, "liveness: {conn} never opened");
        let verdict = self.serve(&mut stream, self.epochs.len() - 1, self.top() + 1);
        verdict.map_err(|why| format!("liveness, at rest: {why}; {conn}"))
    }

    /// The newest seq there is.
    pub fn top(&self) -> u64 {
        self.top_of(self.epochs.len() - 1)
    }

    fn top_of(&self, epoch: usize) -> u64 {
        let newest = self.view(epoch).map(|entry| entry.id.1).max();
        newest.unwrap_or(0).max(self.epochs[epoch].1 - 1)
    }

    /// The log as it was under an epoch, without what cuts had taken away by then.
    fn view(&self, epoch: usize) -> impl Iterator<Item = &Entry> {
        let held = move |of: usize, seq| of <= epoch && seq < self.cut(of, epoch);
        let held = self
            .log
            .iter()
            .filter(move |(of, entry)| held(*of, entry.id.1));
        held.map(|(_, entry)| entry)
    }

    /// The first seq that cuts took away between two epochs.
    fn cut(&self, of: usize, epoch: usize) -> u64 {
        let firsts = self.epochs.get(of + 1..=epoch).unwrap_or_default();
        firsts
            .iter()
            .map(|(_, first)| *first)
            .min()
            .unwrap_or(u64::MAX)
    }

    fn epoch(&self, name: &str) -> Option<usize> {
        self.epochs.iter().position(|(known, _)| known == name)
    }

    /// Whether history still owes a message, by what the namespace promises.
    fn held(&self, entry: &Entry, channel: &str) -> bool {
        let Some(keeps) = self.rules.get(namespace(channel)) else {
            return false;
        };
        let to = |other: &&Entry| {
            other.id.1 > entry.id.1 && other.targets.iter().any(|key| key == channel)
        };
        let newer = || {
            let log = self.log.iter().map(|(_, other)| other);
            log.filter(to).map(|other| other.cost)
        };
        let young = self.now < entry.at + keeps.ttl && !entry.gone;
        self.exact
            && young
            && newer().count() < keeps.messages
            && newer().sum::<usize>() + entry.cost <= keeps.bytes
    }

    fn kept(&mut self, entry: Entry) -> Verdict {
        let (now, at) = (self.epochs.len() - 1, &entry.id);
        hold!(self.epochs[now].0 == at.0, "{at:?} under a past epoch");
        hold!(at.1 > self.top(), "one numbering: {at:?} was in use");
        hold!(
            !self.never.contains(&entry.body),
            "P4: {at:?} was refused, yet kept"
        );
        hold!(
            !self.view(now).any(|twin| twin.body == entry.body),
            "P4: {at:?} is there twice"
        );
        self.log.push((now, entry));
        Ok(())
    }

    fn published(&mut self, scope: Option<String>, body: &str, said: Said) -> Verdict {
        let Said::Kept { id, duplicate } = said else {
            hold!(
                !self.log.iter().any(|(_, entry)| entry.body == body),
                "P4: refused, yet kept"
            );
            self.never.insert(body.to_owned());
            return Ok(());
        };
        let known = self
            .log
            .iter()
            .any(|(_, entry)| entry.id == id && entry.body == body);
        hold!(known, "P4: the ack {id:?} names another message");
        hold!(
            !duplicate || scope.is_some(),
            "P4: a duplicate without a key"
        );
        let before =
            scope.and_then(|scope| self.scopes.insert(scope, (body.to_owned(), id.clone())));
        if let Some((first, earlier)) = before.filter(|before| before.1 != id) {
            let cut = self.cut(self.epoch(&earlier.0).unwrap_or(0), self.epochs.len() - 1);
            hold!(
                earlier.1 >= cut,
                "P4: one key for {first} {earlier:?} and {id:?}"
            );
        }
        Ok(())
    }

    fn attach(&mut self, sub: Sub) {
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
            From::After(text) if text.is_empty() => stream.owed = vec!["empty"],
            From::After(text) => match read(&text) {
                None => stream.owed = vec!["malformed"],
                Some(at) => self.resolve(&mut stream, &at),
            },
        }
        self.streams.insert(stream.sub.conn.clone(), stream);
    }

    fn resolve(&self, stream: &mut Stream, (epoch, seq): &At) {
        let now = self.epochs.len() - 1;
        let known = self
            .epoch(epoch)
            .filter(|of| self.cut(*of, now) >= self.epochs[*of].1);
        if let Some(of) = known {
            let (cut, served) = (self.cut(of, now), stream.sub.applied.min(*seq));
            (stream.epoch, stream.pos) = (of, *seq);
            match self.epochs[of].1 {
                first if seq + 1 < first => stream.owed = vec!["malformed"],
                _ if of == now && *seq > self.top() => stream.owed = vec!["future"],
                _ if *seq >= cut => stream.owed = vec!["rewound"],
                _ => {}
            }
            if matches!(stream.owed[..], ["malformed" | "future"]) {
                (stream.epoch, stream.pos) = (stream.sub.cuts, stream.sub.applied);
            } else {
                let heard = stream
                    .sub
                    .channels
                    .iter()
                    .map(|channel| (channel.clone(), served));
                stream.heard = heard.collect();
            }
        } else {
            (stream.owed, stream.pos) = (vec!["epoch_unknown"], 0);
        }
        // The node may not have heard of the newest epoch yet.
        if stream.sub.cuts < now {
            stream.owed.insert(0, "?");
        }
    }

    fn received(&mut self, stream: &mut Stream, rx: &Rx) -> Verdict {
        hold!(!stream.open || !matches!(rx, Rx::Ready(_)), "$ready twice");
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
    fn opened(&mut self, stream: &mut Stream) -> Verdict {
        stream.open = true;
        let Stream { sub, told, .. } = &*stream;
        let told = |channel: &String| told.iter().any(|told| told.0 == *channel);
        let told = sub.channels.iter().all(told);
        // By now there may be what the cursor was ahead of.
        let ahead = match &sub.from {
            From::After(text) if stream.owed.contains(&"future") => read(text),
            _ => None,
        };
        let there = |at: &At| self.log.iter().any(|(_, entry)| entry.id == *at);
        let grown = ahead.filter(|at| !told && there(at));
        let excused = stream.owed.first().is_none_or(|first| *first == "?") || grown.is_some();
        hold!(told || excused, "P3: {:?} not told", stream.owed);
        let unknown = stream.owed.contains(&"epoch_unknown");
        let history = unknown || !matches!(sub.from, From::Latest | From::After(_));
        let mut below = HashSet::new();
        // The node may not have heard of the newest epochs yet.
        for epoch in stream.epoch.min(stream.sub.cuts)..self.epochs.len() {
            for entry in self.view(epoch).filter(|_| history) {
                for own in entry
                    .targets
                    .iter()
                    .filter(|key| sub.channels.contains(key))
                {
                    let counts = |key: &String| match sub.from {
                        From::Newest(_) => sub.channels.contains(key),
                        _ => key == own,
                    };
                    let newer = self.view(epoch).filter(|other| other.id.1 > entry.id.1);
                    let newer = newer
                        .filter(|other| other.targets.iter().any(counts))
                        .count();
                    let outside = match sub.from {
                        From::Rewind(n) | From::Newest(n) => newer >= n,
                        _ => false,
                    };
                    if outside || !self.held(entry, own) {
                        below.insert((entry.id.clone(), own.clone()));
                    }
                }
            }
        }
        if let Some((epoch, seq)) = grown {
            (stream.pos, stream.epoch) = (seq, self.epoch(&epoch).unwrap_or(0));
        }
        stream.below = below;
        Ok(())
    }

    /// Everything wanted before `end` has been served, or told, or need not be.
    fn serve(&self, stream: &mut Stream, epoch: usize, end: u64) -> Verdict {
        if epoch > stream.epoch {
            let first = self.cut(stream.epoch, epoch);
            let untold = stream.heard.iter().find(|(_, heard)| **heard >= first);
            hold!(
                untold.is_none(),
                "P3: served {untold:?}, cut at {first}, not told"
            );
            (stream.epoch, stream.pos) = (epoch, stream.pos.min(first - 1));
        }
        let between = |entry: &&Entry| stream.pos < entry.id.1 && entry.id.1 < end;
        for entry in self.view(stream.epoch).filter(between) {
            let excused = self.excused(stream, entry);
            hold!(excused, "P3: {entry:?} is missing after {}", stream.pos);
        }
        Ok(())
    }

    fn excused(&self, stream: &Stream, entry: &Entry) -> bool {
        let Sub { channels, conn, .. } = &stream.sub;
        let Some(label) = entry.label(channels, conn) else {
            return true;
        };
        let of = self.epoch(&entry.id.0);
        // What is cut away by now is owed to nobody.
        let cut = self.cut(of.unwrap_or(0), self.epochs.len() - 1);
        let told = |key: &String| {
            let covers = |epoch, through| Some(epoch) >= of && through >= entry.id.1;
            let told = |(channel, epoch, through, anyway): &(String, usize, u64, bool)| {
                let covers = channel == key && covers(*epoch, *through);
                covers && (*anyway || !self.held(entry, key))
            };
            let below = stream.below.contains(&(entry.id.clone(), key.clone()));
            below || stream.told.iter().any(told)
        };
        let conflates = self
            .rules
            .get(namespace(label))
            .is_some_and(|keeps| keeps.conflate);
        let replaces = |other: &Entry| {
            let later = other.id.1 > entry.id.1 && other.key == entry.key;
            later && other.label(channels, conn) == Some(label)
        };
        let told = entry
            .targets
            .iter()
            .filter(|key| channels.contains(key))
            .all(told);
        if entry.id.1 >= cut || told {
            return true;
        }
        let newer = || self.view(self.epochs.len() - 1).any(replaces);
        let conflated = conflates && entry.key.is_some() && newer();
        self.conflated
            .set(self.conflated.get() + u64::from(conflated));
        conflated
    }

    /// A point that the client may come back with.
    fn point(&mut self, stream: &mut Stream, at: &At) -> Verdict {
        let Some(of) = self.epoch(&at.0) else {
            return Err("a cursor of no epoch".into());
        };
        self.serve(stream, of, at.1 + 1)?;
        hold!(
            at.1 >= stream.pos,
            "P1: the cursor goes back behind {}",
            stream.pos
        );
        let top = self.top_of(of);
        hold!(
            at.1 <= top || stream.owed.contains(&"future"),
            "the cursor is ahead of {top}"
        );
        stream.pos = at.1;
        Ok(())
    }

    fn message(&mut self, stream: &mut Stream, heard: &Heard) -> Verdict {
        let found = |(_, entry): &&(usize, Entry)| Some(&entry.id) == heard.id.as_ref();
        let kept = self.log.iter().rfind(found).map(|(_, entry)| entry);
        let entry = kept.or(self
            .volatile
            .get(&heard.body)
            .filter(|_| heard.id.is_none()));
        let Some(entry) = entry else {
            return Err("P1: invented".into());
        };
        let label = entry.label(&stream.sub.channels, &stream.sub.conn);
        hold!(
            entry.body == heard.body,
            "the body is not that of {entry:?}"
        );
        hold!(
            label == Some(&heard.channel),
            "it is not for this stream, but for {label:?}"
        );
        let (of, seq) = (self.epoch(&entry.id.0).unwrap_or(0), entry.id.1);
        let cut = self.cut(of, stream.epoch);
        hold!(seq < cut, "P1: cut away at {cut} before this stream began");
        self.serve(stream, of, seq)?;
        if heard.id.is_none() {
            hold!(
                stream.volatile.insert(heard.body.clone()),
                "P1: volatile twice"
            );
            hold!(
                stream.heard.values().all(|heard| *heard <= seq),
                "P1: volatile out of place"
            );
            return self.serve(stream, of, seq + 1);
        }
        hold!(seq > stream.pos, "P1: out of order after {}", stream.pos);
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

    fn gap(&mut self, stream: &mut Stream, gap: &Told) -> Verdict {
        hold!(
            stream.sub.channels.contains(&gap.channel),
            "P3: a $gap in another's channel"
        );
        hold!(
            stream.open == gap.id.is_some(),
            "P3: a $gap has an id exactly in mid-stream"
        );
        let through = gap.lost.as_ref().map_or(gap.cursor.1, |lost| lost.1);
        let reason = gap.reason.as_str();
        // A cut that the node had not heard of changes what a cursor is.
        let since = !stream.open && self.epochs.len() > stream.sub.cuts + 1;
        let owed = since || stream.owed.contains(&reason);
        if reason == "rewound" {
            hold!(owed || self.rewinds(stream), "P3: rewound without a cut");
            // A cursor that the cut made what it is.
            let cut = |owed: &&str| matches!(*owed, "future" | "epoch_unknown");
            let ahead = !stream.open && stream.owed.iter().any(cut);
            stream.pos = if ahead {
                gap.cursor.1
            } else {
                stream.pos.min(gap.cursor.1)
            };
            stream.heard.remove(&gap.channel);
            stream.told.push((gap.channel.clone(), 0, 0, false));
            return Ok(());
        }
        if let Some(id) = &gap.id {
            self.serve(stream, self.epoch(&id.0).unwrap_or(0), 0)?;
            let behind = stream.heard.values().all(|heard| *heard <= id.1);
            hold!(behind, "P1: the gap's id goes back behind what was served");
            self.serve(stream, self.epoch(&id.0).unwrap_or(0), id.1 + 1)?;
        }
        if matches!(reason, "trimmed" | "history_off" | "lost") {
            hold!(
                self.cause(stream, &gap.channel, through),
                "P3: a $gap without cause"
            );
        } else {
            hold!(owed && !stream.open, "P3: {reason} where {:?}", stream.owed);
        }
        if reason == "epoch_unknown" {
            (stream.pos, stream.owed) = (0, vec!["epoch_unknown"]);
            stream.heard.clear();
        }
        let anyway = matches!(reason, "malformed" | "empty" | "future");
        if anyway {
            stream.pos = stream.pos.min(gap.cursor.1);
        }
        let epoch = self.epoch(&gap.cursor.0).unwrap_or(0);
        let through = through.max(gap.cursor.1);
        stream
            .told
            .push((gap.channel.clone(), epoch, through, anyway));
        Ok(())
    }

    /// Whether a cut took away, since it came, what the stream may have been served.
    fn rewinds(&self, stream: &Stream) -> bool {
        let (then, now) = (stream.sub.cuts, self.epochs.len() - 1);
        let cut = |of, seq| self.cut(of, now) <= seq && seq < self.cut(of, then);
        self.log.iter().any(|(of, entry)| cut(*of, entry.id.1))
    }

    /// Whether something of `channel` is gone that the stream had not had.
    fn cause(&mut self, stream: &Stream, channel: &str, through: u64) -> bool {
        let mut log = self.log.iter().map(|(_, entry)| entry);
        let at_cut = self.epochs[1..]
            .iter()
            .any(|(_, first)| *first == through + 1);
        let off = self
            .rules
            .get(namespace(channel))
            .is_some_and(|keeps| keeps.messages == 0);
        let concerns = |key: &String| key == channel || off && namespace(key) == namespace(channel);
        let gone = |entry: &Entry| {
            // A loss that a cut went below is known up to the cut alone.
            let lowered = at_cut && entry.id.1 > through;
            let missed = lowered || stream.pos < entry.id.1 && entry.id.1 <= through;
            missed && entry.targets.iter().any(concerns) && !self.held(entry, channel)
        };
        if log.any(gone) || self.lost > stream.pos {
            return true;
        }
        let bucket = !self.exact && self.log.iter().any(|(_, entry)| entry.id.1 == through);
        self.collisions += usize::from(bucket);
        bucket
    }

    /// A form without gaps ended for one: nothing that is held may be left out.
    fn ended(&mut self, stream: &mut Stream, (epoch, through): &At) -> Verdict {
        let (anyway, of) = (!stream.owed.is_empty(), self.epoch(epoch).unwrap_or(0));
        let mut cause = anyway || self.rewinds(stream);
        for channel in stream.sub.channels.clone() {
            cause |= self.cause(stream, &channel, *through);
            stream.told.push((channel, of, *through, anyway));
        }
        hold!(cause, "P3: ended for a gap without cause");
        self.serve(stream, stream.epoch, through + 1)
    }
}
