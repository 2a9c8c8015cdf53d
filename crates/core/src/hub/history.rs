//! History for code in this process, which is no subscriber.

use std::sync::Arc;

use super::Hub;
use crate::broker::{ReadRequest, Unavailable};
use crate::cursor::{Cursor, Resolved};
use crate::error::{Code, Refusal};
use crate::message::Stored;
use crate::policy::{Permit, Verb};

/// Messages that are kept of some channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// The oldest first.
    pub messages: Vec<Arc<Stored>>,
    /// Everything after it is still to come.
    pub cursor: Cursor,
    /// False where some are gone that were owed after the cursor asked about. Where
    /// none was asked about, nothing is owed.
    pub is_complete: bool,
}

impl Hub {
    /// The last `most` messages of the permit's channels that this node knows of; with
    /// a cursor the first `most` after it. A cursor that cannot be gone on from is
    /// answered with the last ones, not complete.
    ///
    /// # Errors
    /// `forbidden` where the permit is not one to read; `unavailable` where the broker
    /// cannot be reached, or does not answer in time.
    pub async fn history(
        &self,
        permit: &Permit,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<History, Refusal> {
        permit.check()?;
        if permit.verb() != Verb::Read {
            let sentence = "the permit is for something else";
            return Err(Refusal::new(Code::Forbidden, sentence));
        }
        let reading = self.read_history(permit, after, most);
        match self.within(self.limits.broker_wait, reading).await {
            Some(Ok(history)) => Ok(history),
            Some(Err(Unavailable)) => Err(unavailable("cannot be reached")),
            None => Err(unavailable("does not answer")),
        }
    }

    async fn read_history(
        &self,
        permit: &Permit,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<History, Unavailable> {
        let (lineage, upto) = {
            let feed = self.feed.lock();
            (feed.lineage.clone(), feed.applied)
        };
        let none = |cursor, is_complete| History {
            messages: Vec::new(),
            cursor,
            is_complete,
        };
        let resolved = after.map(|after| (after, lineage.resolve(after, upto)));
        let (after, known) = match resolved {
            Some((_, Resolved::At(seq))) => (seq, true),
            // Nothing up to it is given.
            Some((ahead, Resolved::Ahead(_))) => return Ok(none(ahead, true)),
            Some((_, Resolved::Gap(..))) | None => {
                let tail = self.broker.tail(permit.keys().clone(), most).await?;
                let known = resolved.is_none();
                match tail.union {
                    Some(begin) => (begin, known),
                    None => return Ok(none(lineage.cursor(upto), known)),
                }
            }
        };
        if most == 0 {
            let at = if resolved.is_some() { after } else { upto };
            return Ok(none(lineage.cursor(at), known));
        }
        let (mut at, end) = (after, upto.max(after));
        let (mut messages, mut whole) = (Vec::new(), true);
        // One answer may hold less than there is.
        loop {
            let request = ReadRequest {
                channels: permit.keys().clone(),
                after: at,
                upto: end,
                max_messages: most - messages.len(),
                max_bytes: usize::MAX,
            };
            let reply = self.broker.read(request).await?;
            whole &= reply.lost.iter().all(|loss| loss.lost_through <= at);
            // Of an epoch that the feed has not told of yet: the next question has it.
            let owed = |stored: &Arc<Stored>| lineage.knows(stored.id.epoch);
            let (came, had) = (reply.messages.len(), messages.len());
            messages.extend(reply.messages.into_iter().take_while(owed));
            if messages.len() < had + came {
                let kept: Option<&Arc<Stored>> = messages[had..].last();
                at = kept.map_or(at, |last| last.id.seq);
                break;
            }
            let before = at;
            at = at.max(reply.complete_through);
            // A store that is behind tells the rest to who asks from there.
            if messages.len() >= most || at >= end || at == before {
                break;
            }
        }
        Ok(History {
            // The last ones of one channel may lie behind what another has lost.
            is_complete: known && (whole || resolved.is_none()),
            messages,
            cursor: lineage.cursor(at),
        })
    }
}

fn unavailable(why: &str) -> Refusal {
    Refusal::new(Code::Unavailable, format!("the broker {why}; ask again"))
}
