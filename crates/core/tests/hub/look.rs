//! What operators see: pages are bounded, also over thousands, and whoever is here
//! all the while is seen exactly once, whatever comes and goes between two pages.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::broker::MemoryBroker;
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::cursor::{Cursor, Epoch};
use fanwire_core::hub::{
    Attach, Delivery, Encoder, End, Filter, Flushed, FormId, Gap, GapForm, Hub, HubConfig, Kind,
    Outbox, Page, Place, Present, Ready, Runtime, Shard, Start, Subscriber, Task, Within, Writer,
};
use fanwire_core::key::{Key, SocketId};
use fanwire_core::limits::Limits;
use fanwire_core::message::Keys;
use fanwire_core::namespace::{Namespaces, Rules};
use fanwire_core::policy::{Door, Subject, Verb};

pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Duration::from_secs(1)
    }

    fn wall_ms(&self) -> u64 {
        0
    }
}

impl Runtime for Still {
    fn spawn(&self, _: Task) {}

    fn sleep(&self, _: Duration) -> Task {
        Box::pin(std::future::pending())
    }
}

/// No time is ever enough.
pub(crate) struct Hasty;

impl Runtime for Hasty {
    fn spawn(&self, _: Task) {}

    fn sleep(&self, _: Duration) -> Task {
        Box::pin(std::future::ready(()))
    }
}

pub(crate) struct Words;

impl Encoder for Words {
    fn message(&self, _: Delivery<'_>) -> Bytes {
        Bytes::from_static(b"m")
    }

    fn gap(&self, _: &Gap) -> GapForm {
        GapForm::Ends
    }

    fn ready(&self, _: &Ready<'_>) -> Bytes {
        Bytes::from_static(b"four")
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    fn keep_alive(&self) -> Option<Bytes> {
        None
    }

    fn end(&self, _: &End, _: u64) -> Bytes {
        Bytes::new()
    }
}

/// Takes nothing.
struct Shut;

impl Writer for Shut {
    fn flush(&mut self, _: &mut Outbox) -> Flushed {
        Flushed::Blocked
    }

    fn last_heard(&self) -> Instant {
        Duration::ZERO
    }

    fn ended(self: Box<Self>, _: End) {}
}

struct World {
    door: Arc<Door>,
    hub: Arc<Hub>,
    shards: Vec<Shard>,
}

impl World {
    fn new(shards: usize, runtime: Arc<dyn Runtime>) -> Self {
        let (clock, limits) = (Arc::new(Still), Limits::default());
        let door = Door::new(Namespaces::all(Rules::open()));
        let broker = MemoryBroker::new(&limits, door.clone(), clock.clone(), Epoch(1), 1);
        let config = HubConfig {
            limits,
            shards,
            seed: 1,
        };
        let encoders: Vec<Arc<dyn Encoder>> = vec![Arc::new(Words)];
        let (hub, shards) = Hub::new(config, Arc::new(broker), clock, runtime, encoders);
        Self { door, hub, shards }
    }

    fn attach(&mut self, conn: &str, channel: &str) -> Subscriber {
        let anyone = Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let keys = Keys::from_iter([Key::parse(channel.as_bytes()).unwrap()]);
        let permit = self.door.admit(anyone, Verb::Subscribe, keys).unwrap();
        let subscriber = self.hub.attach(Attach {
            permit,
            start: Start::Latest,
            since: Default::default(),
            form: FormId(0),
            greeting: Duration::ZERO,
            preface: Bytes::new(),
            kind: Kind::Stream,
            conn: SocketId::new(conn),
            writer: Box::new(Shut),
            heartbeat: None,
            shard: None,
        });
        subscriber.unwrap()
    }

    fn turn(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for shard in &mut self.shards {
            while shard.turn().again || shard.poll_work(&mut cx) {}
        }
    }

    /// What comes of it, with the shards turning.
    fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        for _ in 0..1000 {
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(done) = work.as_mut().poll(&mut cx) {
                return done;
            }
            self.turn();
        }
        panic!("no answer");
    }

    fn page(&mut self, filter: &Filter, from: Place, most: usize) -> Page<Present, Place> {
        let hub = self.hub.clone();
        let page = hub.present(filter.clone(), from, most, Duration::from_secs(1));
        self.wait(page).unwrap()
    }
}

#[test]
fn who_is_here_all_the_while_is_listed_once_whoever_comes_and_goes() {
    let mut world = World::new(2, Arc::new(Still));
    let mut stay = Vec::new();
    let mut go = Vec::new();
    // More than one stretch of slots in each shard.
    for n in 0..3000 {
        let subscriber = world.attach(&format!("{n}"), "a");
        let kept = n % 5 != 0;
        if kept { &mut stay } else { &mut go }.push(subscriber);
    }
    world.turn();
    let (mut seen, mut place, mut pages) = (Vec::new(), Place::default(), 0);
    loop {
        let page = world.page(&Filter::default(), place, 100);
        assert!(page.rows.len() <= 100);
        seen.extend(page.rows.iter().map(|row| row.conn.as_str().to_owned()));
        pages += 1;
        // Some go and others come, into the slots that they leave.
        go.truncate(go.len().saturating_sub(7));
        world.turn();
        let late = world.attach(&format!("late {pages}"), "a");
        stay.push(late);
        world.turn();
        match page.next {
            Some(next) => place = next,
            None => break,
        }
    }
    assert!(pages >= 24, "{pages}");
    let once: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "somebody is listed twice");
    for n in (0..3000).filter(|n| n % 5 != 0) {
        assert!(once.contains(&n.to_string()), "{n} is missing");
    }
}

#[test]
fn a_filter_that_meets_few_still_ends_each_page_after_a_bounded_search() {
    let mut world = World::new(1, Arc::new(Still));
    let mut all: Vec<_> = (0..5000).map(|_| world.attach("x", "a")).collect();
    all.push(world.attach("needle", "chat:b"));
    world.turn();
    let filter = Filter {
        channel: Some(Key::parse(b"chat:b").unwrap()),
        ..Filter::default()
    };
    let page = world.page(&filter, Place::default(), 10);
    let [row] = &page.rows[..] else {
        panic!("{page:?}")
    };
    assert_eq!((row.conn.as_str(), row.pending), ("needle", 4));
    assert_eq!(page.next, None);
    // A place that never was is behind the last.
    let nowhere = Place {
        shard: 9,
        slot: u32::MAX,
    };
    let page = world.page(&filter, nowhere, 10);
    assert!(page.rows.is_empty() && page.next.is_none());
}

#[test]
fn channels_are_leafed_through_in_order_and_a_prefix_ends_where_it_ends() {
    let mut world = World::new(3, Arc::new(Still));
    let mut all = Vec::new();
    for n in 0..500 {
        all.push(world.attach("x", &format!("n{n:03}")));
        all.push(world.attach("y", &format!("chat:n{n:03}")));
    }
    all.push(world.attach("z", "n007"));
    let hub = world.hub.clone();
    let second = Duration::from_secs(1);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.wait(hub.channels(&Within::Everywhere, after.as_ref(), 130, second));
        let page = page.unwrap();
        seen.extend(page.rows.into_iter().map(|row| (row.key, row.subscribers)));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 1000);
    assert_eq!(seen[7], (Key::channel("n007").unwrap(), 2));
    let names: Vec<_> = seen.iter().map(|(key, _)| key.to_string()).collect();
    assert!(names[..500].is_sorted() && names[500..].is_sorted());
    let chat = Key::parse(b"chat:x").unwrap().namespace().clone();
    let within = Within::Namespace(chat, "n04".into());
    let page = world.wait(hub.channels(&within, None, 10, second)).unwrap();
    assert_eq!((page.rows.len(), page.next), (10, None));
    assert_eq!(page.rows[9].key.to_string(), "chat:n049");
}

#[test]
fn nobody_waits_for_a_shard_that_does_not_turn() {
    let world = World::new(1, Arc::new(Hasty));
    let mut cx = Context::from_waker(Waker::noop());
    let ready = pin!(world.hub.is_ready(Duration::from_secs(1)));
    let Poll::Ready(Err(refusal)) = ready.poll(&mut cx) else {
        panic!("it waits")
    };
    assert!(refusal.detail.contains("busy"), "{refusal}");
    let mut turning = World::new(2, Arc::new(Still));
    let hub = turning.hub.clone();
    let ready = turning.wait(hub.is_ready(Duration::from_secs(1)));
    assert_eq!(ready, Ok(()));
}
