//! What the hub counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::cursor::GapReason;

/// Reasons of gaps.
pub(super) const REASONS: usize = GapReason::ALL.len();

/// Figures of this node, added up over the shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Attached now.
    pub subscribers: usize,
    /// Of them, catching up.
    pub behind: usize,
    /// Bytes in all outboxes.
    pub outbox_bytes: usize,
    /// The largest outbox seen, in bytes.
    pub outbox_peak: usize,
    /// Entries waiting in the shards' queues.
    pub queued: usize,
    /// Bytes of publish credit out.
    pub credit_out: usize,
    /// Catch-up reads under way.
    pub reads: usize,
    /// Units appended to outboxes.
    pub deliveries: u64,
    /// Calls to writers that had something to write.
    pub flushes: u64,
    /// Gaps told.
    pub gaps: u64,
    /// The same, by their reasons in the order of [`GapReason::ALL`].
    pub gaps_by_reason: [u64; REASONS],
    /// Subscribers let go because serving them failed.
    pub faults: u64,
}

/// One shard's figures: written by the shard alone, read by anyone.
#[derive(Default)]
pub(super) struct ShardStats {
    pub(super) subscribers: AtomicUsize,
    pub(super) behind: AtomicUsize,
    pub(super) outbox_bytes: AtomicUsize,
    pub(super) outbox_peak: AtomicUsize,
    pub(super) reads: AtomicUsize,
    pub(super) deliveries: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) gaps: [AtomicU64; REASONS],
    pub(super) faults: AtomicU64,
}

impl ShardStats {
    pub(super) fn add_to(&self, sum: &mut Stats) {
        sum.subscribers += self.subscribers.load(Relaxed);
        sum.behind += self.behind.load(Relaxed);
        sum.outbox_bytes += self.outbox_bytes.load(Relaxed);
        sum.outbox_peak = sum.outbox_peak.max(self.outbox_peak.load(Relaxed));
        sum.reads += self.reads.load(Relaxed);
        sum.deliveries += self.deliveries.load(Relaxed);
        sum.flushes += self.flushes.load(Relaxed);
        for (sum, gaps) in sum.gaps_by_reason.iter_mut().zip(&self.gaps) {
            *sum += gaps.load(Relaxed);
        }
        sum.gaps = sum.gaps_by_reason.iter().sum();
        sum.faults += self.faults.load(Relaxed);
    }
}
