#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::*;
use crate::broker::contract::contract;
use crate::broker::testing::{
    Rig, Setup, TestClock, after, fed_seqs, history, key, keyed, message, poll, seqs,
};
use crate::broker::{Fed, Idempotency};
use crate::cursor::GapReason;
use crate::message::Body;
use crate::namespace::Namespaces;

fn make_with(setup: Setup, seed: u64, faults: Faults) -> (Rig, Arc<ChaosBroker>) {
    let clock = Arc::new(TestClock::default());
    let door = Door::new(setup.namespaces);
    let broker = ChaosBroker::new(
        &setup.limits,
        door.clone(),
        clock.clone(),
        Epoch(7),
        seed,
        faults,
    );
    let broker = Arc::new(broker);
    let stepped = broker.clone();
    let rig = Rig {
        broker: broker.clone(),
        clock,
        door,
        step: Box::new(move || stepped.step()),
    };
    (rig, broker)
}

mod without_faults {
    use super::*;
    fn make(setup: Setup) -> Rig {
        make_with(setup, 1, Faults::none()).0
    }
    contract!(make);
}

mod slow {
    use super::*;
    fn make(setup: Setup) -> Rig {
        // A short or stale answer is within the contract, but no clause of the
        // suite expects one.
        let faults = Faults {
            short_read: 0,
            stale_read: 0,
            ..Faults::slow()
        };
        make_with(setup, 1, faults).0
    }
    contract!(make);
}

/// A node that believes its feed, and checks that it may.
#[derive(Default)]
struct Node {
    applied: u64,
    held: BTreeMap<u64, Arc<Stored>>,
    volatile: Vec<Body>,
    lost: u64,
    epoch: Option<Epoch>,
}

impl Node {
    fn take(&mut self, event: FeedEvent) {
        match event {
            FeedEvent::Batch(batch) => {
                assert!(!batch.is_empty());
                for fed in batch {
                    match fed {
                        Fed::Volatile(message, ..) => self.volatile.push(message.body.clone()),
                        Fed::Stored(stored, _) => {
                            assert_eq!(stored.seq().0, self.applied + 1, "contiguous");
                            if let Some(epoch) = self.epoch {
                                assert_eq!(stored.id.epoch, epoch, "under the epoch told");
                            }
                            self.applied += 1;
                            self.held.insert(self.applied, stored);
                        }
                    }
                }
            }
            FeedEvent::Cut { epoch, first } => {
                assert!(first.0 <= self.applied + 1, "a cut skips nothing");
                self.applied = first.0 - 1;
                self.held.split_off(&first.0);
                self.lost = self.lost.min(self.applied);
                self.epoch = Some(epoch);
            }
            FeedEvent::Lost { through } => {
                self.applied = self.applied.max(through.0);
                self.lost = self.lost.max(through.0);
            }
        }
    }
}

fn body_of(message: &crate::message::Message) -> String {
    match &message.body {
        Body::Text(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What is left of everything that was appended.
fn truth(history: &[ChaosEvent]) -> BTreeMap<u64, Arc<Stored>> {
    let mut log = BTreeMap::new();
    for event in history {
        match event {
            ChaosEvent::Appended(stored) => {
                assert!(log.insert(stored.seq().0, stored.clone()).is_none());
            }
            ChaosEvent::Cut { first, .. } => drop(log.split_off(&first.0)),
            ChaosEvent::Lost { through } => log = log.split_off(&(through.0 + 1)),
            _ => {}
        }
    }
    log
}

struct Run {
    history: Vec<ChaosEvent>,
    counts: ChaosCounts,
    /// What the publisher of each body was told.
    told: Vec<(String, Result<Appended, AppendError>)>,
    fed: Vec<String>,
}

/// Publishes, reads, asks and steps as `seed` says, and checks what can be
/// checked on the way and at the end.
fn run(seed: u64, rounds: u64) -> Run {
    let setup = Setup {
        namespaces: Namespaces::all(history(20, usize::MAX, 600)),
        ..Setup::default()
    };
    let (rig, broker) = make_with(setup, seed, Faults::all());
    let start = broker.start();
    let mut feed = broker.follow(start.seq);
    let mut node = Node::default();
    let mut cx = Context::from_waker(Waker::noop());
    let mut dice = faults::Rng::new(!seed);
    let mut waiting = Vec::new();
    let mut reads = Vec::new();
    let mut told = Vec::new();
    let mut fed = Vec::new();
    for round in 0..=rounds {
        if round < rounds {
            let name = ["a", "b", "c"][dice.upto(2) as usize];
            let mut append = message(&[name], &round.to_string());
            append.volatile = dice.strikes(100);
            append.idempotency = dice.strikes(500).then(|| Idempotency {
                publisher: "p".into(),
                key: round.to_string().as_str().into(),
            });
            waiting.push((
                round.to_string(),
                broker.append(vec![append]).pop().unwrap(),
            ));
            if dice.strikes(200) {
                let cursor = dice.upto(node.applied);
                reads.push((cursor, broker.read(after(&["a", "b", "c"], cursor))));
            }
            if dice.strikes(100) {
                drop(poll(&mut broker.top()));
                let mut tail = broker.tail(crate::broker::testing::keys(&["a", "b"]), 3);
                drop(poll(&mut tail));
            }
            broker.step();
            rig.clock.turn(Duration::from_millis(10));
        } else {
            broker.settle();
            assert!(broker.is_quiet());
        }
        while let Poll::Ready(event) = feed.poll_next(&mut cx) {
            fed.push(format!("{event:?}"));
            node.take(event);
        }
        waiting.retain_mut(|(body, future)| match poll(future) {
            Poll::Ready(answer) => {
                told.push((std::mem::take(body), answer));
                false
            }
            Poll::Pending => true,
        });
        reads.retain_mut(|(cursor, future)| match poll(future) {
            Poll::Ready(Ok(reply)) => {
                check_read(*cursor, &reply);
                false
            }
            Poll::Ready(Err(Unavailable)) => false,
            Poll::Pending => true,
        });
    }
    assert!(waiting.is_empty() && reads.is_empty(), "settled");
    let history = broker.history();
    // The node has everything that is left and not told lost, and nothing else.
    let mut held = node.held;
    let log = truth(&history);
    assert_eq!(node.applied, broker.start().seq.0);
    held = held.split_off(&(node.lost + 1));
    let expected: BTreeMap<_, _> = log
        .into_iter()
        .filter(|(seq, _)| *seq > node.lost)
        .collect();
    assert_eq!(held, expected);
    Run {
        history,
        counts: broker.counts(),
        told,
        fed,
    }
}

/// The three channels are all there is: every seq is a message of theirs. What
/// is complete is gapless but for what is told lost.
fn check_read(cursor: u64, reply: &ReadReply) {
    let lost = reply.lost.iter().map(|loss| loss.lost_through.0).max();
    let from = cursor.max(lost.unwrap_or(0));
    let got: Vec<u64> = seqs(reply).into_iter().filter(|seq| *seq > from).collect();
    let expected: Vec<u64> = (from + 1..=reply.complete_through.0).collect();
    assert_eq!(got, expected, "after {cursor}: {:?}", reply.lost);
}

#[test]
fn whatever_happens_the_feed_adds_up_and_answers_are_true() {
    for seed in 0..200 {
        let run = run(seed, 300);
        let mut appended: BTreeMap<String, Vec<crate::cursor::MessageId>> = BTreeMap::new();
        let mut volatile = HashSet::new();
        for event in &run.history {
            match event {
                ChaosEvent::Appended(stored) => {
                    appended
                        .entry(body_of(&stored.message))
                        .or_default()
                        .push(stored.id);
                }
                ChaosEvent::Volatile(message) => {
                    assert!(volatile.insert(body_of(message)), "once");
                }
                _ => {}
            }
        }
        assert!(
            appended.values().all(|ids| ids.len() == 1),
            "each body once"
        );
        assert_eq!(run.told.len(), 300);
        for (body, answer) in &run.told {
            match answer {
                Ok(Appended::Kept { id, duplicate }) => {
                    assert_eq!(appended[body], [*id]);
                    assert!(!duplicate);
                }
                Ok(Appended::Volatile) => assert!(volatile.contains(body)),
                Err(AppendError::Unavailable) => {
                    assert!(!appended.contains_key(body) && !volatile.contains(body));
                }
                Err(AppendError::OutcomeUnknown) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn every_kind_of_fault_happens() {
    let mut sum = ChaosCounts::default();
    for seed in 0..20 {
        let counts = run(seed, 300).counts;
        add(&mut sum, &counts);
    }
    // Duplicates need a publisher that tries again: see the test below.
    let text = format!("{sum:?}").replace("duplicates: 0", "");
    assert!(!text.contains(": 0,") && !text.contains(": 0 "), "{text}");
}

fn add(sum: &mut ChaosCounts, one: &ChaosCounts) {
    macro_rules! each {
        ($($field:ident)*) => {{
            // Exhaustive: a new field must be listed here.
            let ChaosCounts { $($field),* } = one;
            $(sum.$field += $field;)*
        }};
    }
    each!(appended duplicates held_appends rejected unknown_kept unknown_lost acks_before_feed
        acks_after_feed batches_split batches_joined stalls held_reads stale_reads short_reads
        reads_unavailable held_tops tops_unavailable cuts acked_then_cut acks_unknown_by_cut
        cut_unfed losses lost_unfed answers_ahead_of_feed epochs_ahead_of_feed);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (one, two, other) = (run(5, 300), run(5, 300), run(6, 300));
    assert_eq!(one.history, two.history);
    assert_eq!(
        (one.counts, &one.told, &one.fed),
        (two.counts, &two.told, &two.fed)
    );
    assert_ne!(one.fed, other.fed);
}

#[test]
fn p24_a_retry_after_an_unknown_outcome_is_kept_once() {
    let faults = Faults {
        unknown_kept: 300,
        unknown_lost: 300,
        hold_append: 300,
        ..Faults::none()
    };
    let (mut kept, mut duplicates) = (0, 0);
    for seed in 0..50 {
        let (rig, broker) = make_with(Setup::default(), seed, faults.clone());
        for n in 0..10u64 {
            let body = n.to_string();
            let answer = loop {
                match rig.publish(keyed(&["a"], &body, "p", &body)) {
                    Err(AppendError::OutcomeUnknown) => broker.step(),
                    other => break other,
                }
            };
            let Ok(Appended::Kept { id, duplicate }) = answer else {
                panic!("{answer:?}")
            };
            duplicates += u64::from(duplicate);
            broker.settle();
            broker.set_faults(faults.clone());
            let reply = rig.read(after(&["a"], 0));
            let mine: Vec<_> = reply
                .messages
                .iter()
                .filter(|stored| body_of(&stored.message) == body)
                .map(|stored| stored.id)
                .collect();
            assert_eq!(mine, [id]);
            kept += 1;
        }
    }
    assert_eq!(kept, 500);
    assert!(duplicates > 10, "{duplicates}");
}

#[test]
fn a_cut_takes_the_newest_back_and_their_keys_and_opens_an_epoch() {
    let (rig, broker) = make_with(Setup::default(), 3, Faults::none());
    let mut feed = broker.follow(Seq(0));
    for n in 0..5u64 {
        rig.put(keyed(&["a"], "x", "p", &n.to_string()));
    }
    broker.cut(2);
    let Ok(Appended::Kept { id, duplicate }) = rig.publish(keyed(&["a"], "x", "p", "4")) else {
        panic!("not kept")
    };
    assert_eq!((id.seq, duplicate), (Seq(4), false));
    assert_ne!(id.epoch, Epoch(7));
    let early = rig.publish(keyed(&["a"], "x", "p", "2")).unwrap();
    assert!(matches!(early, Appended::Kept { id, duplicate: true } if id.seq == Seq(3)));
    let reply = rig.read(after(&["a"], 0));
    assert_eq!((seqs(&reply), reply.lost), (vec![1, 2, 3, 4], vec![]));
    let top = rig.wait(rig.broker.top()).unwrap();
    assert_eq!(top.seq, Seq(4));
    assert_eq!(top.lineage.current(), id.epoch);
    let events = rig.drain(&mut *feed);
    assert_eq!(fed_seqs(&events), [1, 2, 3, 4, 5, 4]);
    let cuts = events.iter().filter(
        |event| matches!(event, FeedEvent::Cut { epoch, first: Seq(4) } if *epoch == id.epoch),
    );
    assert_eq!(cuts.count(), 1);
    // More than there is: everything.
    broker.cut(99);
    assert_eq!(rig.put(message(&["a"], "x")), Seq(1));
    assert_eq!(broker.counts().acked_then_cut, 2 + 4);
}

#[test]
fn a_loss_is_told_by_the_feed_and_by_every_read() {
    let (rig, broker) = make_with(Setup::default(), 3, Faults::none());
    let mut feed = broker.follow(Seq(0));
    broker.lose(5);
    assert!(broker.history().is_empty(), "nothing to lose");
    rig.put(message(&["a"], "1"));
    // What is held back is lost before it is brought.
    broker.set_faults(Faults {
        hold_feed: 1_000,
        ..Faults::none()
    });
    for _ in 2..=5 {
        rig.put(message(&["a"], "x"));
    }
    broker.lose(2);
    broker.settle();
    let events = rig.drain(&mut *feed);
    assert_eq!(fed_seqs(&events), [1, 4, 5]);
    assert!(matches!(&events[1], FeedEvent::Lost { through: Seq(3) }));
    let reply = rig.read(after(&["a", "never"], 2));
    assert_eq!(seqs(&reply), [4, 5]);
    assert_eq!(reply.lost.len(), 2);
    for loss in &reply.lost {
        assert_eq!((loss.lost_through, loss.reason), (Seq(3), GapReason::Lost));
    }
    assert_eq!(rig.read(after(&["a", "never"], 3)).lost, []);
    assert_eq!(rig.tail(&["never"], 1).floors, [Seq(3)]);
    assert_eq!(broker.counts().lost_unfed, 2);
}

#[test]
fn a_node_that_starts_before_a_cut_and_follows_after_it_is_told() {
    let (rig, broker) = make_with(Setup::default(), 3, Faults::none());
    for _ in 0..4 {
        rig.put(message(&["a"], "x"));
    }
    let start = broker.start();
    broker.cut(2);
    rig.put(message(&["a"], "y"));
    let mut feed = broker.follow(start.seq);
    let events = rig.drain(&mut *feed);
    assert!(matches!(&events[0], FeedEvent::Cut { first: Seq(3), .. }));
    assert_eq!(fed_seqs(&events), [3]);
}

#[test]
fn trims_and_evictions_are_part_of_the_history() {
    let setup = Setup {
        limits: Limits {
            channel_records: 1,
            ..Limits::default()
        },
        namespaces: Namespaces::all(history(1, usize::MAX, 600)),
    };
    let (rig, broker) = make_with(setup, 3, Faults::none());
    for name in ["a", "a", "b"] {
        rig.put(message(&[name], "x"));
    }
    let removals: Vec<_> = broker
        .history()
        .into_iter()
        .filter(|event| !matches!(event, ChaosEvent::Appended(_)))
        .collect();
    let trimmed = ChaosEvent::Trimmed {
        channel: key("a"),
        through: Seq(1),
    };
    let evicted = ChaosEvent::Evicted {
        channel: key("a"),
        through: Seq(2),
    };
    assert_eq!(removals, [trimmed, evicted]);
}
