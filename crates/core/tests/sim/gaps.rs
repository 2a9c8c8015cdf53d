//! What a stream is told: whether a `$gap` has a cause, and what it covers.

use crate::events::{At, Entry, Told, namespace};
use crate::oracle::{Notice, Oracle, Stream};
use crate::truth::{Verdict, hold};

impl Oracle {
    pub(crate) fn gap(&self, stream: &mut Stream, gap: &Told) -> Verdict {
        let own = stream
            .members
            .iter()
            .any(|held| held.channel == gap.channel);
        hold!(own => "P3: a $gap in another's channel");
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
                    stream.epoch = stream.epoch.max(notice.epoch);
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
            let held = self.lost_to(stream, entry, channel);
            let concerned = held && entry.targets.iter().any(concerns);
            missed && concerned && !self.truth.held(entry, channel)
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
    pub(crate) fn ended(&self, stream: &mut Stream, cursor: &At) -> Verdict {
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
