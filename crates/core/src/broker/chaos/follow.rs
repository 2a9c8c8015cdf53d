//! A node that comes late: what its feed owes it, from the history.

use std::collections::VecDeque;
use std::sync::Arc;

use super::follower::{Follower, Pending};
use super::state::State;
use super::{After, ChaosEvent};
use crate::broker::Fed;
use crate::cursor::Seq;
use crate::message::Stored;

impl State {
    pub(super) fn follow(&mut self, from: Seq, after: &mut After) -> u64 {
        let known = self.started.unwrap_or(self.history.len());
        let (past, since) = self.history.split_at(known);
        let from = from.min(top_of(past));
        let mut pending = VecDeque::new();
        let mut at = from;
        for stored in surviving(past).into_iter().filter(|one| one.seq() > from) {
            if stored.seq() > at.next() {
                let through = stored.seq().prev();
                pending.push_back(Pending::Lost { through });
            }
            at = stored.seq();
            pending.push_back(Pending::Fed(Fed::Stored(stored, None)));
        }
        if at < top_of(past) {
            let through = top_of(past);
            pending.push_back(Pending::Lost { through });
        }
        let mut follower = Follower::new(from, pending);
        for event in since {
            match event {
                ChaosEvent::Appended(stored) => {
                    let fed = Fed::Stored(stored.clone(), None);
                    follower.pending.push_back(Pending::Fed(fed));
                }
                ChaosEvent::Cut { epoch, first } => {
                    follower.cut(*epoch, *first, false);
                }
                ChaosEvent::Lost { through } => {
                    after.pending.extend(follower.lose(*through));
                }
                ChaosEvent::Volatile(_)
                | ChaosEvent::Trimmed { .. }
                | ChaosEvent::Evicted { .. } => {}
            }
        }
        let id = self.next_follower;
        self.next_follower += 1;
        self.followers.insert(id, follower);
        self.bring_or_hold(after);
        id
    }
}

/// The messages that were neither cut nor lost.
fn surviving(history: &[ChaosEvent]) -> Vec<Arc<Stored>> {
    let mut messages: Vec<Arc<Stored>> = Vec::new();
    for event in history {
        match event {
            ChaosEvent::Appended(stored) => messages.push(stored.clone()),
            ChaosEvent::Cut { first, .. } => messages.retain(|stored| stored.seq() < *first),
            ChaosEvent::Lost { through } => messages.retain(|stored| stored.seq() > *through),
            _ => {}
        }
    }
    messages
}

/// The top after all of it.
fn top_of(history: &[ChaosEvent]) -> Seq {
    history.iter().fold(Seq(0), |top, event| match event {
        ChaosEvent::Appended(stored) => stored.seq(),
        ChaosEvent::Cut { first, .. } => first.prev(),
        ChaosEvent::Lost { through } => top.max(*through),
        _ => top,
    })
}
