//! The hand-over, under shuttle: subscribing against publishing, the feed's
//! driver and the shard's turn, in every order in which they may pass the locks
//! (exhaustively up to a bound, at random, and with preemptions where they hurt).
//! Each message is in exactly one of replay and live.
//!
//! `cargo test -p fanwire-core --features shuttle --test handover`; without the
//! feature there is nothing here. A failure prints the schedule that replays it.
#![cfg(feature = "shuttle")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fanwire_core::broker::MemoryBroker;
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::cursor::{Cursor, Epoch, Seq};
use fanwire_core::hub::{
    Attach, Delivery, Draft, Encoder, End, Flushed, FormId, Gap, GapForm, Hub, HubConfig, Kind,
    Outbox, Ready, Runtime, Shard, Start, Subscriber, Task, Writer,
};
use fanwire_core::key::{Key, SocketId};
use fanwire_core::limits::Limits;
use fanwire_core::message::{Body, Keys};
use fanwire_core::namespace::{Namespaces, Rules};
use fanwire_core::policy::{Door, Permit, Subject, Verb};
use shuttle::{future, thread};

const EPOCH: Epoch = Epoch(7);
/// Messages before the race, and in it.
const BEFORE: u64 = 2;
const RACED: u64 = 2;

/// Time that stands still: no time-out helps anyone.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Duration::from_secs(1)
    }

    fn wall_ms(&self) -> u64 {
        0
    }
}

impl Runtime for Still {
    fn spawn(&self, task: Task) {
        drop(future::spawn(task));
    }

    fn sleep(&self, _: Duration) -> Task {
        Box::pin(std::future::pending())
    }
}

/// `>5` for `$ready` after 5, `6` for message 6.
struct Plain;

impl Encoder for Plain {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        delivery.id.map_or(0, |id| id.seq.0).to_string().into()
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        GapForm::Unit(format!("gap {}", gap.reason.as_str()).into())
    }

    fn ready(&self, ready: &Ready<'_>) -> Bytes {
        format!(">{}", ready.cursor.seq().0).into()
    }

    fn cursor(&self, _: Cursor) -> Option<Bytes> {
        None
    }

    fn keep_alive(&self) -> Option<Bytes> {
        None
    }

    fn end(&self, end: &End, _: u64) -> Bytes {
        format!("{end:?}").into()
    }
}

/// What a listener has, unit by unit, and who waits for the last one.
#[derive(Default)]
struct Heard {
    units: Vec<String>,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    fn units(&self) -> Vec<String> {
        self.0.lock().unwrap().units.clone()
    }

    /// Ready once message `last` is there.
    fn poll_for(&self, last: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut heard = self.0.lock().unwrap();
        if heard.units.iter().any(|unit| *unit == last.to_string()) {
            return Poll::Ready(());
        }
        heard.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Writer for Ear {
    fn flush(&mut self, outbox: &mut Outbox) -> Flushed {
        let woken = {
            let mut heard = self.0.lock().unwrap();
            while let Some(unit) = outbox.pop() {
                heard.units.push(String::from_utf8(unit.to_vec()).unwrap());
            }
            heard.waker.take()
        };
        woken.into_iter().for_each(Waker::wake);
        Flushed::All
    }

    fn last_heard(&self) -> Instant {
        Duration::from_secs(1)
    }

    fn ended(self: Box<Self>, _: End) {}
}

struct World {
    hub: Arc<Hub>,
    door: Arc<Door>,
}

fn channel() -> Keys {
    Keys::from_iter([Key::channel("a").unwrap()])
}

impl World {
    /// `ring`: bytes; with none, replay is read from the broker.
    fn new(ring: usize) -> (Arc<Self>, Shard) {
        let limits = Limits {
            ring_bytes: ring,
            ..Limits::default()
        };
        let door = Door::new(Namespaces::all(Rules::open()));
        let still = Arc::new(Still);
        let broker = MemoryBroker::new(&limits, door.clone(), still.clone(), EPOCH, 1);
        let config = HubConfig {
            limits,
            shards: 1,
            seed: 1,
        };
        let encoders: Vec<Arc<dyn Encoder>> = vec![Arc::new(Plain)];
        let (hub, mut shards) = Hub::new(config, Arc::new(broker), still.clone(), still, encoders);
        hub.poll_feed(&mut Context::from_waker(Waker::noop()));
        let world = Arc::new(Self { hub, door });
        (0..BEFORE).for_each(|_| world.publish());
        (world, shards.remove(0))
    }

    fn anyone(&self, verb: Verb) -> Permit {
        let anyone = Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.door.admit(anyone, verb, channel()).unwrap()
    }

    /// Publishes and does not wait for the answer.
    fn publish(&self) {
        let draft = Draft::new(Body::Text(Bytes::from_static(b"x")));
        let mut publishing = Box::pin(self.hub.publish(&self.anyone(Verb::Publish), draft));
        let _ = publishing
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    }

    fn attach(&self, start: Start) -> (Subscriber, Ear) {
        self.attach_by(self.anyone(Verb::Read), start)
    }

    fn attach_by(&self, permit: Permit, start: Start) -> (Subscriber, Ear) {
        let ear = Ear::default();
        let attach = Attach {
            permit,
            start,
            since: Default::default(),
            form: FormId(0),
            greeting: Duration::ZERO,
            preface: Bytes::new(),
            kind: Kind::Stream,
            conn: SocketId::new("c"),
            writer: Box::new(ear.clone()),
            heartbeat: None,
            shard: None,
        };
        (self.hub.attach(attach).unwrap(), ear)
    }
}

/// Where the listeners of a race start.
fn starts() -> [Start; 3] {
    let cursor = Cursor::read(Cursor::new(EPOCH, Seq(1)).to_string().as_bytes());
    [Start::Latest, Start::After(cursor), Start::Rewind(99)]
}

/// `$ready` after some seq that the start allows, then every message after it.
fn whole(start: Start, units: &[String]) {
    let ready = units.first().and_then(|unit| unit.strip_prefix('>'));
    let ready: u64 = ready.expect("$ready comes first").parse().unwrap();
    let allowed = match start {
        Start::Latest => BEFORE..=BEFORE + RACED,
        Start::After(_) => 1..=1,
        _ => 0..=0,
    };
    assert!(allowed.contains(&ready), "{start:?} began after {ready}");
    let owed: Vec<String> = (ready + 1..=BEFORE + RACED)
        .map(|seq| seq.to_string())
        .collect();
    assert_eq!(units[1..], owed, "{start:?}: once each, in order");
}

/// Everybody takes a bounded number of steps; then what is left is done.
fn bounded(start: Start, ring: usize) {
    let (world, mut shard) = World::new(ring);
    let publisher = thread::spawn({
        let world = world.clone();
        move || (0..RACED).for_each(|_| world.publish())
    });
    let feed = thread::spawn({
        let world = world.clone();
        move || world.hub.poll_feed(&mut Context::from_waker(Waker::noop()))
    });
    let turns = thread::spawn(move || {
        shard.turn();
        shard.turn();
        shard
    });
    let (_handle, ear) = world.attach(start);
    publisher.join().unwrap();
    feed.join().unwrap();
    let mut shard = turns.join().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    world.hub.poll_feed(&mut cx);
    while shard.turn().again || shard.poll_work(&mut cx) {}
    whole(start, &ear.units());
}

/// One that is there without the channel joins it: from the place that it is told
/// on, it hears everything once.
fn joining(ring: usize) {
    let (world, mut shard) = World::new(ring);
    let anyone = Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let nothing = world.door.give(anyone, Verb::Read, Keys::new()).unwrap();
    let (handle, ear) = world.attach_by(nothing, Start::Latest);
    let publisher = thread::spawn({
        let world = world.clone();
        move || (0..RACED).for_each(|_| world.publish())
    });
    let feed = thread::spawn({
        let world = world.clone();
        move || world.hub.poll_feed(&mut Context::from_waker(Waker::noop()))
    });
    let turns = thread::spawn(move || {
        shard.turn();
        shard.turn();
        shard
    });
    let from = handle.join(world.anyone(Verb::Read)).seq().0;
    publisher.join().unwrap();
    feed.join().unwrap();
    let mut shard = turns.join().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    world.hub.poll_feed(&mut cx);
    while shard.turn().again || shard.poll_work(&mut cx) {}
    let owed: Vec<String> = (from + 1..=BEFORE + RACED)
        .map(|seq| seq.to_string())
        .collect();
    assert_eq!(ear.units()[1..], owed, "joined after {from}");
    drop(handle);
    while shard.turn().again || shard.poll_work(&mut cx) {}
    assert_eq!(world.hub.keys(), 0, "what was listened to is left");
}

/// Everybody runs only when woken: a wake-up that is lost is a deadlock, which
/// shuttle reports.
fn woken(start: Start, ring: usize) {
    let (world, mut shard) = World::new(ring);
    let stop = Arc::new(AtomicBool::new(false));
    let feed = future::spawn({
        let (world, stop) = (world.clone(), stop.clone());
        poll_fn(move |cx| {
            world.hub.poll_feed(cx);
            if stop.load(SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    });
    let turns = future::spawn({
        let stop = stop.clone();
        poll_fn(move |cx| {
            while shard.turn().again || shard.poll_work(cx) {}
            if stop.load(SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    });
    let publisher = thread::spawn({
        let world = world.clone();
        move || {
            for _ in 0..RACED {
                let draft = Draft::new(Body::Text(Bytes::from_static(b"x")));
                let permit = world.anyone(Verb::Publish);
                future::block_on(world.hub.publish(&permit, draft)).unwrap();
            }
        }
    });
    let (handle, ear) = world.attach(start);
    publisher.join().unwrap();
    // A listener that began after the last message has nothing to wait for.
    let last = BEFORE + RACED;
    if start != Start::Latest {
        future::block_on(poll_fn(|cx| ear.poll_for(last, cx)));
        whole(start, &ear.units());
    }
    stop.store(true, SeqCst);
    // Each driver has one more reason to look.
    drop(handle);
    world.publish();
    feed.abort();
    turns.abort();
}

#[test]
fn a_message_is_in_exactly_one_of_replay_and_live_exhaustively_to_a_bound() {
    for start in starts() {
        for ring in [0, 1 << 20] {
            shuttle::check_dfs(move || bounded(start, ring), Some(3_000));
        }
    }
}

#[test]
fn a_message_is_in_exactly_one_of_replay_and_live_at_random() {
    for start in starts() {
        for ring in [0, 1 << 20] {
            shuttle::check_random_with_seed(move || bounded(start, ring), 1, 2_000);
            shuttle::check_pct(move || bounded(start, ring), 2_000, 4);
        }
    }
}

#[test]
fn nobody_is_left_unwoken() {
    for start in starts() {
        for ring in [0, 1 << 20] {
            shuttle::check_random_with_seed(move || woken(start, ring), 1, 1_000);
            shuttle::check_pct(move || woken(start, ring), 1_000, 4);
        }
    }
}

#[test]
fn a_channel_that_is_joined_is_heard_from_the_place_told_on() {
    for ring in [0, 1 << 20] {
        shuttle::check_dfs(move || joining(ring), Some(3_000));
        shuttle::check_random_with_seed(move || joining(ring), 1, 1_000);
        shuttle::check_pct(move || joining(ring), 1_000, 4);
    }
}
