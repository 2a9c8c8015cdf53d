//! What truly happened: the broker's own order, what cuts and losses took from
//! it, what the namespaces promise to keep of it, and what publishers were told.
//! The ground on which [`crate::oracle`] judges; it too shares no code with core.

use std::collections::{HashMap, HashSet};

use crate::events::{At, Entry, Keeps, Said, namespace};

/// What a broken promise says.
pub type Verdict = Result<(), String>;

/// A promise: broken unless it holds.
macro_rules! hold {
    ($holds:expr => $($why:tt)+) => { if !$holds { return Err(format!($($why)+)); } };
}
pub(crate) use hold;

/// Epochs are counted in the order in which they began.
pub struct Truth {
    rules: HashMap<String, Keeps>,
    /// False where the node's own caps remove messages before their time.
    pub exact: bool,
    /// Each with its first seq.
    pub epochs: Vec<(String, u64)>,
    /// Each with its epoch.
    pub log: Vec<(usize, Entry)>,
    /// Through where the feed ever lost everything.
    pub lost: u64,
    /// In milliseconds.
    pub now: u64,
    never: HashSet<String>,
    scopes: HashMap<String, At>,
}

impl Truth {
    pub fn new(epoch: &str, rules: HashMap<String, Keeps>, exact: bool) -> Self {
        let epochs = vec![(epoch.to_owned(), 1)];
        let (log, never, scopes) = Default::default();
        Self {
            rules,
            exact,
            epochs,
            log,
            lost: 0,
            now: 0,
            never,
            scopes,
        }
    }

    /// The number of the current epoch.
    pub fn current(&self) -> usize {
        self.epochs.len() - 1
    }

    pub fn epoch(&self, name: &str) -> Option<usize> {
        self.epochs.iter().position(|(known, _)| known == name)
    }

    /// The number of an id's epoch; of one that never was, the first.
    pub fn of(&self, at: &At) -> usize {
        self.epoch(&at.0).unwrap_or(0)
    }

    /// The first seq that cuts took away between two epochs.
    pub fn cut(&self, of: usize, until: usize) -> u64 {
        let cuts = self.epochs.get(of + 1..=until).unwrap_or_default();
        cuts.iter().map(|cut| cut.1).min().unwrap_or(u64::MAX)
    }

    /// The log as it was under an epoch, without what cuts had taken away by then.
    pub fn view(&self, epoch: usize) -> impl Iterator<Item = &Entry> {
        let there = move |of: usize, seq| of <= epoch && seq < self.cut(of, epoch);
        let log = self
            .log
            .iter()
            .filter(move |(of, entry)| there(*of, entry.id.1));
        log.map(|(_, entry)| entry)
    }

    /// The newest seq there was under an epoch.
    pub fn top(&self, epoch: usize) -> u64 {
        let newest = self.view(epoch).map(|entry| entry.id.1).max();
        newest.unwrap_or(0).max(self.epochs[epoch].1 - 1)
    }

    pub fn keeps(&self, channel: &str) -> Keeps {
        self.rules
            .get(namespace(channel))
            .copied()
            .unwrap_or_default()
    }

    /// Whether history still owes a message, by what the namespace promises.
    pub fn held(&self, entry: &Entry, channel: &str) -> bool {
        let keeps = self.keeps(channel);
        let (mut count, mut bytes) = (0, entry.cost);
        for (_, other) in self.log.iter().filter(|(_, other)| other.id.1 > entry.id.1) {
            if other.targets.iter().any(|key| key == channel) {
                (count, bytes) = (count + 1, bytes + other.cost);
            }
        }
        let young = self.now < entry.at + keeps.ttl && !entry.gone;
        self.exact && young && count < keeps.messages && bytes <= keeps.bytes
    }

    /// The broker ordered and kept a message: in the current epoch, under a seq
    /// that was never in use there, once, and none that was refused.
    pub fn kept(&mut self, entry: Entry) -> Verdict {
        let (now, at) = (self.current(), &entry.id);
        hold!(self.epochs[now].0 == at.0 => "{at:?} under a past epoch");
        hold!(at.1 > self.top(now) => "one numbering: {at:?} was in use");
        hold!(!self.never.contains(&entry.body) => "P4: {at:?} was refused, yet kept");
        let twin = self.view(now).find(|twin| twin.body == entry.body);
        hold!(twin.is_none() => "P4: {at:?} is there twice, see {twin:?}");
        self.log.push((now, entry));
        Ok(())
    }

    /// Nothing up to here will come again.
    pub fn lose(&mut self, through: u64) {
        self.lost = self.lost.max(through);
        let gone = self
            .log
            .iter_mut()
            .filter(|(_, entry)| entry.id.1 <= through);
        gone.for_each(|(_, entry)| entry.gone = true);
    }

    /// A publisher was told something: an ack names what was kept, one key one
    /// message, unless a cut took it away.
    pub fn published(&mut self, scope: Option<String>, body: &str, said: Said) -> Verdict {
        let Said::Kept { id, duplicate } = said else {
            let kept = self.log.iter().any(|(_, entry)| entry.body == body);
            hold!(!kept => "P4: refused, yet kept");
            self.never.insert(body.to_owned());
            return Ok(());
        };
        let found = self.log.iter().find(|(_, entry)| entry.id == id);
        let named = found.is_some_and(|(_, entry)| entry.body == body);
        hold!(named => "P4: the ack {id:?} names another message");
        hold!(!duplicate || scope.is_some() => "P4: a duplicate without a key");
        let before = scope.and_then(|scope| self.scopes.insert(scope, id.clone()));
        if let Some(earlier) = before.filter(|earlier| *earlier != id) {
            let cut = self.cut(self.of(&earlier), self.current());
            hold!(earlier.1 >= cut => "P4: one key for {earlier:?} and {id:?}");
        }
        Ok(())
    }
}
