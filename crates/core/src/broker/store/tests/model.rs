//! The store as a list of everything, looked through from end to end each time.

use std::collections::HashMap;
use std::time::Duration;

use crate::broker::{Loss, Tail};
use crate::cursor::{GapReason, Seq};
use crate::key::{Key, Namespace};
use crate::namespace::{History, Namespaces};

struct Kept {
    seq: u64,
    key: Key,
    cost: usize,
    at: Duration,
}

struct Record {
    key: Key,
    /// Settles which goes first of two with the same newest message: a place is
    /// given again, the one that was left last first.
    place: usize,
    lost: u64,
    last: u64,
}

pub(super) struct Model {
    pub(super) log_bytes: usize,
    pub(super) channel_records: usize,
    pub(super) top: u64,
    pub(super) now: Duration,
    pub(super) namespaces: Namespaces,
    lost: u64,
    /// One for each log that a message is in, oldest first.
    kept: Vec<Kept>,
    records: Vec<Record>,
    left: Vec<usize>,
    forgotten: HashMap<Key, u64>,
    off: HashMap<Namespace, u64>,
    listeners: HashMap<Key, usize>,
}

impl Model {
    pub(super) fn new(log_bytes: usize, channel_records: usize, namespaces: Namespaces) -> Self {
        Self {
            log_bytes,
            channel_records,
            top: 0,
            now: Duration::ZERO,
            namespaces,
            lost: 0,
            kept: Vec::new(),
            records: Vec::new(),
            left: Vec::new(),
            forgotten: HashMap::new(),
            off: HashMap::new(),
            listeners: HashMap::new(),
        }
    }

    fn history(&self, key: &Key) -> History {
        self.namespaces.rules(key.namespace()).history
    }

    fn record(&mut self, key: &Key) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.key == *key)
    }

    pub(super) fn append(&mut self, targets: &[Key], cost: usize) {
        self.top += 1;
        let seq = self.top;
        for key in targets {
            if self.history(key).is_off() {
                self.off.insert(key.namespace().clone(), seq);
                continue;
            }
            if self.record(key).is_none() {
                let lost = self.forgotten.get(key).copied().unwrap_or(0);
                let place = self.left.pop().unwrap_or(self.records.len());
                let record = Record {
                    key: key.clone(),
                    place,
                    lost,
                    last: lost,
                };
                self.records.push(record);
            }
            self.record(key).unwrap().last = seq;
            let kept = Kept {
                seq,
                key: key.clone(),
                cost,
                at: self.now,
            };
            self.kept.push(kept);
        }
        self.tidy();
    }

    /// Removes whatever the rules and limits no longer hold.
    pub(super) fn tidy(&mut self) {
        let keys: Vec<Key> = self
            .records
            .iter()
            .map(|record| record.key.clone())
            .collect();
        for key in keys {
            let history = self.history(&key);
            loop {
                let own: Vec<&Kept> = self.kept.iter().filter(|kept| kept.key == key).collect();
                let Some(oldest) = own.first() else { break };
                let seq = oldest.seq;
                if own.len() <= history.messages
                    && own.iter().map(|kept| kept.cost).sum::<usize>() <= history.bytes
                    && self.now - oldest.at < history.ttl
                {
                    break;
                }
                self.remove(&key, seq);
            }
        }
        while self.records.len() > self.channel_records && self.evict() {}
        while self.usage().0 > self.log_bytes {
            let oldest = self.kept.iter().map(|kept| kept.seq).min();
            let idle = self.oldest_idle().map(|at| self.records[at].last);
            match (idle, oldest) {
                (Some(last), Some(oldest)) if last >= oldest => self.remove_all(oldest),
                (None, Some(oldest)) => self.remove_all(oldest),
                (Some(_), _) => drop(self.evict()),
                (None, None) => break,
            }
        }
    }

    fn remove(&mut self, key: &Key, seq: u64) {
        self.kept.retain(|kept| kept.key != *key || kept.seq != seq);
        let record = self.record(key).unwrap();
        record.lost = record.lost.max(seq);
    }

    fn remove_all(&mut self, seq: u64) {
        let in_logs = self.kept.iter().filter(|kept| kept.seq == seq);
        let keys: Vec<Key> = in_logs.map(|kept| kept.key.clone()).collect();
        keys.iter().for_each(|key| self.remove(key, seq));
    }

    fn oldest_idle(&self) -> Option<usize> {
        (0..self.records.len())
            .filter(|at| !self.listeners.contains_key(&self.records[*at].key))
            .min_by_key(|at| (self.records[*at].last, self.records[*at].place))
    }

    fn evict(&mut self) -> bool {
        let Some(at) = self.oldest_idle() else {
            return false;
        };
        let record = self.records.remove(at);
        self.left.push(record.place);
        self.kept.retain(|kept| kept.key != record.key);
        let forgotten = self.forgotten.entry(record.key).or_insert(0);
        *forgotten = (*forgotten).max(record.last);
        true
    }

    pub(super) fn listening(&mut self, key: &Key, on: bool) {
        let count = self.listeners.entry(key.clone()).or_insert(0);
        *count = if on {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        if *count == 0 {
            self.listeners.remove(key);
        }
        self.tidy();
    }

    pub(super) fn cut(&mut self, first: u64) {
        self.kept.retain(|kept| kept.seq < first);
        self.top = first - 1;
        let top = self.top;
        self.lost = self.lost.min(top);
        self.off
            .values_mut()
            .for_each(|lost| *lost = (*lost).min(top));
        self.forgotten
            .values_mut()
            .for_each(|lost| *lost = (*lost).min(top));
        for record in &mut self.records {
            record.lost = record.lost.min(top);
            let own = self.kept.iter().filter(|kept| kept.key == record.key);
            record.last = own.map(|kept| kept.seq).max().unwrap_or(record.lost);
        }
    }

    pub(super) fn lose(&mut self, through: u64) {
        self.top = self.top.max(through);
        self.lost = self.lost.max(through);
        while let Some(seq) = self.kept.iter().map(|kept| kept.seq).min() {
            if seq > through {
                break;
            }
            self.remove_all(seq);
        }
    }

    /// Bytes, messages and records.
    pub(super) fn usage(&self) -> (usize, usize, usize) {
        let mut seqs = HashMap::new();
        for kept in &self.kept {
            seqs.insert(kept.seq, 96 + kept.cost);
        }
        let records = self
            .records
            .iter()
            .map(|record| 416 + record.key.len_bytes());
        let bytes = seqs.values().sum::<usize>() + records.sum::<usize>();
        (bytes, seqs.len(), self.records.len())
    }

    fn lost_through(&self, key: &Key) -> (u64, GapReason) {
        let record = self.records.iter().find(|record| record.key == *key);
        let forgotten = self.forgotten.get(key).copied().unwrap_or(0);
        let own = record.map_or(forgotten, |record| record.lost);
        let off = self.off.get(key.namespace()).copied().unwrap_or(0);
        let most = own.max(off).max(self.lost);
        let reason = if self.lost == most && most > 0 {
            GapReason::Lost
        } else if off > own || self.history(key).is_off() {
            GapReason::HistoryOff
        } else {
            GapReason::Trimmed
        };
        (most, reason)
    }

    /// All seqs of the union, with their costs.
    pub(super) fn union(&self, channels: &[Key], after: u64, upto: u64) -> Vec<(u64, usize)> {
        let mut all: Vec<(u64, usize)> = self
            .kept
            .iter()
            .filter(|kept| channels.contains(&kept.key))
            .filter(|kept| kept.seq > after && kept.seq <= upto)
            .map(|kept| (kept.seq, kept.cost))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn losses(&self, channels: &[Key], after: u64) -> Vec<Loss> {
        let lossy = channels.iter().filter_map(|key| {
            let (lost_through, reason) = self.lost_through(key);
            (lost_through > after).then(|| Loss {
                channel: key.clone(),
                lost_through: Seq(lost_through),
                reason,
            })
        });
        lossy.collect()
    }

    pub(super) fn tail(&self, channels: &[Key], n: usize) -> Tail {
        let begin = |seqs: &[(u64, usize)]| match (seqs.len(), n) {
            (0, _) => None,
            (len, 0) => Some(seqs[len - 1].0),
            (len, n) => Some(seqs[len - n.min(len)].0 - 1),
        };
        let floor = |key: &Key| {
            let own = self.union(std::slice::from_ref(key), 0, u64::MAX);
            let lost = self.lost_through(key).0;
            Seq(begin(&own).unwrap_or(lost).max(lost))
        };
        Tail {
            floors: channels.iter().map(floor).collect(),
            union: begin(&self.union(channels, 0, u64::MAX)).map(Seq),
        }
    }
}
