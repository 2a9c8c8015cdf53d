//! What can go wrong, how often, and how often it has.

/// How often each fault strikes, in 1,000 chances. All zero: the broker does
/// everything at once and right, as the one in memory does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults {
    /// An append waits to be ordered.
    pub hold_append: u16,
    /// An append is refused: [`crate::broker::AppendError::Unavailable`].
    pub reject: u16,
    /// The outcome is unknown, and the message appears later.
    pub unknown_kept: u16,
    /// The outcome is unknown, and the message never appears.
    pub unknown_lost: u16,
    /// An acknowledgement waits, so that the feed may overtake it.
    pub hold_ack: u16,
    /// What was ordered waits to be fed, so that the acknowledgement may overtake.
    pub hold_feed: u16,
    /// A batch ends early, at any message.
    pub split: u16,
    /// In a step, a feed stands still for up to 20 steps.
    pub stall: u16,
    /// A read (or tail) is answered only later.
    pub hold_read: u16,
    /// A read answered later tells how things were when it was asked for.
    pub stale_read: u16,
    /// A read ends after one to three messages.
    pub short_read: u16,
    /// A read (or tail) fails.
    pub read_unavailable: u16,
    /// [`crate::broker::Broker::top`] is answered only later.
    pub hold_top: u16,
    /// [`crate::broker::Broker::top`] fails.
    pub top_unavailable: u16,
    /// In a step, the newest messages are gone and an epoch opens.
    pub cut: u16,
    /// How many messages a cut takes at most.
    pub cut_most: u64,
    /// In a step, the feed loses messages that it has not brought yet.
    pub lose: u16,
    /// How many messages are lost at most.
    pub lose_most: u64,
}

/// How often each fault has happened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs)] // each is named after the field of `Faults` or the event that it counts
pub struct ChaosCounts {
    pub appended: u64,
    pub duplicates: u64,
    pub held_appends: u64,
    pub rejected: u64,
    pub unknown_kept: u64,
    pub unknown_lost: u64,
    /// Acknowledged before some feed had brought the message.
    pub acks_before_feed: u64,
    /// Acknowledged after every feed had brought the message.
    pub acks_after_feed: u64,
    /// Batches that ended before what was there did.
    pub batches_split: u64,
    /// Batches of several messages.
    pub batches_joined: u64,
    pub stalls: u64,
    pub held_reads: u64,
    pub stale_reads: u64,
    pub short_reads: u64,
    pub reads_unavailable: u64,
    pub held_tops: u64,
    pub tops_unavailable: u64,
    pub cuts: u64,
    /// Messages that were acknowledged as kept and then cut.
    pub acked_then_cut: u64,
    /// Acknowledgements under way for a message that was cut, given as unknown.
    pub acks_unknown_by_cut: u64,
    /// Messages cut before a feed brought them.
    pub cut_unfed: u64,
    pub losses: u64,
    /// Messages that a feed never brought.
    pub lost_unfed: u64,
    /// Answers given while some feed was behind the top.
    pub answers_ahead_of_feed: u64,
    /// Answers that carried an epoch before every feed had brought it.
    pub epochs_ahead_of_feed: u64,
}

impl Faults {
    /// No fault at all.
    pub const fn none() -> Self {
        Self {
            hold_append: 0,
            reject: 0,
            unknown_kept: 0,
            unknown_lost: 0,
            hold_ack: 0,
            hold_feed: 0,
            split: 0,
            stall: 0,
            hold_read: 0,
            stale_read: 0,
            short_read: 0,
            read_unavailable: 0,
            hold_top: 0,
            top_unavailable: 0,
            cut: 0,
            cut_most: 0,
            lose: 0,
            lose_most: 0,
        }
    }

    /// Nothing is lost, refused or unknown, but everything waits its turn.
    pub const fn slow() -> Self {
        Self {
            hold_append: 500,
            hold_ack: 500,
            hold_feed: 500,
            split: 200,
            stall: 20,
            hold_read: 400,
            stale_read: 300,
            short_read: 100,
            hold_top: 400,
            ..Self::none()
        }
    }

    /// Every kind, each often enough to be met within some hundred steps.
    pub const fn all() -> Self {
        Self {
            reject: 30,
            unknown_kept: 30,
            unknown_lost: 30,
            read_unavailable: 50,
            top_unavailable: 50,
            cut: 10,
            cut_most: 10,
            lose: 10,
            lose_most: 10,
            ..Self::slow()
        }
    }
}

/// A small generator, the same on every machine (SplitMix64).
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most`, both included.
    pub(super) fn upto(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        }
    }

    /// True in `chances` of 1,000. Draws always, so that one fault switched off
    /// leaves the others of a seed as they were.
    pub(super) fn strikes(&mut self, chances: u16) -> bool {
        self.next() % 1_000 < u64::from(chances)
    }
}
