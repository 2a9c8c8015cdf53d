//! GET and POST.

use std::time::Duration;

use super::beat::Beat;
use super::{Ending, Idle, Output, Outputs, PollId, PostId, Reason, Session, State};
use crate::engineio::query::Refusal;

/// A GET that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Poll {
    pub(super) id: PollId,
    /// Whether it waits; else its answer is being written.
    pub(super) parked: bool,
}

impl Session {
    /// A GET with this session's id came. A second one while one is pending ends
    /// the session: the first is answered `1`, the second refused.
    pub fn poll(&mut self, now: Duration) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        match self.state {
            State::Gone => out.push(Output::RefusePoll(Refusal::SessionUnknown)),
            State::Lingering { idle, .. } => {
                let id = PollId(self.id());
                out.push(Output::ServePoll {
                    id,
                    ping: false,
                    idle,
                });
                self.leave(&mut out);
            }
            State::Open if self.live.is_some() => {
                out.push(Output::RefusePoll(Refusal::BadRequest));
            }
            State::Open if self.poll.is_some() => {
                out.push(Output::RefusePoll(Refusal::BadRequest));
                self.end(Reason::TransportError, Ending::Broken, &mut out);
            }
            State::Open => self.serve(&mut out),
        }
        out
    }

    fn serve(&mut self, out: &mut Outputs) {
        let id = PollId(self.id());
        let ping = if let Beat::Owed { until } = self.beat {
            self.beat = Beat::Sent { until };
            true
        } else {
            false
        };
        let idle = if self.is_upgrading() {
            Idle::Noop
        } else {
            Idle::Park
        };
        let parked = !ping && idle == Idle::Park;
        self.poll = Some(Poll { id, parked });
        out.push(Output::ServePoll { id, ping, idle });
    }

    /// The GET was answered from the outbox.
    pub fn poll_answered(&mut self, now: Duration, id: PollId) -> Outputs {
        let mut out = Outputs::default();
        if self.poll.is_some_and(|poll| poll.id == id) {
            self.poll = None;
        }
        self.catch_up(now, &mut out);
        out
    }

    /// The connection of the GET went away before it was answered: the session
    /// ends, as nobody can tell what arrived.
    pub fn poll_aborted(&mut self, now: Duration, id: PollId) -> Outputs {
        let mut out = Outputs::default();
        if self.poll.is_some_and(|poll| poll.id == id) {
            self.poll = None;
            self.end(Reason::TransportError, Ending::Broken, &mut out);
        }
        self.catch_up(now, &mut out);
        out
    }

    /// The poll that [`Output::AnswerPoll`] gave a ping had just been answered
    /// from the outbox: the ping waits for the next one.
    pub fn unsent(&mut self, now: Duration) -> Outputs {
        let mut out = Outputs::default();
        if let (true, Beat::Sent { until }) = (self.is_open(), self.beat) {
            self.beat = Beat::Owed { until };
        }
        self.catch_up(now, &mut out);
        if self.is_open() {
            self.send_ping(&mut out);
        }
        out
    }

    /// A POST with this session's id came. A second one while one is under way
    /// ends the session, and both are refused.
    pub fn post(&mut self, now: Duration) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        if !self.is_open() {
            out.push(Output::RefusePost(Refusal::SessionUnknown));
        } else if self.live.is_some() {
            out.push(Output::RefusePost(Refusal::BadRequest));
        } else if self.post.is_some() {
            out.push(Output::RefusePost(Refusal::BadRequest));
            self.end(Reason::TransportError, Ending::Broken, &mut out);
        } else {
            let id = PostId(self.id());
            self.post = Some(id);
            out.push(Output::TakePost(id));
        }
        out
    }

    /// All packets of the POST have been handed over.
    pub fn post_done(&mut self, now: Duration, id: PostId) -> Outputs {
        let mut out = Outputs::default();
        self.catch_up(now, &mut out);
        if self.post == Some(id) {
            self.post = None;
            out.push(Output::AnswerPost { id, refused: None });
        }
        out
    }

    /// The caller answered the POST itself and took nothing of it: its body was
    /// larger than the limit (413). The session goes on.
    pub fn post_refused(&mut self, now: Duration, id: PostId) -> Outputs {
        let mut out = Outputs::default();
        if self.post == Some(id) {
            self.post = None;
        }
        self.catch_up(now, &mut out);
        out
    }

    /// The connection of the POST went away before its body was whole: the
    /// session ends, as something is missing.
    pub fn post_aborted(&mut self, now: Duration, id: PostId) -> Outputs {
        let mut out = Outputs::default();
        if self.post == Some(id) {
            self.post = None;
            self.end(Reason::TransportError, Ending::Broken, &mut out);
        }
        self.catch_up(now, &mut out);
        out
    }
}
