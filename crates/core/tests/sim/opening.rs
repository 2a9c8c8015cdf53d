//! How a stream begins: what its cursor is by what is true, what must be told
//! before it opens, and what lies below a start in history.

use crate::events::{At, Entry, From, Rx, Sub, Told, read};
use crate::members::Held;
use crate::oracle::{Oracle, Stream};
use crate::truth::{Verdict, hold};

impl Oracle {
    pub(crate) fn attach(&self, sub: Sub) -> Stream {
        let (epoch, pos) = (sub.cuts, sub.applied);
        let began = self.truth.log.len();
        let mut stream = Stream {
            epoch,
            pos,
            members: self.held(&sub),
            bare: sub.channels.is_empty(),
            sub,
            began,
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

    /// By now there may be what a cursor was ahead of; then it is a cursor. The
    /// first unit tells.
    pub(crate) fn grow(&self, stream: &mut Stream, rx: &Rx) {
        let refused = match rx {
            Rx::Gap(Told {
                id: None, reason, ..
            }) => !matches!(reason.as_str(), "trimmed" | "history_off" | "lost"),
            Rx::EndGap(_) => true,
            _ => false,
        };
        let first = !stream.open && stream.told.is_empty() && !refused;
        let From::After(text) = &stream.sub.from else {
            return;
        };
        let there = |at: &At| self.truth.log.iter().any(|(_, entry)| entry.id == *at);
        let at = read(text).filter(|at| first && there(at));
        // Where it held no channel that a gap could be told of, `$ready` tells.
        let mute = !stream.members.iter().any(Held::throughout);
        let ready = match rx {
            Rx::Ready(ready) if mute => Some(ready.1),
            _ => None,
        };
        let at = at.filter(|at| !mute || ready.is_some_and(|ready| ready >= at.1));
        if let Some(at) = at.filter(|_| stream.owed.contains(&"future")) {
            (stream.pos, stream.epoch) = (at.1, self.truth.of(&at));
            stream.owed.retain(|owed| *owed != "future");
        } else if let Some(ready) = ready.filter(|_| !stream.owed.is_empty()) {
            stream.pos = stream.pos.min(ready);
        }
    }

    /// The end of the opening block: what had to be told has been.
    pub(crate) fn opened(&self, stream: &mut Stream) -> Verdict {
        stream.open = true;
        let told = |channel: &String| stream.told.iter().any(|told| told.channel == *channel);
        let own = stream.members.iter().filter(|held| held.throughout());
        let told = own.map(|held| &held.channel).all(told);
        let excused = stream.owed.is_empty() || stream.owed[0] == "?";
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
        Ok(())
    }

    /// Notes in which channels a message lies below a start in history.
    fn start(&self, stream: &mut Stream, epoch: usize, entry: &Entry) {
        let Sub { channels, from, .. } = &stream.sub;
        let throughout = |own: &String| {
            let mut held = stream.members.iter();
            held.any(|held| held.channel == *own && held.throughout())
        };
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
            if throughout(own) && (outside || !self.truth.held(entry, own)) {
                stream.below.insert((entry.id.clone(), own.clone()));
            }
        }
    }

    /// A channel's last N are no more than that: what was older when the stream
    /// came is not among them. Cuts, after which less was newer, aside.
    pub(crate) fn asked_for(&self, stream: &Stream, entry: &Entry) -> Verdict {
        let (From::Rewind(n), 0) = (&stream.sub.from, self.truth.current()) else {
            return Ok(());
        };
        let then = || self.truth.log[..stream.began].iter().map(|(_, old)| old);
        let newer = |own: &String| {
            let newer = then().filter(|old| old.id.1 > entry.id.1);
            newer.filter(|old| old.targets.contains(own)).count()
        };
        let mut own = entry.targets.iter();
        let listens = |key: &&String| stream.sub.channels.contains(key);
        let old = entry.id.1 <= stream.sub.applied && then().any(|old| old.id == entry.id);
        let outside = old && own.all(|own| !listens(&own) || newer(own) >= *n);
        hold!(!outside => "more than the last {n}: {entry:?}");
        Ok(())
    }
}
