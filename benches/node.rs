//! A node without sockets: a hub with one shard, driven by hand, whose
//! subscribers' writers take everything and do nothing with it.

use std::future::Future as _;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fanwire_core::broker::MemoryBroker;
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::cursor::{Cursor, Epoch};
use fanwire_core::hub::{
    Attach, Delivery, Draft, Encoder, End, Flushed, FormId, Gap, GapForm, Heartbeat, Hub,
    HubConfig, Kind, Outbox, Ready, Runtime, Shard, Start, Subscriber, Task, Writer, write_all,
};
use fanwire_core::key::{Key, SocketId};
use fanwire_core::limits::Limits;
use fanwire_core::message::{Body, Keys};
use fanwire_core::namespace::{Namespaces, Rules};
use fanwire_core::policy::{Door, Permit, Subject, Verb};
use fanwire_proto::ws::{Opcode, close_frame, frame};

/// The time as it is.
pub(crate) struct RealClock(std::time::Instant);

impl Default for RealClock {
    fn default() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock for RealClock {
    fn now(&self) -> Instant {
        self.0.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}

/// The memory broker answers at once, so that there is nothing to run.
struct NoTasks;

impl Runtime for NoTasks {
    fn spawn(&self, _: Task) {}

    fn sleep(&self, _: Duration) -> Task {
        Box::pin(std::future::pending())
    }
}

/// Raw data in WebSocket frames, as most subscribers hear it.
struct Frames;

impl Encoder for Frames {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        match &delivery.message.body {
            Body::Json(data) | Body::Text(data) => frame(Opcode::Text, data),
            Body::Binary(data) | Body::Args { json: data, .. } => frame(Opcode::Binary, data),
        }
    }

    fn gap(&self, _: &Gap) -> GapForm {
        GapForm::Ends
    }

    fn ready(&self, _: &Ready<'_>) -> Bytes {
        Bytes::new()
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    fn keep_alive(&self) -> Option<Bytes> {
        Some(frame(Opcode::Ping, &[]))
    }

    fn end(&self, _: &End, _: u64) -> Bytes {
        close_frame(None, "")
    }
}

/// Takes everything at once, and counts the bytes.
struct Null {
    clock: Arc<RealClock>,
    taken: Arc<AtomicU64>,
}

impl Writer for Null {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        write_all(outbox, |slices: &[IoSlice<'_>]| {
            let len: usize = slices.iter().map(|slice| slice.len()).sum();
            self.taken.fetch_add(len as u64, Relaxed);
            Ok(len)
        })
    }

    fn last_heard(&self) -> Instant {
        self.clock.now()
    }

    fn ended(self: Box<Self>, _: End) {}
}

/// The node.
pub(crate) struct Node {
    clock: Arc<RealClock>,
    door: Arc<Door>,
    hub: Arc<Hub>,
    shard: Shard,
    /// Bytes that the writers took.
    taken: Arc<AtomicU64>,
    subscribers: Vec<Subscriber>,
}

impl Node {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(RealClock::default());
        let limits = Limits::default();
        let door = Door::new(Namespaces::all(Rules::open()));
        let broker = MemoryBroker::new(&limits, door.clone(), clock.clone(), Epoch(14), 1);
        let config = HubConfig {
            limits,
            shards: 1,
            seed: 1,
        };
        let encoders: Vec<Arc<dyn Encoder>> = vec![Arc::new(Frames)];
        let (hub, mut shards) = Hub::new(
            config,
            Arc::new(broker),
            clock.clone(),
            Arc::new(NoTasks),
            encoders,
        );
        // A waker has to be there for publishers to hand on by themselves.
        hub.poll_feed(&mut Context::from_waker(Waker::noop()));
        Self {
            clock,
            door,
            hub,
            shard: shards.pop().expect("a hub has a shard"),
            taken: Arc::default(),
            subscribers: Vec::new(),
        }
    }

    /// The right to do so on a channel.
    pub(crate) fn permit(&self, verb: Verb, channel: &str) -> Permit {
        let key = Key::channel(channel).expect("a channel's name");
        let anyone = Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.door
            .admit(anyone, verb, Keys::from_iter([key]))
            .expect("an open door")
    }

    /// Attaches a stream.
    pub(crate) fn attach(&self, permit: Permit, start: Start) -> Subscriber {
        let attach = Attach {
            permit,
            start,
            since: Default::default(),
            form: FormId(0),
            greeting: Duration::ZERO,
            preface: Bytes::new(),
            kind: Kind::Stream,
            conn: SocketId::new("c"),
            writer: Box::new(Null {
                clock: self.clock.clone(),
                taken: self.taken.clone(),
            }),
            heartbeat: Some(Heartbeat {
                interval: Duration::from_secs(25),
                timeout: Some(Duration::from_secs(20)),
            }),
            shard: None,
        };
        self.hub.attach(attach).expect("a hub that is open")
    }

    /// Subscribes so many live streams to a channel, and keeps them.
    pub(crate) fn subscribe(&mut self, channel: &str, count: usize) {
        let permit = self.permit(Verb::Subscribe, channel);
        for _ in 0..count {
            let subscriber = self.attach(permit.clone(), Start::Latest);
            self.subscribers.push(subscriber);
        }
        self.settle();
    }

    /// Publishes one message.
    pub(crate) fn publish(&self, permit: &Permit, body: &Bytes) {
        let mut publish = pin!(
            self.hub
                .publish(permit, Draft::new(Body::Json(body.clone())))
        );
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            if let Poll::Ready(published) = publish.as_mut().poll(&mut cx) {
                published.expect("a publish that is allowed");
                return;
            }
            self.hub.poll_feed(&mut cx);
        }
        panic!("a publish hangs");
    }

    /// Turns the shard until it has nothing left to do.
    pub(crate) fn settle(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while self.shard.turn().again || self.shard.poll_work(&mut cx) {}
    }

    /// Bytes taken by all writers so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}
