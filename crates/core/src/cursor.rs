//! Where a reader stands: epochs, seqs, cursors and the lineage of a store.

use std::fmt;

use crate::limits::MAX_CURSOR;
use crate::mutant;

/// A place in the one order of a partition. The first message has seq 1;
/// 0 stands before everything. Never restarts within a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Seq(pub u64);

/// One unbroken life of a store, a random number: a store that lost a part of
/// what it had acknowledged goes on under a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Names a message, equal on every node: `<epoch>-<seq>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The epoch under which it was sequenced.
    pub epoch: Epoch,
    /// Its place.
    pub seq: Seq,
}

/// A resume point: everything after it is owed. Opaque outside; today written
/// like the id of the last message served.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    epoch: Epoch,
    seq: Seq,
}

/// What a client handed in as a cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorText {
    /// Well-formed; whether it is valid, the [`Lineage`] says.
    Cursor(Cursor),
    /// No bytes at all.
    Empty,
    /// Anything else.
    Malformed,
}

/// Why a stream cannot go on exactly after a cursor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum GapReason {
    /// History no longer holds everything after the cursor.
    Trimmed,
    /// The namespace keeps no history.
    HistoryOff,
    /// The cursor is from a store that is gone.
    EpochUnknown,
    /// The store lost its tail, and the cursor had been past it.
    Rewound,
    /// Not a cursor.
    Malformed,
    /// An empty cursor.
    Empty,
    /// Beyond the newest message.
    Future,
    /// This node missed a part of the feed.
    Lost,
}

impl GapReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Trimmed,
        Self::HistoryOff,
        Self::EpochUnknown,
        Self::Rewound,
        Self::Malformed,
        Self::Empty,
        Self::Future,
        Self::Lost,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::HistoryOff => "history_off",
            Self::EpochUnknown => "epoch_unknown",
            Self::Rewound => "rewound",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Future => "future",
            Self::Lost => "lost",
        }
    }
}

/// Where a stream that came with a cursor starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// The cursor is valid: go on after this seq.
    At(Seq),
    /// The cursor is of the current epoch and beyond `known_top`. Whether it is
    /// from the future or this node is merely behind, the broker's authoritative
    /// top decides.
    Ahead(Seq),
    /// It cannot be: say so, then go on from there.
    Gap(GapReason, GapStart),
}

/// Where a stream goes on after a refused cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GapStart {
    /// With all the history held; nothing held: from now.
    Earliest,
    /// After this seq.
    After(Seq),
    /// From now.
    Now,
}

/// The epochs that a store has lived through, each with the first seq that it
/// covers; oldest first, never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lineage(Vec<(Epoch, Seq)>);

/// Epochs kept in a lineage: older ones become unknown.
const MAX_LINEAGE: usize = 64;

impl Seq {
    /// The one after.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one before; 0 stays 0.
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Cursor {
    /// A cursor after `seq` of `epoch`.
    pub fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq }
    }

    /// The seq that it stands after. Meaningful only under a lineage that
    /// knows the epoch.
    pub fn seq(self) -> Seq {
        self.seq
    }

    /// The epoch under which it was given out.
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// Reads what a client sent. Strict: only what [`fmt::Display`] writes is a
    /// cursor, so `-0`, `+1`, leading zeros and 2^64 are malformed. Never an
    /// error: a refused cursor is a `$gap`, not a 4xx.
    pub fn read(text: &[u8]) -> CursorText {
        if text.is_empty() {
            return CursorText::Empty;
        }
        Self::read_exact(text).map_or(CursorText::Malformed, CursorText::Cursor)
    }

    fn read_exact(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_CURSOR {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (epoch, seq) = text.split_once('-')?;
        let cursor = Self {
            epoch: Epoch::read(epoch)?,
            seq: Seq(read_decimal(seq)?),
        };
        Some(cursor)
    }
}

impl MessageId {
    /// The cursor just after this message.
    pub fn cursor(self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            seq: self.seq,
        }
    }
}

impl Epoch {
    const DIGITS: &'static [u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    fn read(text: &str) -> Option<Self> {
        let canonical = text == "0" || !text.starts_with('0');
        if text.is_empty() || text.len() > 13 || !canonical {
            return None;
        }
        let mut value = 0u64;
        for byte in text.bytes() {
            let digit = Self::DIGITS.iter().position(|d| *d == byte)? as u64;
            value = value.checked_mul(36)?.checked_add(digit)?;
        }
        Some(Self(value))
    }
}

fn read_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if canonical && digits {
        text.parse().ok()
    } else {
        None
    }
}

impl Lineage {
    /// A fresh store's: its cursor before everything is `(epoch, 0)`.
    pub fn fresh(epoch: Epoch) -> Self {
        Self(vec![(epoch, Seq(1))])
    }

    /// Opens `epoch`, whose first message has `first`. What an earlier epoch
    /// had at `first` or after is cut.
    pub fn open(&mut self, epoch: Epoch, first: Seq) {
        // An epoch that is left without any seq but its boundary stays: cursors
        // that stand just before `first` are still valid under it.
        self.0.retain(|(_, start)| *start <= first);
        self.0.push((epoch, first));
        if self.0.len() > MAX_LINEAGE {
            self.0.remove(0);
        }
    }

    /// True for an epoch that it covers.
    pub fn knows(&self, epoch: Epoch) -> bool {
        self.0.iter().any(|(known, _)| *known == epoch)
    }

    /// The epoch that new messages get.
    pub fn current(&self) -> Epoch {
        self.0.last().map_or(Epoch(0), |(epoch, _)| *epoch)
    }

    /// The first seq of the current epoch.
    pub fn current_first(&self) -> Seq {
        self.0.last().map_or(Seq(1), |(_, first)| *first)
    }

    /// The cursor that stands after `seq`, under the epoch that covers it.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        let covering = self.0.iter().rev().find(|(_, first)| *first <= seq);
        let epoch = covering
            .or(self.0.first())
            .map_or(Epoch(0), |(epoch, _)| *epoch);
        Cursor { epoch, seq }
    }

    /// Where a stream that came with `cursor` starts. `known_top` is the newest
    /// seq that the caller knows of.
    ///
    /// A cursor (e, s) is valid exactly if first(e) − 1 ≤ s ≤ last(e). An
    /// unknown epoch gets everything held; a known older one, beyond its end,
    /// goes on at that end; before its beginning was never issued: malformed.
    pub fn resolve(&self, cursor: Cursor, known_top: Seq) -> Resolved {
        if mutant::active("ignore-epoch") {
            return Resolved::At(cursor.seq.min(known_top));
        }
        let Some(at) = self.0.iter().position(|(epoch, _)| *epoch == cursor.epoch) else {
            return Resolved::Gap(GapReason::EpochUnknown, GapStart::Earliest);
        };
        let (_, first) = self.0[at];
        if cursor.seq < first.prev() {
            return Resolved::Gap(GapReason::Malformed, GapStart::Now);
        }
        match self.0.get(at + 1) {
            Some((_, next)) if cursor.seq >= *next => {
                Resolved::Gap(GapReason::Rewound, GapStart::After(next.prev()))
            }
            None if cursor.seq > known_top => Resolved::Ahead(cursor.seq),
            _ => Resolved::At(cursor.seq),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; 13];
        let mut at = digits.len();
        let mut rest = self.0;
        loop {
            at -= 1;
            digits[at] = Self::DIGITS[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        f.write_str(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq.0)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cursor(text: &str) -> Cursor {
        match Cursor::read(text.as_bytes()) {
            CursorText::Cursor(cursor) => cursor,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_cursor_reads_back_as_written() {
        for (epoch, seq) in [
            (0, 0),
            (35, 1),
            (36, 2),
            (u64::MAX, u64::MAX),
            (1 << 40, 1841),
        ] {
            let written = Cursor::new(Epoch(epoch), Seq(seq));
            assert_eq!(cursor(&written.to_string()), written);
            assert!(written.to_string().len() <= MAX_CURSOR);
        }
    }

    #[test]
    fn s3_l1_anything_but_the_written_form_is_malformed_not_an_error() {
        assert_eq!(Cursor::read(b""), CursorText::Empty);
        let junk: [&[u8]; 15] = [
            b"-",
            b"a-",
            b"-1",
            b"a--0",
            b"a-+1",
            b"a-01",
            b"0a-1",
            b"A-1",
            b"a-1e99",
            b"a-18446744073709551616",
            b"zzzzzzzzzzzzzz-1",
            b"a-1 ",
            b"\xff\xfe",
            b"' OR 1=1",
            &[b'9'; 20_000],
        ];
        for text in junk {
            assert_eq!(Cursor::read(text), CursorText::Malformed, "{text:?}");
        }
    }

    #[test]
    fn a_cursor_is_valid_from_just_before_its_epoch_to_its_end() {
        let mut lineage = Lineage::fresh(Epoch(10));
        lineage.open(Epoch(11), Seq(6)); // epoch 10 covers 1..=5
        let at = |epoch, seq| lineage.resolve(Cursor::new(Epoch(epoch), Seq(seq)), Seq(9));
        assert_eq!(at(10, 0), Resolved::At(Seq(0)));
        assert_eq!(at(10, 5), Resolved::At(Seq(5)));
        assert_eq!(
            at(10, 6),
            Resolved::Gap(GapReason::Rewound, GapStart::After(Seq(5)))
        );
        assert_eq!(
            at(11, 4),
            Resolved::Gap(GapReason::Malformed, GapStart::Now)
        );
        assert_eq!(at(11, 5), Resolved::At(Seq(5)));
        assert_eq!(at(11, 9), Resolved::At(Seq(9)));
        assert_eq!(at(11, 10), Resolved::Ahead(Seq(10)));
        assert_eq!(
            at(12, 3),
            Resolved::Gap(GapReason::EpochUnknown, GapStart::Earliest)
        );
    }

    #[test]
    fn a_cut_below_an_epochs_first_seq_drops_that_epoch() {
        let mut lineage = Lineage::fresh(Epoch(1));
        lineage.open(Epoch(2), Seq(10));
        lineage.open(Epoch(3), Seq(4));
        let known = |epoch, seq| lineage.resolve(Cursor::new(Epoch(epoch), Seq(seq)), Seq(20));
        assert_eq!(known(1, 3), Resolved::At(Seq(3)));
        assert_eq!(
            known(1, 4),
            Resolved::Gap(GapReason::Rewound, GapStart::After(Seq(3)))
        );
        assert_eq!(
            known(2, 12),
            Resolved::Gap(GapReason::EpochUnknown, GapStart::Earliest)
        );
        assert_eq!(lineage.cursor(Seq(3)).to_string(), "1-3");
        assert_eq!(lineage.cursor(Seq(4)).to_string(), "3-4");
        assert_eq!(lineage.cursor(Seq(0)).to_string(), "1-0");
    }
}
