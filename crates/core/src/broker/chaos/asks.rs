//! Questions, and how they are answered: at once, late, stale, short, not at all.

use super::After;
use super::state::State;
use crate::broker::store::Moment;
use crate::broker::{ReadReply, ReadRequest, Tail, Top, Unavailable};
use crate::message::Keys;
use crate::ticket::Ticket;

/// A question that is not answered yet.
pub(super) enum Ask {
    Read(ReadRequest, Ticket<Result<ReadReply, Unavailable>>),
    Tail(Keys, usize, Ticket<Result<Tail, Unavailable>>),
    Top(Ticket<Result<Top, Unavailable>>),
    /// The answer is as old as the question.
    StaleRead(ReadReply, Ticket<Result<ReadReply, Unavailable>>),
}

impl State {
    pub(super) fn ask(&mut self, ask: Ask, moment: &Moment, after: &mut After) {
        let (unavailable, hold) = match &ask {
            Ask::Top(_) => (self.faults.top_unavailable, self.faults.hold_top),
            _ => (self.faults.read_unavailable, self.faults.hold_read),
        };
        let unavailable = self.rng.strikes(unavailable);
        let hold = self.rng.strikes(hold);
        match ask {
            Ask::Top(ticket) if unavailable => {
                self.counts.tops_unavailable += 1;
                after.wake.extend(ticket.answer(Err(Unavailable)));
            }
            Ask::Read(_, ticket) if unavailable => {
                self.counts.reads_unavailable += 1;
                after.wake.extend(ticket.answer(Err(Unavailable)));
            }
            Ask::Tail(_, _, ticket) if unavailable => {
                self.counts.reads_unavailable += 1;
                after.wake.extend(ticket.answer(Err(Unavailable)));
            }
            ask if hold => {
                match &ask {
                    Ask::Top(_) => self.counts.held_tops += 1,
                    _ => self.counts.held_reads += 1,
                }
                let ask = self.perhaps_stale(ask, moment);
                self.asks.push_back(ask);
            }
            ask => self.answer(ask, moment, after),
        }
    }

    fn perhaps_stale(&mut self, ask: Ask, moment: &Moment) -> Ask {
        match ask {
            Ask::Read(request, ticket) if self.rng.strikes(self.faults.stale_read) => {
                self.counts.stale_reads += 1;
                Ask::StaleRead(self.read(request, moment), ticket)
            }
            ask => ask,
        }
    }

    fn read(&mut self, mut request: ReadRequest, moment: &Moment) -> ReadReply {
        if self.rng.strikes(self.faults.short_read) {
            self.counts.short_reads += 1;
            let most = 1 + self.rng.upto(2) as usize;
            request.max_messages = request.max_messages.min(most);
        }
        let snapshot = self.store.snapshot(moment, &request);
        self.note_removals();
        snapshot.read(&request)
    }

    pub(super) fn answer(&mut self, ask: Ask, moment: &Moment, after: &mut After) {
        let top = self.store.top_seq();
        let behind = self.followers.values().any(|one| one.given < top);
        self.counts.answers_ahead_of_feed += u64::from(behind);
        let woken = match ask {
            Ask::Read(request, ticket) => ticket.answer(Ok(self.read(request, moment))),
            Ask::StaleRead(reply, ticket) => ticket.answer(Ok(reply)),
            Ask::Tail(channels, n, ticket) => {
                let snapshot = self.store.tail_snapshot(moment, &channels, n);
                self.note_removals();
                ticket.answer(Ok(snapshot.tail(n)))
            }
            Ask::Top(ticket) => {
                self.note_epoch();
                ticket.answer(Ok(self.store.top()))
            }
        };
        after.wake.extend(woken);
    }
}
