#![allow(clippy::unwrap_used)]
use super::*;
use crate::broker::contract::contract;
use crate::broker::testing::{Rig, Setup, TestClock, after, message, seqs};

fn make(setup: Setup) -> Rig {
    let clock = Arc::new(TestClock::default());
    let door = Door::new(setup.namespaces);
    let broker = MemoryBroker::new(&setup.limits, door.clone(), clock.clone(), Epoch(7), 99);
    Rig {
        broker: Arc::new(broker),
        clock,
        door,
        step: Box::new(|| ()),
    }
}

contract!(make);

/// Wakes a thread that waits, once for any number of wakes.
struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn four_publishers_and_one_follower_lose_nothing_and_no_wake() {
    const EACH: u64 = 5_000;
    let rig = make(Setup::default());
    let mut feed = rig.broker.follow(Seq(0));
    let publishers: Vec<_> = (0..4)
        .map(|n| {
            let broker = rig.broker.clone();
            std::thread::spawn(move || {
                let channel = n.to_string();
                let mut mine = Vec::new();
                for k in 0..EACH {
                    let append = message(&[&channel], &k.to_string());
                    let mut future = broker.append(vec![append]).pop().unwrap();
                    let Poll::Ready(Ok(Appended::Kept { id, .. })) =
                        crate::broker::testing::poll(&mut future)
                    else {
                        panic!("not kept")
                    };
                    mine.push(id.seq);
                }
                assert!(mine.is_sorted(), "one publisher stays in order");
            })
        })
        .collect();
    // Parks whenever the feed is dry: a lost wake would leave it parked, and
    // the test would never end.
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut got = 0;
    let mut bodies = std::collections::HashMap::new();
    while got < 4 * EACH {
        match feed.poll_next(&mut cx) {
            Poll::Pending => std::thread::park(),
            Poll::Ready(FeedEvent::Batch(batch)) => {
                for fed in batch {
                    let Fed::Stored(stored, _) = fed else {
                        panic!("not stored")
                    };
                    got += 1;
                    assert_eq!(stored.seq(), Seq(got));
                    let next = bodies.entry(stored.message.targets[0].clone()).or_insert(0);
                    assert_eq!(
                        stored.message.body,
                        crate::message::Body::Text(next.to_string().into())
                    );
                    *next += 1;
                }
            }
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    publishers.into_iter().for_each(|one| one.join().unwrap());
    assert!(feed.poll_next(&mut cx).is_pending());
}

#[test]
fn readers_beside_publishers_see_no_torn_log() {
    let rig = make(Setup {
        namespaces: crate::namespace::Namespaces::all(crate::broker::testing::history(
            100,
            usize::MAX,
            600,
        )),
        ..Setup::default()
    });
    let broker = rig.broker.clone();
    let publisher = std::thread::spawn(move || {
        for n in 0..20_000u64 {
            let targets: &[&str] = [&["a"][..], &["b"], &["a", "b"]][(n % 3) as usize];
            drop(broker.append(vec![message(targets, "x")]));
        }
    });
    let mut cursor = 0;
    while cursor < 20_000 {
        let reply = rig.read(after(&["a", "b"], cursor));
        let got = seqs(&reply);
        // Every seq is in a or b: what comes after the loss is all there.
        let lost = reply
            .lost
            .iter()
            .map(|loss| loss.lost_through.0)
            .max()
            .unwrap_or(0);
        let first = cursor.max(lost) + 1;
        let from_first: Vec<u64> = got.into_iter().filter(|seq| *seq >= first).collect();
        assert_eq!(
            from_first,
            (first..=reply.complete_through.0).collect::<Vec<_>>()
        );
        assert!(reply.complete_through.0 >= cursor);
        cursor = reply.complete_through.0;
    }
    publisher.join().unwrap();
}

#[test]
fn a_follower_past_its_bytes_goes_back_to_the_logs() {
    let rig = make(Setup::default());
    let mut feed = rig.broker.follow(Seq(0));
    let body = "x".repeat(1024 * 1024 - 1024);
    // The queue holds 128 of them; each channel keeps the last one.
    for n in 0..140 {
        rig.put(message(&[["a", "b"][n % 2]], &body));
    }
    let events = rig.drain(&mut *feed);
    assert!(
        matches!(events[0], FeedEvent::Lost { through: Seq(1..) }),
        "{:?}",
        events[0]
    );
    let FeedEvent::Lost { through } = events[0] else {
        panic!()
    };
    let given = crate::broker::testing::fed_seqs(&events);
    assert_eq!(given, (through.0 + 1..=140).collect::<Vec<_>>());
    assert!(given.len() < 20, "{}", given.len());
}

#[test]
fn every_follower_hears_everything_and_a_dropped_one_nothing() {
    let rig = make(Setup::default());
    let mut one = rig.broker.follow(Seq(0));
    let two = rig.broker.follow(Seq(0));
    rig.put(message(&["a"], "1"));
    drop(two);
    rig.put(message(&["a"], "2"));
    let mut three = rig.broker.follow(Seq(0));
    for feed in [&mut one, &mut three] {
        let events = rig.drain(&mut **feed);
        assert_eq!(crate::broker::testing::fed_seqs(&events), [1, 2]);
    }
}
