//! Who has heard what. Every subscriber checks every message of every sender
//! of its channel.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::marker::Mark;

/// What went wrong, counted in deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Published, and never heard.
    pub(crate) lost: u64,
    /// Heard again.
    pub(crate) doubled: u64,
    /// Heard after a later message of the same sender.
    pub(crate) out_of_order: u64,
    /// Heard on a channel it was not sent to.
    pub(crate) stray: u64,
}

#[derive(Debug, Default)]
struct Member {
    channel: usize,
    /// For each sender of the channel: one past the highest number heard.
    next: Vec<u32>,
}

/// A sender and what of it is under way.
#[derive(Debug, Default)]
struct Sender {
    channel: usize,
    /// Its place in its channel.
    slot: usize,
    sent: u32,
    /// Deliveries still missing, for each message from `first` on.
    under_way: VecDeque<u32>,
    first: u32,
}

/// The books.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    members: Vec<Member>,
    senders: Vec<Option<Sender>>,
    /// Senders and members of each channel.
    channels: Vec<(Vec<u32>, u32)>,
    /// What a subscriber jumped over, by subscriber and slot, in order.
    missing: HashMap<(u32, usize), Vec<Range<u32>>>,
    /// What a server refused to publish: nobody can hear it.
    void: HashSet<(u32, u32)>,
    faults: Faults,
    /// Whether completed messages are told.
    watch: bool,
    completed: Vec<u32>,
}

impl Ledger {
    /// Room for these clients, each on its channel; the senders among them.
    pub(super) fn new(channels: &[usize], sends: &[bool]) -> Ledger {
        let mut ledger = Ledger::default();
        let count = channels.iter().max().map_or(0, |most| most + 1);
        ledger.channels.resize_with(count, Default::default);
        for (client, (&channel, &sends)) in channels.iter().zip(sends).enumerate() {
            let (senders, members) = &mut ledger.channels[channel];
            *members += 1;
            ledger.senders.push(sends.then(|| Sender {
                channel,
                slot: senders.len(),
                ..Sender::default()
            }));
            if sends {
                senders.push(client as u32);
            }
        }
        for &channel in channels {
            let next = vec![0; ledger.channels[channel].0.len()];
            ledger.members.push(Member { channel, next });
        }
        ledger
    }

    /// From now on [`Ledger::completed`] tells.
    pub(crate) fn watch(&mut self) {
        self.watch = true;
    }

    /// A client hears what is sent from now on.
    pub(super) fn join(&mut self, client: u32) {
        let member = &mut self.members[client as usize];
        for (slot, sender) in self.channels[member.channel].0.iter().enumerate() {
            member.next[slot] = self.senders[*sender as usize]
                .as_ref()
                .map_or(0, |s| s.sent);
        }
    }

    /// The number of a sender's next message.
    pub(super) fn sends(&mut self, client: u32) -> u32 {
        let Some(Some(sender)) = self.senders.get_mut(client as usize) else {
            return 0;
        };
        sender.sent += 1;
        if self.watch {
            sender.under_way.push_back(self.channels[sender.channel].1);
        }
        sender.sent - 1
    }

    /// The server refused it.
    pub(super) fn refused(&mut self, client: u32, seq: u32) {
        self.void.insert((client, seq));
        self.settle(client, seq, u32::MAX);
    }

    /// A subscriber hears a message. True the first time.
    pub(super) fn hears(&mut self, client: u32, mark: Mark) -> bool {
        let member = &mut self.members[client as usize];
        let sender = match self.senders.get(mark.sender as usize) {
            Some(Some(sender)) if sender.channel == member.channel && mark.seq < sender.sent => {
                sender
            }
            _ => {
                self.faults.stray += 1;
                return false;
            }
        };
        let next = &mut member.next[sender.slot];
        if mark.seq == *next {
            *next += 1;
        } else if mark.seq > *next {
            let gap = *next..mark.seq;
            *next = mark.seq + 1;
            self.missing
                .entry((client, sender.slot))
                .or_default()
                .push(gap);
        } else if take(self.missing.get_mut(&(client, sender.slot)), mark.seq) {
            self.faults.out_of_order += 1;
        } else {
            self.faults.doubled += 1;
            return false;
        }
        if self.watch {
            self.settle(mark.sender, mark.seq, 1);
        }
        true
    }

    fn settle(&mut self, client: u32, seq: u32, deliveries: u32) {
        let Some(Some(sender)) = self.senders.get_mut(client as usize) else {
            return;
        };
        let at = seq.wrapping_sub(sender.first) as usize;
        if let Some(left) = sender.under_way.get_mut(at) {
            *left = left.saturating_sub(deliveries);
        }
        while sender.under_way.front() == Some(&0) {
            sender.under_way.pop_front();
            sender.first += 1;
            self.completed.push(client);
        }
    }

    /// Senders whose message has been heard by all, once for each message.
    pub(crate) fn completed(&mut self, into: &mut Vec<u32>) {
        into.clear();
        into.append(&mut self.completed);
    }

    /// Messages sent so far, by all.
    pub(crate) fn sent(&self) -> u64 {
        self.senders
            .iter()
            .flatten()
            .map(|sender| u64::from(sender.sent))
            .sum()
    }

    /// Messages sent so far, by one.
    pub(crate) fn sent_by(&self, client: u32) -> u32 {
        self.senders[client as usize]
            .as_ref()
            .map_or(0, |sender| sender.sent)
    }

    /// One past the highest message of this sender that a client heard.
    pub(crate) fn heard_to(&self, client: u32, sender: u32) -> u32 {
        let slot = self.senders[sender as usize]
            .as_ref()
            .map_or(0, |sender| sender.slot);
        self.members[client as usize]
            .next
            .get(slot)
            .copied()
            .unwrap_or(0)
    }

    /// Whether these clients have heard the end of everything.
    pub(crate) fn all_at_end(&self, clients: impl Iterator<Item = u32>) -> bool {
        let mut clients = clients;
        clients.all(|client| {
            let member = &self.members[client as usize];
            let senders = &self.channels[member.channel].0;
            senders.iter().zip(&member.next).all(|(&sender, &next)| {
                let sent = self.sent_by(sender);
                next == sent || (next..sent).all(|seq| self.void.contains(&(sender, seq)))
            })
        })
    }

    /// The faults so far; what is missing now counts as lost.
    pub(crate) fn faults(&self, clients: impl Iterator<Item = u32>) -> Faults {
        let mut faults = self.faults;
        for client in clients {
            let member = &self.members[client as usize];
            for (slot, &sender) in self.channels[member.channel].0.iter().enumerate() {
                let end = member.next[slot]..self.sent_by(sender);
                let gaps = self.missing.get(&(client, slot));
                for range in gaps.into_iter().flatten().chain([&end]) {
                    let void = match self.void.is_empty() {
                        true => 0,
                        false => range
                            .clone()
                            .filter(|&n| self.void.contains(&(sender, n)))
                            .count(),
                    };
                    faults.lost += u64::from(range.end.saturating_sub(range.start)) - void as u64;
                }
            }
        }
        faults
    }
}

/// Takes a number out of ranges that are in order. False where it is in none.
fn take(ranges: Option<&mut Vec<Range<u32>>>, seq: u32) -> bool {
    let Some(ranges) = ranges else {
        return false;
    };
    let at = ranges.partition_point(|range| range.end <= seq);
    let Some(range) = ranges.get_mut(at).filter(|range| range.contains(&seq)) else {
        return false;
    };
    let after = seq + 1..range.end;
    range.end = seq;
    if !after.is_empty() {
        ranges.insert(at + 1, after);
    }
    if ranges[at].is_empty() {
        ranges.remove(at);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sender: u32, seq: u32) -> Mark {
        Mark {
            sender,
            seq,
            due: 0,
        }
    }

    #[test]
    fn lost_doubled_late_and_stray_are_told_apart() {
        // Clients 0 and 1 on channel 0, client 2 on channel 1; 0 and 2 send.
        let mut ledger = Ledger::new(&[0, 0, 1], &[true, false, true]);
        for _ in 0..6 {
            ledger.sends(0);
        }
        for seq in [0, 1, 4, 2, 2, 5] {
            ledger.hears(1, mark(0, seq));
        }
        assert!(!ledger.hears(2, mark(0, 0)), "another channel's");
        assert!(!ledger.hears(1, mark(0, 6)), "never sent");
        assert!(!ledger.hears(1, mark(9, 0)), "nobody's");
        let faults = ledger.faults([1].into_iter());
        assert_eq!(
            faults,
            Faults {
                lost: 1,
                doubled: 1,
                out_of_order: 1,
                stray: 3
            }
        );
        assert!(ledger.all_at_end([1].into_iter()));
        assert!(!ledger.all_at_end([0].into_iter()));
        assert_eq!(ledger.faults([0, 1].into_iter()).lost, 7);
    }

    #[test]
    fn a_message_is_complete_when_every_subscriber_of_its_channel_heard_it() {
        let mut ledger = Ledger::new(&[0, 0], &[true, true]);
        ledger.watch();
        ledger.sends(0);
        ledger.sends(0);
        let mut done = Vec::new();
        ledger.hears(0, mark(0, 0));
        ledger.hears(0, mark(0, 0));
        ledger.completed(&mut done);
        assert!(done.is_empty());
        ledger.hears(1, mark(0, 1));
        ledger.hears(0, mark(0, 1));
        ledger.hears(1, mark(0, 0));
        ledger.completed(&mut done);
        assert_eq!(done, [0, 0]);
    }

    #[test]
    fn what_was_refused_is_not_lost() {
        let mut ledger = Ledger::new(&[0], &[true]);
        ledger.watch();
        ledger.sends(0);
        ledger.sends(0);
        ledger.refused(0, 0);
        ledger.hears(0, mark(0, 1));
        assert_eq!(ledger.faults([0].into_iter()), Faults::default());
        let mut done = Vec::new();
        ledger.completed(&mut done);
        assert_eq!(done, [0, 0]);
    }

    #[test]
    fn a_late_joiner_owes_nothing_of_before() {
        let mut ledger = Ledger::new(&[0, 0], &[true, false]);
        ledger.sends(0);
        ledger.join(1);
        ledger.sends(0);
        ledger.hears(1, mark(0, 1));
        assert_eq!(ledger.faults([1].into_iter()), Faults::default());
    }
}
