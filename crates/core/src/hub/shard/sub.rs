//! One subscriber as its shard sees it.

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::attach::{Attach, Heartbeat, Kind, Start};
use super::super::encode::{End, FormId};
use super::super::outbox::Outbox;
use super::super::queue::SubId;
use super::super::writer::Writer;
use crate::clock::Instant;
use crate::cursor::{Cursor, GapReason, Seq};
use crate::key::{Key, SocketId};
use crate::message::{Keys, Message};
use crate::policy::Permit;

use super::catchup::UNDECIDED;
use super::greeting::Greeting;
use super::replies::Held;

/// Where a subscriber stands.
pub(super) enum State {
    /// Hears publications as the shard pops them; has everything up to
    /// `shard.pos` in its outbox or beyond.
    Live,
    /// Is fed from the ring and the broker's log.
    Behind(Box<Behind>),
}

/// A subscriber that catches up.
pub(super) struct Behind {
    /// Everything up to here has been put in the outbox, or told as lost.
    pub(super) cursor: Seq,
    /// What is under way for it.
    pub(super) doing: Doing,
    /// Some until `$ready` is written.
    pub(super) opening: Option<Opening>,
    /// Per key, by number.
    pub(super) floors: SmallVec<[Floor; 1]>,
    /// The last read ran dry: what is left is in the ring.
    pub(super) dry: bool,
}

/// From where on a key's messages are owed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Floor {
    /// Its messages up to here are not owed (rewind, not joined yet) or were told
    /// as lost.
    pub(super) owed: Seq,
    /// It was joined here: up to here, who excluded it did not mean this one.
    pub(super) joined: Option<Seq>,
}

impl Floor {
    /// Not joined before `at`.
    pub(super) fn raise(&mut self, at: Seq) {
        self.owed = self.owed.max(at);
        self.joined = self.joined.max(Some(at));
    }

    /// True where the key was held when `seq` was published.
    pub(super) fn held(&self, seq: Seq) -> bool {
        self.joined.is_none_or(|joined| seq > joined)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    /// Nothing: to be fed when the outbox is empty.
    Nothing,
    /// In the queue for a read slot.
    Waiting,
    /// A read is under way.
    Reading,
    /// The broker is asked where to begin.
    Asking,
    /// The broker could not be reached, or a gap is not due yet: until then.
    Pausing(Instant),
    /// Nothing may come before what its own side says first.
    Greeting(Greeting),
}

/// What is still to be decided or said before `$ready`.
pub(super) struct Opening {
    pub(super) start: Start,
    /// A gap that stands before `$ready`, for every channel.
    pub(super) gap: Option<GapReason>,
    /// Where the shard stood when the broker was asked where to begin: what
    /// came since is owed, whether or not the answer knew of it.
    pub(super) asked_at: Seq,
    /// Where each key was joined in an earlier connection, by number; empty: said
    /// of none.
    pub(super) since: SmallVec<[Option<Cursor>; 1]>,
    /// Until when messages wait for what its own side says first.
    pub(super) greeting: Option<Instant>,
    /// What waits for `$ready`.
    pub(super) held: Held,
}

/// A subscriber: subscriptions, outbox, state, and a transport's writer.
pub(super) struct Sub {
    pub(super) id: SubId,
    pub(super) conn: SocketId,
    /// When it came.
    pub(super) since: Instant,
    pub(super) permit: Permit,
    pub(super) form: FormId,
    pub(super) kind: Kind,
    /// Its place in the member list of each of its keys.
    pub(super) places: SmallVec<[u32; 1]>,
    pub(super) state: State,
    /// Nothing up to here is delivered (again): the last seq delivered, or the
    /// client's own cursor where it is ahead of this node.
    pub(super) served: Seq,
    /// The client's own cursor, while this node has not reached it.
    pub(super) ahead: Option<Cursor>,
    /// The last volatile publication of which it has a copy.
    pub(super) last_volatile: u64,
    pub(super) outbox: Outbox,
    /// Bytes that it counts for in the shard's figures.
    pub(super) counted: usize,
    pub(super) writer: Option<Box<dyn Writer>>,
    pub(super) preface: Bytes,
    /// What a poll's answer is made of.
    pub(super) units: Vec<Bytes>,
    pub(super) unit_bytes: usize,
    /// A poll that has enough: its answer's cursor.
    pub(super) answer_at: Option<Cursor>,
    pub(super) pong: Option<Bytes>,
    pub(super) dirty: bool,
    pub(super) blocked: bool,
    /// When the peer last took something, or the outbox last began to fill.
    pub(super) progress: Instant,
    /// When something was last written.
    pub(super) last_write: Instant,
    /// When a sign of life was last asked for.
    pub(super) last_ping: Instant,
    /// When a peer that had been full took something.
    pub(super) last_drained: Instant,
    /// When an id last went out.
    pub(super) last_id: Instant,
    /// When a gap was last told in mid-stream.
    pub(super) last_gap: Option<Instant>,
    pub(super) heartbeat: Option<Heartbeat>,
    /// A poll's end, whatever happens.
    pub(super) deadline: Option<Instant>,
    /// When the token ends by which it was let in.
    pub(super) expires: Option<Instant>,
    /// The last words are in the outbox; gone when it is empty, or by then.
    pub(super) ending: Option<(End, Instant)>,
    pub(super) timer: Option<Instant>,
}

impl Sub {
    pub(super) fn new(id: SubId, attach: Attach, now: Instant) -> Self {
        let deadline = match attach.kind {
            Kind::Once { deadline, .. } => Some(now + deadline),
            Kind::Stream => None,
        };
        let keys = attach.permit.keys().len();
        let expires = attach.permit.expires();
        let mut since: SmallVec<[Option<Cursor>; 1]> = SmallVec::new();
        if !attach.since.is_empty() {
            since.extend(attach.since.into_iter().map(Some));
            since.resize(keys, None);
        }
        let greets = deadline.is_none() && !attach.greeting.is_zero();
        let greeting = greets.then(|| now + attach.greeting);
        let behind = Behind {
            cursor: UNDECIDED,
            doing: Doing::Asking,
            opening: Some(Opening {
                start: attach.start,
                gap: None,
                asked_at: Seq(0),
                since,
                greeting,
                held: Held::default(),
            }),
            floors: SmallVec::from_elem(Floor::default(), keys),
            dry: false,
        };
        Self {
            id,
            conn: attach.conn,
            since: now,
            permit: attach.permit,
            form: attach.form,
            kind: attach.kind,
            places: SmallVec::new(),
            state: State::Behind(Box::new(behind)),
            served: Seq(0),
            ahead: None,
            last_volatile: 0,
            outbox: Outbox::default(),
            counted: 0,
            writer: Some(attach.writer),
            preface: attach.preface,
            units: Vec::new(),
            unit_bytes: 0,
            answer_at: None,
            pong: None,
            dirty: false,
            blocked: false,
            progress: now,
            last_write: now,
            last_ping: now,
            last_drained: now,
            last_id: now,
            last_gap: None,
            heartbeat: attach.heartbeat,
            deadline,
            expires,
            ending: None,
            timer: None,
        }
    }

    pub(super) fn keys(&self) -> &Keys {
        self.permit.keys()
    }

    pub(super) fn is_once(&self) -> bool {
        matches!(self.kind, Kind::Once { .. })
    }

    /// True where nothing waits to be written.
    pub(super) fn is_drained(&self) -> bool {
        self.outbox.is_empty() && self.units.is_empty()
    }

    /// True where `message` is not for it.
    pub(super) fn excluded(&self, message: &Message) -> bool {
        message.except.iter().any(|key| match key {
            Key::Socket(_, id) => *id == self.conn,
            key => self.keys().contains(key),
        })
    }

    /// True where `message`, read from the log, is not for it. A key excludes from
    /// where it was joined on; one that was left meanwhile does not any more.
    pub(super) fn excluded_then(&self, behind: &Behind, message: &Message, seq: Seq) -> bool {
        message.except.iter().any(|key| match key {
            Key::Socket(_, id) => *id == self.conn,
            key => {
                let number = self.keys().iter().position(|own| own == key);
                let floor = number.and_then(|number| behind.floors.get(number));
                floor.is_some_and(|floor| floor.held(seq))
            }
        })
    }

    /// The first of the message's targets that it held there already, by its number
    /// in the message.
    pub(super) fn target_of(&self, message: &Message, seq: Seq) -> Option<usize> {
        let floor = |own: usize| match &self.state {
            State::Behind(behind) => behind.floors.get(own),
            State::Live => None,
        };
        message.targets.iter().position(|key| {
            let own = self.keys().iter().position(|own| own == key);
            own.is_some_and(|own| floor(own).is_none_or(|floor| floor.held(seq)))
        })
    }

    /// True where a message is owed under the floors: one of its targets that
    /// the stream holds has its floor below it.
    pub(super) fn owed(&self, behind: &Behind, message: &Message, seq: Seq) -> bool {
        self.keys()
            .iter()
            .zip(&behind.floors)
            .any(|(key, floor)| seq > floor.owed && message.targets.contains(key))
    }
}
