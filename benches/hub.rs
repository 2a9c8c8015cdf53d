//! The hub and the memory broker.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fanwire_core::broker::{Append, Broker as _, BrokerFuture, MemoryBroker, ReadRequest};
use fanwire_core::cursor::{Epoch, Seq};
use fanwire_core::hub::Start;
use fanwire_core::key::Key;
use fanwire_core::limits::Limits;
use fanwire_core::message::{Body, Keys, Message};
use fanwire_core::namespace::{Namespaces, Rules};
use fanwire_core::policy::{Door, Verb};

use crate::node::{Node, RealClock};
use crate::table::{Table, Work};

/// Bytes of a message, and of its frame.
const PAYLOAD: usize = 128;
const FRAME: u64 = PAYLOAD as u64 + 4;

fn payload() -> Bytes {
    let mut text = vec![b'"'; PAYLOAD];
    text[1..PAYLOAD - 1].fill(b'x');
    text.into()
}

pub(crate) fn run(table: &mut Table) {
    fan_out(table);
    channels(table);
    coming_and_going(table);
    catch_up(table);
    broker(table);
}

/// One channel: publish, then the shard's turn.
fn fan_out(table: &mut Table) {
    table.head("One channel, 128 B", "delivery");
    for (count, burst) in [
        (1, 1),
        (100, 1),
        (1_000, 1),
        (10_000, 1),
        (100, 16),
        (1_000, 16),
        (10_000, 16),
    ] {
        let name = format!("{count} subscribers, {burst} at once");
        if !table.wants(&name) {
            continue;
        }
        let mut node = Node::new();
        node.subscribe("news", count);
        let permit = node.permit(Verb::Publish, "news");
        let body = payload();
        let before = node.taken();
        let mut published = 0;
        table.row(&name, Work::units(count * burst), || {
            for _ in 0..burst {
                node.publish(&permit, &body);
            }
            node.settle();
            published += burst;
        });
        let expected = (published * count) as u64 * FRAME;
        assert_eq!(node.taken() - before, expected, "everything was delivered");
    }
}

/// Many channels, one publication to each in turn.
fn channels(table: &mut Table) {
    for each in [1, 10] {
        table.head(
            &format!("Subscribers of each channel: {each}, 128 B"),
            "delivery",
        );
        for count in [1, 100, 1_000, 10_000]
            .into_iter()
            .filter(|n| n * each <= 10_000)
        {
            let name = format!("{count} channels of {each}");
            if !table.wants(&name) {
                continue;
            }
            let mut node = Node::new();
            let names: Vec<String> = (0..count).map(|n| format!("room-{n}")).collect();
            names.iter().for_each(|name| node.subscribe(name, each));
            let permits: Vec<_> = names
                .iter()
                .map(|name| node.permit(Verb::Publish, name))
                .collect();
            let body = payload();
            let mut turn = permits.iter().cycle();
            table.row(&name, Work::units(each), || {
                if let Some(permit) = turn.next() {
                    node.publish(permit, &body);
                }
                node.settle();
            });
        }
    }
}

fn coming_and_going(table: &mut Table) {
    table.head("Coming and going", "subscriber");
    for others in [0, 10_000] {
        let name = format!("subscribe and unsubscribe beside {others} others");
        if !table.wants(&name) {
            continue;
        }
        let mut node = Node::new();
        node.subscribe("news", others);
        let permit = node.permit(Verb::Subscribe, "news");
        table.row(&name, Work::ONE, || {
            let subscriber = node.attach(permit.clone(), Start::Latest);
            node.settle();
            drop(subscriber);
            node.settle();
        });
    }
}

/// A stream that begins with all that a channel holds.
fn catch_up(table: &mut Table) {
    table.head("Catching up, 128 B", "message");
    for (held, others) in [(100, 0), (1_000, 0), (1_000, 1_000)] {
        let name = format!("{held} messages, beside {others} other channels");
        if !table.wants(&name) {
            continue;
        }
        let mut node = Node::new();
        let body = payload();
        for n in 0..others {
            let permit = node.permit(Verb::Publish, &format!("other-{n}"));
            node.publish(&permit, &body);
        }
        let permit = node.permit(Verb::Publish, "news");
        (0..held).for_each(|_| node.publish(&permit, &body));
        node.settle();
        let permit = node.permit(Verb::Read, "news");
        table.row(&name, Work::units(held), || {
            let before = node.taken();
            let subscriber = node.attach(permit.clone(), Start::Earliest);
            node.settle();
            let taken = node.taken() - before;
            assert_eq!(taken, held as u64 * FRAME, "everything was replayed");
            drop(subscriber);
            node.settle();
        });
    }
}

fn broker(table: &mut Table) {
    table.head("The memory broker, 128 B", "message");
    let limits = Limits::default();
    let door = Door::new(Namespaces::all(Rules::open()));
    let clock = Arc::new(RealClock::default());
    let broker = MemoryBroker::new(&limits, door, clock, Epoch(14), 1);
    for count in [1, 10_000] {
        let keys: Vec<Key> = (0..count)
            .map(|n| Key::channel(&format!("{count}-{n}")).expect("a channel's name"))
            .collect();
        let mut turn = keys.iter().cycle().cloned();
        let name = format!("append to {count} channels in turn");
        table.row(&name, Work::ONE, || {
            let key = turn.next().expect("a cycle has no end");
            let append = Append {
                message: Message::to(key, Body::Json(payload())),
                volatile: false,
                idempotency: None,
                credit: None,
            };
            let appended = broker.append(vec![append]).pop();
            ready(appended.expect("a future for each")).expect("it is kept")
        });
    }
    let request = ReadRequest {
        channels: Keys::from_iter([Key::channel("1-0").expect("a channel's name")]),
        after: Seq(0),
        upto: Seq(u64::MAX),
        max_messages: 100,
        max_bytes: usize::MAX,
    };
    table.row("read 100 messages", Work::units(100), || {
        let read = ready(broker.read(request.clone())).expect("it reads");
        assert_eq!(read.messages.len(), 100, "the bench of appends filled it");
        read
    });
}

/// The value of a future that is ready at once, as this broker's are.
fn ready<T>(mut future: BrokerFuture<T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the memory broker does not wait"),
    }
}
