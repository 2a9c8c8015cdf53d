//! One node in a box: a clock that stands, a runtime that runs when told,
//! clients with sockets of a chosen size.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::broker::{Appended, MemoryBroker};
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::cursor::{Cursor, Epoch};
use fanwire_core::error::Refusal;
use fanwire_core::hub::{
    Attach, Delivery, Draft, Encoder, End, Flushed, FormId, Gap, GapForm, Hub, HubConfig, Outbox,
    Ready, Runtime, Shard, Subscriber, Task, Writer, write_all,
};
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::limits::Limits;
use fanwire_core::message::{Body, Keys};
use fanwire_core::namespace::Namespaces;
use fanwire_core::policy::{Door, Permit, Subject, User, Verb};

use crate::late::Late;

#[derive(Default)]
struct StandingClock(AtomicU64);

impl Clock for StandingClock {
    fn now(&self) -> Instant {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs nothing by itself; sleeps end when the clock says so.
struct Idle {
    clock: Arc<StandingClock>,
    tasks: Mutex<Vec<Task>>,
}

impl Runtime for Idle {
    fn spawn(&self, task: Task) {
        self.tasks.lock().unwrap().push(task);
    }

    fn sleep(&self, time: Duration) -> Task {
        let clock = self.clock.clone();
        let until = clock.now() + time;
        Box::pin(std::future::poll_fn(move |_| {
            if clock.now() >= until {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }
}

/// Readable units, a line each. `gaps` false: a form without a place for them.
/// `waits`: replies wait for `$ready`, and volatile messages name their place.
struct Lines {
    gaps: bool,
    waits: bool,
}

impl Encoder for Lines {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        let id = match delivery.id {
            Some(id) => id.to_string(),
            None if self.waits => format!("@{}", delivery.cursor),
            None => "-".to_owned(),
        };
        let own = delivery.id.is_none_or(|id| id.cursor() == delivery.cursor);
        assert!(own, "a stored message's cursor is its own place");
        let data = match &delivery.message.body {
            Body::Json(data) | Body::Text(data) | Body::Binary(data) => data.clone(),
            Body::Args { json, .. } => json.clone(),
        };
        assert!(
            &data[..] != b"poison",
            "the encoder meets something it cannot write"
        );
        let text = String::from_utf8_lossy(&data).into_owned();
        line(format!("{id} {} {text}", delivery.channel))
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        if !self.gaps {
            return GapForm::Ends;
        }
        let lost = gap
            .lost_through
            .map_or("?".to_owned(), |cursor| cursor.to_string());
        let id = gap.id.map_or("-".to_owned(), |cursor| cursor.to_string());
        let (channel, reason, cursor) = (&gap.channel, gap.reason.as_str(), gap.cursor);
        GapForm::Unit(line(format!(
            "$gap {channel} {reason} lost={lost} cursor={cursor} id={id}"
        )))
    }

    fn ready(&self, ready: &Ready<'_>) -> Bytes {
        line(format!("$ready {}", ready.cursor))
    }

    fn replies_wait(&self) -> bool {
        self.waits
    }

    fn cursor(&self, cursor: Cursor) -> Option<Bytes> {
        self.gaps.then(|| line(format!("$cursor {cursor}")))
    }

    fn keep_alive(&self) -> Option<Bytes> {
        Some(line("ping".to_owned()))
    }

    fn drain(&self, within: Duration) -> Option<Bytes> {
        self.gaps
            .then(|| format!("$drain {}\n", within.as_millis()).into())
    }

    fn end(&self, end: &End, _: u64) -> Bytes {
        line(format!("$end {end:?}"))
    }

    fn answer(&self, _: &Bytes, units: &[Bytes], cursor: Cursor) -> Bytes {
        let mut answer: Vec<u8> = units.concat();
        answer.extend_from_slice(format!("$answer {} {cursor}\n", units.len()).as_bytes());
        answer.into()
    }
}

fn line(text: String) -> Bytes {
    Bytes::from(text + "\n")
}

/// A client's end of the wire.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) received: Vec<u8>,
    room: usize,
    heard: Instant,
    poisoned: bool,
    pub(crate) ended: Option<End>,
}

struct Socket {
    wire: Arc<Mutex<Wire>>,
    pull: bool,
}

impl Writer for Socket {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let mut wire = self
            .wire
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(!wire.poisoned, "this writer is broken");
        if self.pull {
            while !outbox.is_empty() && wire.room > 0 {
                let unit = outbox.pop().unwrap();
                wire.room = wire.room.saturating_sub(unit.len());
                wire.received.extend_from_slice(&unit);
            }
            return if outbox.is_empty() {
                Flushed::All
            } else {
                Flushed::Blocked
            };
        }
        write_all(outbox, |slices| {
            let mut taken = 0;
            for slice in slices {
                let part = slice.len().min(wire.room);
                wire.received.extend_from_slice(&slice[..part]);
                wire.room -= part;
                taken += part;
            }
            if taken == 0 {
                Err(std::io::ErrorKind::WouldBlock.into())
            } else {
                Ok(taken)
            }
        })
    }

    fn last_heard(&self) -> Instant {
        self.wire.lock().map_or(Instant::ZERO, |wire| wire.heard)
    }

    fn ended(self: Box<Self>, end: End) {
        let mut wire = self
            .wire
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        wire.ended = Some(end);
    }
}

/// One node.
pub(crate) struct World {
    clock: Arc<StandingClock>,
    runtime: Arc<Idle>,
    /// The broker's answers wait.
    pub(crate) held: Arc<AtomicBool>,
    pub(crate) door: Arc<Door>,
    pub(crate) hub: Arc<Hub>,
    shards: Vec<Shard>,
    pub(crate) clients: BTreeMap<String, (Option<Subscriber>, Arc<Mutex<Wire>>)>,
}

/// How a client comes.
pub(crate) struct Coming<'a> {
    pub(crate) name: &'a str,
    pub(crate) channels: &'a str,
    pub(crate) room: usize,
    pub(crate) pull: bool,
    pub(crate) form: u8,
    /// By the server's own code: no rule is asked.
    pub(crate) given: bool,
    pub(crate) since: Vec<Cursor>,
    /// In whose shard.
    pub(crate) beside: Option<&'a str>,
    pub(crate) start: fanwire_core::hub::Start,
    pub(crate) kind: fanwire_core::hub::Kind,
    pub(crate) heartbeat: Option<fanwire_core::hub::Heartbeat>,
    /// How long messages wait for what is said first.
    pub(crate) greeting: Duration,
    /// Bearer of a token; nobody in particular without.
    pub(crate) user: Option<&'a str>,
    /// How long that token is still valid.
    pub(crate) expires: Option<Duration>,
}

impl World {
    pub(crate) fn new(limits: Limits, shards: usize, namespaces: Namespaces) -> Self {
        let clock = Arc::new(StandingClock::default());
        let runtime = Arc::new(Idle {
            clock: clock.clone(),
            tasks: Mutex::default(),
        });
        let door = Door::new(namespaces);
        let broker = Arc::new(MemoryBroker::new(
            &limits,
            door.clone(),
            clock.clone(),
            Epoch(14),
            1,
        ));
        let held = Arc::new(AtomicBool::new(false));
        let broker = Arc::new(Late {
            inner: broker,
            held: held.clone(),
        });
        let encoders: Vec<Arc<dyn Encoder>> = vec![
            Arc::new(Lines {
                gaps: true,
                waits: false,
            }),
            Arc::new(Lines {
                gaps: false,
                waits: false,
            }),
            Arc::new(Lines {
                gaps: true,
                waits: true,
            }),
        ];
        let config = HubConfig {
            limits,
            shards,
            seed: 1,
        };
        let (hub, shards) = Hub::new(config, broker, clock.clone(), runtime.clone(), encoders);
        Self {
            clock,
            runtime,
            held,
            door,
            hub,
            shards,
            clients: BTreeMap::new(),
        }
    }

    fn permit(&self, subject: Subject, verb: Verb, channels: &str) -> Result<Permit, Refusal> {
        self.door.admit(subject, verb, keys(channels))
    }

    /// A client joins channels; asked for, or given by the server's own code.
    pub(crate) fn join(
        &mut self,
        name: &str,
        channels: &str,
        given: bool,
    ) -> Result<Cursor, Refusal> {
        let permit = match given {
            true => self.door.give(nobody(), Verb::Read, keys(channels)),
            false => self.permit(nobody(), Verb::Read, channels),
        }?;
        Ok(self.subscriber(name).join(permit))
    }

    pub(crate) fn leave(&mut self, name: &str, channels: &str) {
        self.subscriber(name).leave(keys(channels));
    }

    pub(crate) fn send(&mut self, name: &str, text: &str) {
        self.subscriber(name).send(line(text.to_owned()));
    }

    /// A reply that says where it stands.
    pub(crate) fn emit(&mut self, name: &str, text: &str) {
        let text = text.to_owned();
        let unit = Box::new(move |cursor| {
            assert!(text != "poison", "a reply that cannot be made");
            line(format!("{text} @{cursor}"))
        });
        self.subscriber(name).emit(unit);
    }

    pub(crate) fn subscriber(&self, name: &str) -> &Subscriber {
        self.clients[name].0.as_ref().unwrap()
    }

    fn subject(&self, user: Option<&str>, expires: Option<Duration>) -> Subject {
        let Some(id) = user else { return nobody() };
        Subject::User(Arc::new(User {
            id: id.into(),
            expires: expires.map(|left| self.clock.now() + left),
            ..User::default()
        }))
    }

    /// A client shows another token of its own, for `channels`.
    pub(crate) fn renew(&mut self, name: &str, channels: &str, user: &str, expires: Duration) {
        let subject = self.subject(Some(user), Some(expires));
        let permit = self.permit(subject, Verb::Read, channels).unwrap();
        self.clients[name].0.as_ref().unwrap().renew(permit);
    }

    pub(crate) fn attach(&mut self, coming: Coming<'_>) -> Result<(), Refusal> {
        let subject = self.subject(coming.user, coming.expires);
        let permit = match coming.given {
            true => self.door.give(subject, Verb::Read, keys(coming.channels)),
            false => self.permit(subject, Verb::Read, coming.channels),
        }?;
        let wire = Arc::new(Mutex::new(Wire {
            room: coming.room,
            heard: self.clock.now(),
            ..Wire::default()
        }));
        let attach = Attach {
            permit,
            start: coming.start,
            since: coming.since.into_iter().collect(),
            form: FormId(coming.form),
            greeting: coming.greeting,
            preface: Bytes::new(),
            kind: coming.kind,
            conn: SocketId::new(coming.name),
            writer: Box::new(Socket {
                wire: wire.clone(),
                pull: coming.pull,
            }),
            heartbeat: coming.heartbeat,
            shard: coming.beside.map(|name| self.subscriber(name).shard()),
        };
        let subscriber = self.hub.attach(attach)?;
        self.clients
            .insert(coming.name.to_owned(), (Some(subscriber), wire));
        Ok(())
    }

    pub(crate) fn publish(&mut self, channels: &str, draft: Draft) -> Result<Appended, Refusal> {
        // The server itself sends to a connection's own key.
        let permit = match channels.contains("@conn/") {
            true => self.door.give(nobody(), Verb::Publish, keys(channels)),
            false => self.permit(nobody(), Verb::Publish, channels),
        }?;
        let mut publish = pin!(self.hub.publish(&permit, draft));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            self.hub.poll_feed(&mut cx);
            if let Poll::Ready(outcome) = publish.as_mut().poll(&mut cx) {
                return outcome;
            }
        }
        panic!("a publish hangs");
    }

    /// The peer has read what it had and has room for `room` bytes more.
    pub(crate) fn drain(&mut self, name: &str, room: usize) {
        let (subscriber, wire) = &self.clients[name];
        wire.lock().unwrap().room += room;
        subscriber.as_ref().unwrap().writable();
    }

    pub(crate) fn hear(&mut self, name: &str) {
        self.clients[name].1.lock().unwrap().heard = self.clock.now();
    }

    pub(crate) fn poison(&mut self, name: &str) {
        self.clients[name].1.lock().unwrap().poisoned = true;
    }

    /// The task that reads for a client breaks; its socket is still the shard's.
    pub(crate) fn break_task(&mut self, name: &str) {
        let subscriber = self.clients.get_mut(name).unwrap().0.take();
        let task = std::panic::AssertUnwindSafe(move || {
            let _its_own = subscriber;
            std::panic::resume_unwind(Box::new("a task breaks"));
        });
        assert!(std::panic::catch_unwind(task).is_err());
    }

    /// Lets time pass, a millisecond-exact timer at a time.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        self.settle();
        while let Some(next) = self.next_timer().filter(|next| *next <= end) {
            let next = next.max(self.clock.now());
            self.clock
                .0
                .store(next.as_millis() as u64, Ordering::SeqCst);
            self.settle();
        }
        self.clock.0.store(end.as_millis() as u64, Ordering::SeqCst);
        self.settle();
    }

    /// The process is stopped, and goes on later: time passes and nothing runs.
    pub(crate) fn stop(&mut self, time: Duration) {
        self.settle();
        self.clock
            .0
            .fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    fn next_timer(&mut self) -> Option<Instant> {
        self.shards
            .iter_mut()
            .filter_map(|shard| shard.turn().sleep_until)
            .min()
    }

    /// Runs everything until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            self.hub.poll_feed(&mut cx);
            let mut busy = false;
            for shard in &mut self.shards {
                busy |= shard.turn().again || shard.poll_work(&mut cx);
            }
            let tasks = std::mem::take(&mut *self.runtime.tasks.lock().unwrap());
            for mut task in tasks {
                if Pin::new(&mut task).poll(&mut cx).is_pending() {
                    self.runtime.tasks.lock().unwrap().push(task);
                } else {
                    busy = true;
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the hub does not come to rest");
    }
}

/// `-` names none; `many:N` N of them; `@conn/NAME` the key of a connection.
fn keys(channels: &str) -> Keys {
    if let Some(("many", count)) = channels.split_once(':') {
        let names = 0..count.parse::<usize>().unwrap();
        return names
            .map(|name| Key::channel(&name.to_string()).unwrap())
            .collect();
    }
    let names = channels.split(',').filter(|name| *name != "-");
    names
        .map(|name| match name.split_once("@conn/") {
            Some((_, conn)) => Key::Socket(Namespace::root(), SocketId::new(conn)),
            None => Key::parse(name.as_bytes()).unwrap(),
        })
        .collect()
}

fn nobody() -> Subject {
    Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
