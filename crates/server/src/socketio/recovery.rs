//! Who may come back: sockets by their public id, connected or gone a short while
//! ago. What a cluster would keep elsewhere stands behind the same few calls: open,
//! gone, take, forget.

use std::collections::VecDeque;
use std::time::Duration;

use fanwire_core::clock::Instant;
use fanwire_core::cursor::Cursor;
use fanwire_core::key::{Name, Namespace, SocketId};
use fanwire_core::policy::Subject;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::joined::Member;
use crate::handlers::{Data, Socket};

/// What a socket gets back.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) namespace: Namespace,
    pub(super) user: Subject,
    /// Where it first came in: nothing before is its own.
    pub(super) since: Cursor,
    /// From where it goes on if the client does not say.
    pub(super) from: Cursor,
    pub(super) rooms: Vec<(Name, Cursor)>,
    pub(super) data: Data,
}

/// A record, and whoever still has it.
pub(super) struct Taken {
    pub(super) record: Record,
    pub(super) holder: Option<Member>,
}

/// All of them.
pub(super) struct Recovery {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: HashMap<SocketId, Kept>,
    /// Those that went, in that order; some have come back since.
    gone: VecDeque<(Instant, SocketId)>,
}

struct Kept {
    record: Record,
    /// None: it is about to come in, or has gone.
    holder: Option<Member>,
    /// When it went.
    gone: Option<Instant>,
}

impl Recovery {
    /// For at most `most` sockets.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    /// A socket is about to come in. False where there is no place for it: all are
    /// taken by sockets that are in.
    pub(super) fn open(&self, id: &SocketId, record: Record) -> bool {
        let mut state = self.state.lock();
        while state.records.len() >= self.most {
            if !state.forget_oldest() {
                return false;
            }
        }
        let kept = Kept {
            record,
            holder: None,
            gone: None,
        };
        state.records.insert(id.clone(), kept);
        true
    }

    /// It is in.
    pub(super) fn hold(&self, member: &Member) {
        let mut state = self.state.lock();
        if let Some(kept) = state.records.get_mut(member.socket.id()) {
            kept.holder = Some(member.clone());
        }
    }

    /// It went, and may come back within `window`.
    pub(super) fn gone(&self, socket: &Socket, now: Instant, window: Duration) {
        let rooms = socket.joined();
        let mut state = self.state.lock();
        state.expire(now, window);
        let Some(kept) = state.records.get_mut(socket.id()) else {
            return;
        };
        if !kept.is_of(socket) {
            return;
        }
        kept.holder = None;
        kept.gone = Some(now);
        kept.record.rooms = rooms;
        state.note_gone(now, socket.id(), self.most);
    }

    /// It will not come back.
    pub(super) fn forget(&self, socket: &Socket) {
        let mut state = self.state.lock();
        let is_of = |kept: &Kept| kept.is_of(socket) || kept.is_idle();
        if state.records.get(socket.id()).is_some_and(is_of) {
            state.records.remove(socket.id());
        }
    }

    /// It comes back: by the same user, to the same namespace, in time.
    pub(super) fn take(
        &self,
        id: &SocketId,
        namespace: &Namespace,
        user: &Subject,
        now: Instant,
        window: Duration,
    ) -> Option<Taken> {
        let mut state = self.state.lock();
        state.expire(now, window);
        let kept = state.records.get(id)?;
        let fits = kept.record.namespace == *namespace && is_same(&kept.record.user, user);
        // Another connection is just taking it back.
        if !fits || kept.is_idle() {
            return None;
        }
        let kept = state.records.remove(id)?;
        let mut record = kept.record;
        if let Some(holder) = &kept.holder {
            record.rooms = holder.socket.joined();
        }
        Some(Taken {
            record,
            holder: kept.holder,
        })
    }

    /// Who came back did not stay long enough: as before.
    pub(super) fn put_back(&self, id: &SocketId, record: Record, now: Instant) {
        if self.open(id, record) {
            let mut state = self.state.lock();
            if let Some(kept) = state.records.get_mut(id) {
                kept.gone = Some(now);
            }
            state.note_gone(now, id, self.most);
        }
    }
}

impl Kept {
    fn is_of(&self, socket: &Socket) -> bool {
        self.holder
            .as_ref()
            .is_some_and(|member| member.socket.is(socket))
    }

    fn is_idle(&self) -> bool {
        self.holder.is_none() && self.gone.is_none()
    }
}

impl State {
    fn expire(&mut self, now: Instant, window: Duration) {
        while let Some((at, _)) = self.gone.front() {
            if now.saturating_sub(*at) <= window {
                return;
            }
            self.forget_oldest();
        }
    }

    fn note_gone(&mut self, now: Instant, id: &SocketId, most: usize) {
        // Who comes and goes all the time stands here many times.
        while self.gone.len() >= most.saturating_mul(2) {
            self.forget_oldest();
        }
        self.gone.push_back((now, id.clone()));
    }

    /// Forgets who went first; false where nobody did.
    fn forget_oldest(&mut self) -> bool {
        let Some((at, id)) = self.gone.pop_front() else {
            return false;
        };
        // One that came back and went again stands in the queue once more.
        if self
            .records
            .get(&id)
            .is_some_and(|kept| kept.gone == Some(at))
        {
            self.records.remove(&id);
        }
        true
    }
}

/// Whether both are one. Of nobody in particular the secret name is proof enough:
/// addresses change.
fn is_same(one: &Subject, other: &Subject) -> bool {
    match (one, other) {
        (Subject::Anonymous(_), Subject::Anonymous(_)) => true,
        (Subject::Key(one), Subject::Key(other)) => one == other,
        (Subject::User(one), Subject::User(other)) => {
            one.id == other.id && one.issuer == other.issuer
        }
        _ => false,
    }
}
