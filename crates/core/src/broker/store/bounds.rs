//! What leaves the store: by age, by a bound, by a cut, by a loss.

use super::chain::Item;
use super::{MESSAGE_COST, Moment, Removal, Store};
use crate::cursor::{Epoch, Seq};
use crate::key::Key;
use crate::mutant;

impl Store {
    /// Removes what a channel's rules no longer keep.
    pub(super) fn trim(&mut self, at: usize, moment: &Moment) {
        loop {
            let Some(record) = self.records.get(at) else {
                return;
            };
            let history = moment.history(&record.key);
            let Some(front) = record.chain.front() else {
                return;
            };
            let kept = record.chain.len() <= history.messages
                && record.chain.bytes() <= history.bytes
                && self.now.saturating_sub(front.at) < history.ttl;
            if kept {
                return;
            }
            self.drop_front(at);
        }
    }

    /// Removes the oldest message of a channel.
    fn drop_front(&mut self, at: usize) {
        let Some(record) = self.records.get_mut(at) else {
            return;
        };
        let Some(item) = record.chain.pop_front() else {
            return;
        };
        if !mutant::active("trim-forgets-loss") {
            record.lost = record.lost.max(item.seq());
        }
        if let Some(removals) = &mut self.removals {
            removals.push(Removal::Trimmed(record.key.clone(), item.seq()));
        }
        self.release(item);
    }

    /// Notes that one log less holds a message.
    fn release(&mut self, item: Item) {
        if let Some(live) = self.live.get_mut(&item.seq()) {
            live.logs -= 1;
            if live.logs == 0 {
                self.bytes -= item.stored.cost() + MESSAGE_COST;
                self.live.remove(&item.seq());
            }
        }
        self.trash.messages.push(item.stored);
    }

    /// Brings records and bytes back under their limits, the oldest first.
    pub(super) fn enforce(&mut self) {
        while self.records.len() > self.channel_records {
            let Some((_, at)) = self.records.oldest_idle() else {
                break;
            };
            self.evict(at);
        }
        while self.bytes > self.log_bytes {
            let message = self.live.keys().next().copied();
            // A record whose newest message is older than every message held
            // has none left: it is the oldest thing there is.
            match (self.records.oldest_idle(), message) {
                (Some((last, at)), Some(oldest)) if last < oldest => self.evict(at),
                (_, Some(oldest)) => self.drop_everywhere(oldest),
                (Some((_, at)), None) => self.evict(at),
                (None, None) => break,
            }
        }
    }

    /// Removes the oldest message of all from every log that holds it.
    fn drop_everywhere(&mut self, seq: Seq) {
        let Some(live) = self.live.get(&seq) else {
            return;
        };
        let stored = live.stored.clone();
        for key in &stored.message.targets {
            if let Some(at) = self.records.find(key)
                && let Some(record) = self.records.get(at)
                && record.chain.front().is_some_and(|item| item.seq() == seq)
            {
                self.drop_front(at);
            }
        }
        debug_assert!(!self.live.contains_key(&seq), "held by no log at its front");
        if let Some(live) = self.live.remove(&seq) {
            self.bytes -= live.stored.cost() + MESSAGE_COST;
        }
    }

    fn evict(&mut self, at: usize) {
        let Some(mut record) = self.records.evict(at) else {
            return;
        };
        self.bytes -= record.cost();
        if let Some(removals) = &mut self.removals {
            removals.push(Removal::Evicted(record.key.clone(), record.last));
        }
        while let Some(item) = record.chain.pop_front() {
            self.release(item);
        }
        self.trash.records.push(record);
    }

    /// Takes note of a listener (or its end): a record with one is not evicted.
    pub(crate) fn listening(&mut self, key: &Key, on: bool) {
        if self.records.listening(key, on) {
            self.enforce();
        }
    }

    /// Drops everything at `first` or after, idempotency keys too, and goes on
    /// there under another epoch.
    pub(crate) fn cut(&mut self, epoch: Epoch, first: Seq) {
        let first = first.max(Seq(1));
        let (trash, end) = (&mut self.trash.messages, first.prev());
        self.records.cut(first, |record| {
            while record.chain.back().is_some_and(|item| item.seq() >= first) {
                trash.extend(record.chain.pop_back().map(|item| item.stored));
            }
            record.lost = record.lost.min(end);
            record.last = record.chain.back().map_or(record.lost, Item::seq);
        });
        for live in self.live.split_off(&first).into_values() {
            self.bytes -= live.stored.cost() + MESSAGE_COST;
        }
        self.lost = self.lost.min(end);
        self.off_rest = self.off_rest.min(end);
        self.off
            .values_mut()
            .for_each(|lost| *lost = (*lost).min(end));
        self.keys.cut(first);
        if !mutant::active("reuse-seq") {
            self.lineage.open(epoch, first);
        }
        self.top = end;
    }

    /// Nothing through `through` will ever be read again, in any channel.
    pub(crate) fn lose(&mut self, through: Seq) {
        self.top = self.top.max(through);
        self.lost = self.lost.max(through);
        while let Some(oldest) = self.live.keys().next().copied() {
            if oldest > through {
                break;
            }
            self.drop_everywhere(oldest);
        }
    }
}
