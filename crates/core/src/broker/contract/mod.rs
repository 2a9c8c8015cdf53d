//! What every broker does: one suite, run over each by [`contract!`].
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::testing::{Rig, Setup, after, fed_seqs, history, key, keyed, keys, message, seqs};
use super::{Append, Appended, Fed, FeedEvent, Loss, ReadRequest};
use crate::credit::Credits;
use crate::cursor::{GapReason, Seq};
use crate::key::Namespace;
use crate::limits::Limits;
use crate::namespace::{Namespaces, Rules};

mod keyed;

pub(super) use keyed::*;

type Make<'a> = &'a dyn Fn(Setup) -> Rig;

/// One test for each clause, over the broker that `$make` makes.
macro_rules! contract {
    ($make:expr) => {
        $crate::broker::contract::contract!($make;
            ids_are_consecutive_and_in_the_order_of_the_batch
            the_feed_brings_everything_in_order_volatile_between
            a_dropped_future_takes_nothing_back
            credit_goes_along_to_the_feed_and_comes_back
            a_read_is_the_union_in_order_each_message_once
            a_read_stops_at_its_limits_but_gives_one_message
            a_read_is_complete_through_the_top_at_most
            a_channel_keeps_as_many_as_its_rules_say_and_tells_of_one_more
            a_channel_keeps_as_many_bytes_as_its_rules_say
            a_message_over_a_channels_bytes_is_delivered_and_not_kept
            messages_grow_too_old_exactly_at_their_ttl
            without_history_ids_are_given_and_the_loss_is_the_namespaces
            rules_replaced_hold_at_once
            tail_finds_where_the_last_ones_begin
            following_from_the_past_gives_what_is_held_and_names_the_rest
            a_record_too_many_forgets_the_least_recently_appended
            a_record_with_a_listener_is_not_evicted
            p24_a_keyed_message_is_kept_and_delivered_once
            p24_the_same_key_for_anything_else_is_refused
            p24_keys_are_scoped_by_publisher_and_namespace
            p24_a_keyed_volatile_message_is_delivered_once
            p24_at_a_limit_new_keys_are_refused_and_none_is_forgotten
            start_and_top_agree_when_all_is_quiet
        );
    };
    ($make:expr; $($name:ident)*) => {
        $(#[test] fn $name() { $crate::broker::contract::$name(&$make) })*
    };
}
pub(super) use contract;

fn setup(rules: Rules) -> Setup {
    Setup {
        namespaces: Namespaces::all(rules),
        ..Setup::default()
    }
}

fn limited(limits: Limits) -> Setup {
    Setup {
        limits,
        ..Setup::default()
    }
}

fn loss(channel: &str, through: u64, reason: GapReason) -> Loss {
    Loss {
        channel: key(channel),
        lost_through: Seq(through),
        reason,
    }
}

pub(super) fn ids_are_consecutive_and_in_the_order_of_the_batch(make: Make<'_>) {
    let rig = make(Setup::default());
    let batch = (0..50).map(|n| message(&["a"], &n.to_string())).collect();
    let futures = rig.broker.append(batch);
    let epoch = rig.broker.start().lineage.current();
    // Polled in reverse: the order is the batch's all the same.
    let mut ids: Vec<_> = futures
        .into_iter()
        .rev()
        .map(|future| rig.wait(future))
        .collect();
    ids.reverse();
    for (at, answer) in ids.into_iter().enumerate() {
        let Ok(Appended::Kept { id, duplicate }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (id.epoch, id.seq.0, duplicate),
            (epoch, at as u64 + 1, false)
        );
    }
    let reply = rig.read(after(&["a"], 0));
    for (at, stored) in reply.messages.iter().enumerate() {
        assert_eq!(stored.message, message(&["a"], &at.to_string()).message);
        assert_eq!(stored.ts, 1_700_000_000_000);
    }
}

pub(super) fn the_feed_brings_everything_in_order_volatile_between(make: Make<'_>) {
    let rig = make(Setup::default());
    let mut feed = rig.broker.follow(Seq(0));
    assert!(rig.drain(&mut *feed).is_empty());
    let volatile = |body| Append {
        volatile: true,
        ..message(&["a"], body)
    };
    rig.put(message(&["a"], "1"));
    assert_eq!(rig.publish(volatile("v")), Ok(Appended::Volatile));
    let batch = (0..700).map(|_| message(&["b"], "more")).collect();
    for future in rig.broker.append(batch) {
        rig.wait(future).unwrap();
    }
    assert_eq!(rig.publish(volatile("w")), Ok(Appended::Volatile));
    let events = rig.drain(&mut *feed);
    let expected: Vec<u64> = [1, 0].into_iter().chain(2..=701).chain([0]).collect();
    assert_eq!(fed_seqs(&events), expected);
    for event in &events {
        let FeedEvent::Batch(batch) = event else {
            panic!("{event:?}")
        };
        assert!(!batch.is_empty() && batch.len() <= 256);
    }
    assert_eq!(seqs(&rig.read(after(&["a"], 0))), [1]);
}

pub(super) fn a_dropped_future_takes_nothing_back(make: Make<'_>) {
    let rig = make(Setup::default());
    let mut feed = rig.broker.follow(Seq(0));
    drop(rig.broker.append(vec![message(&["a"], "1")]));
    assert_eq!(rig.put(message(&["a"], "2")), Seq(2));
    assert_eq!(fed_seqs(&rig.drain(&mut *feed)), [1, 2]);
}

pub(super) fn credit_goes_along_to_the_feed_and_comes_back(make: Make<'_>) {
    let rig = make(Setup::default());
    let credits = Credits::new(100);
    let paid = |append| Append {
        credit: credits.try_take(10),
        ..append
    };
    let mut feed = rig.broker.follow(Seq(0));
    rig.publish(paid(keyed(&["a"], "1", "p", "k"))).unwrap();
    // A duplicate is not fed: what it paid comes back at once.
    rig.publish(paid(keyed(&["a"], "1", "p", "k"))).unwrap();
    assert_eq!(credits.out(), 10);
    let events = rig.drain(&mut *feed);
    assert!(matches!(&events[..], [FeedEvent::Batch(batch)]
        if matches!(&batch[..], [Fed::Stored(_, Some(_))])));
    assert_eq!(credits.out(), 10);
    drop(events);
    assert_eq!(credits.out(), 0);
    rig.put(paid(message(&["a"], "2")));
    assert_eq!(credits.out(), 10);
    drop(feed);
    assert_eq!(credits.out(), 0);
    rig.put(paid(message(&["a"], "nobody follows")));
    assert_eq!(credits.out(), 0);
}

pub(super) fn a_read_is_the_union_in_order_each_message_once(make: Make<'_>) {
    let rig = make(Setup::default());
    for targets in [&["a"][..], &["b"], &["a", "b"], &["c"], &["b", "c"], &["a"]] {
        rig.put(message(targets, "x"));
    }
    let reply = rig.read(after(&["b", "a"], 0));
    assert_eq!(seqs(&reply), [1, 2, 3, 5, 6]);
    assert_eq!((reply.complete_through, reply.lost.len()), (Seq(6), 0));
    assert_eq!(seqs(&rig.read(after(&["a", "a"], 1))), [3, 6]);
    assert_eq!(seqs(&rig.read(after(&["nobody"], 0))), [] as [u64; 0]);
    assert_eq!(seqs(&rig.read(after(&["a", "b", "c"], 6))), [] as [u64; 0]);
}

pub(super) fn a_read_stops_at_its_limits_but_gives_one_message(make: Make<'_>) {
    let rig = make(Setup::default());
    for n in 0..200 {
        rig.put(message(&[["a", "b"][n % 2], "c"], "xxxx"));
    }
    let cost = message(&["a", "c"], "xxxx").message.cost();
    let read = |after: u64, upto: u64, max_messages, max_bytes| {
        let reply = rig.read(ReadRequest {
            channels: keys(&["a", "b", "c"]),
            after: Seq(after),
            upto: Seq(upto),
            max_messages,
            max_bytes,
        });
        (seqs(&reply), reply.complete_through.0)
    };
    assert_eq!(read(0, 999, 3, usize::MAX), (vec![1, 2, 3], 3));
    assert_eq!(read(197, 999, 3, usize::MAX), (vec![198, 199, 200], 200));
    assert_eq!(read(3, 999, 999, 2 * cost), (vec![4, 5], 5));
    assert_eq!(read(3, 999, 999, 2 * cost - 1), (vec![4], 4));
    assert_eq!(read(3, 999, 999, 0), (vec![4], 4));
    assert_eq!(read(3, 5, 999, usize::MAX), (vec![4, 5], 5));
    assert_eq!(read(3, 5, 2, usize::MAX), (vec![4, 5], 5));
    assert_eq!(read(3, 999, 0, usize::MAX), (vec![], 3));
    // Chunk by chunk, everything comes, each once.
    let (mut cursor, mut got) = (0, Vec::new());
    while cursor < 200 {
        let (some, through) = read(cursor, 200, 7, 5 * cost);
        assert!(through > cursor && some.len() <= 5);
        got.extend(some);
        cursor = through;
    }
    assert_eq!(got, (1..=200).collect::<Vec<_>>());
}

pub(super) fn a_read_is_complete_through_the_top_at_most(make: Make<'_>) {
    let rig = make(Setup::default());
    rig.put(message(&["a"], "1"));
    rig.put(message(&["b"], "2"));
    assert_eq!(rig.read(after(&["a"], 0)).complete_through, Seq(2));
    let upto_one = ReadRequest {
        upto: Seq(1),
        ..after(&["b"], 0)
    };
    let reply = rig.read(upto_one);
    assert_eq!((seqs(&reply), reply.complete_through), (vec![], Seq(1)));
}

pub(super) fn a_channel_keeps_as_many_as_its_rules_say_and_tells_of_one_more(make: Make<'_>) {
    let rig = make(setup(history(100, usize::MAX, 600)));
    for n in 1..=100 {
        assert_eq!(rig.put(message(&["a"], "x")), Seq(n));
    }
    assert_eq!(rig.read(after(&["a"], 0)).lost, []);
    rig.put(message(&["a"], "x"));
    rig.put(message(&["other"], "x"));
    let reply = rig.read(after(&["a"], 0));
    assert_eq!(seqs(&reply), (2..=101).collect::<Vec<_>>());
    assert_eq!(reply.lost, [loss("a", 1, GapReason::Trimmed)]);
    // lost_through ≤ cursor: complete, exactly.
    assert_eq!(rig.read(after(&["a"], 1)).lost, []);
    assert_eq!(rig.read(after(&["other"], 0)).lost, []);
}

pub(super) fn a_channel_keeps_as_many_bytes_as_its_rules_say(make: Make<'_>) {
    let cost = message(&["a"], "xx").message.cost();
    let rig = make(setup(history(1_000, 3 * cost, 600)));
    for _ in 0..3 {
        rig.put(message(&["a"], "xx"));
    }
    assert_eq!(rig.read(after(&["a"], 0)).lost, []);
    rig.put(message(&["a"], "xx"));
    let reply = rig.read(after(&["a"], 0));
    assert_eq!(seqs(&reply), [2, 3, 4]);
    assert_eq!(reply.lost, [loss("a", 1, GapReason::Trimmed)]);
    // A larger one pushes out as many as it needs the room of.
    rig.put(message(&["a"], "xxx"));
    assert_eq!(seqs(&rig.read(after(&["a"], 0))), [4, 5]);
}

pub(super) fn a_message_over_a_channels_bytes_is_delivered_and_not_kept(make: Make<'_>) {
    let cost = message(&["a"], "xx").message.cost();
    let rig = make(setup(history(1_000, cost, 600)));
    let mut feed = rig.broker.follow(Seq(0));
    rig.put(message(&["a"], "xx"));
    rig.put(message(&["a"], "xxx"));
    assert_eq!(fed_seqs(&rig.drain(&mut *feed)), [1, 2]);
    let reply = rig.read(after(&["a"], 1));
    assert_eq!(seqs(&reply), [] as [u64; 0]);
    assert_eq!(reply.lost, [loss("a", 2, GapReason::Trimmed)]);
}

pub(super) fn messages_grow_too_old_exactly_at_their_ttl(make: Make<'_>) {
    let rig = make(setup(history(1_000, usize::MAX, 10)));
    rig.put(message(&["a"], "1"));
    rig.clock.turn(Duration::from_millis(9_999));
    rig.put(message(&["a"], "2"));
    assert_eq!(seqs(&rig.read(after(&["a"], 0))), [1, 2]);
    rig.clock.turn(Duration::from_millis(1));
    let reply = rig.read(after(&["a"], 0));
    assert_eq!(seqs(&reply), [2]);
    assert_eq!(reply.lost, [loss("a", 1, GapReason::Trimmed)]);
}

pub(super) fn without_history_ids_are_given_and_the_loss_is_the_namespaces(make: Make<'_>) {
    let off = Rules {
        history: crate::namespace::History::OFF,
        ..Rules::open()
    };
    let namespaces =
        Namespaces::all(Rules::open()).with(Namespace::new("off").unwrap(), off.clone());
    let rig = make(Setup {
        namespaces,
        ..Setup::default()
    });
    let mut feed = rig.broker.follow(Seq(0));
    rig.put(message(&["a"], "1"));
    assert_eq!(rig.read(after(&["off:x"], 0)).lost, []);
    assert_eq!(rig.put(message(&["off:x"], "2")), Seq(2));
    let reply = rig.read(after(&["a", "off:y"], 0));
    assert_eq!(seqs(&reply), [1]);
    assert_eq!(reply.lost, [loss("off:y", 2, GapReason::HistoryOff)]);
    assert_eq!(reply.complete_through, Seq(2));
    assert_eq!(rig.read(after(&["off:x"], 2)).lost, []);
    assert_eq!(fed_seqs(&rig.drain(&mut *feed)), [1, 2]);
    assert_eq!(rig.tail(&["off:x"], 5).floors, [Seq(2)]);
}

pub(super) fn rules_replaced_hold_at_once(make: Make<'_>) {
    let rig = make(Setup::default());
    for _ in 0..3 {
        rig.put(message(&["a"], "x"));
    }
    rig.door
        .replace(Namespaces::all(history(2, usize::MAX, 600)));
    let reply = rig.read(after(&["a"], 0));
    assert_eq!(seqs(&reply), [2, 3]);
    assert_eq!(reply.lost, [loss("a", 1, GapReason::Trimmed)]);
    rig.door.replace(Namespaces::all(history(0, 0, 0)));
    rig.put(message(&["b"], "4"));
    let reply = rig.read(after(&["a"], 0));
    assert_eq!(seqs(&reply), [] as [u64; 0]);
    assert_eq!(reply.lost, [loss("a", 4, GapReason::HistoryOff)]);
    // On again: what went by in between stays told.
    rig.door.replace(Namespaces::all(Rules::open()));
    rig.put(message(&["a"], "5"));
    assert_eq!(rig.read(after(&["b"], 3)).lost.len(), 1);
    assert_eq!(rig.read(after(&["a"], 4)).lost, []);
    assert_eq!(seqs(&rig.read(after(&["a"], 4))), [5]);
}

pub(super) fn tail_finds_where_the_last_ones_begin(make: Make<'_>) {
    let rig = make(setup(history(100, usize::MAX, 600)));
    assert_eq!(rig.tail(&["a", "b"], 3).union, None);
    assert_eq!(rig.tail(&["a", "b"], 3).floors, [Seq(0), Seq(0)]);
    for n in 0..150 {
        // a: 1, 4, 7 …; b: 2, 5, …; both: 3, 6, …
        let targets: &[&str] = [&["a"][..], &["b"], &["a", "b"]][n % 3];
        rig.put(message(targets, "x"));
    }
    // a holds 100: 1, 3, 4, 6, 7, 9 …, 148, 150.
    let tail = rig.tail(&["a", "b", "c"], 3);
    assert_eq!(tail.floors, [Seq(146), Seq(146), Seq(0)]);
    assert_eq!(tail.union, Some(Seq(147)));
    assert_eq!(rig.tail(&["a"], 100).floors, [Seq(0)]);
    assert_eq!(rig.tail(&["a", "b"], 150).union, Some(Seq(0)));
    assert_eq!(rig.tail(&["a", "b"], 149).union, Some(Seq(1)));
    assert_eq!(rig.tail(&["a", "b"], usize::MAX).union, Some(Seq(0)));
    rig.put(message(&["a"], "x")); // 151; 1 is gone
    let tail = rig.tail(&["a"], usize::MAX);
    assert_eq!(
        (&tail.floors[..], tail.union),
        (&[Seq(2)][..], Some(Seq(2)))
    );
    assert_eq!(rig.tail(&["a"], 1).floors, [Seq(150)]);
    assert_eq!(rig.tail(&["a"], 0).floors, [Seq(151)]);
    // Fewer than asked for: just before the oldest.
    rig.put(message(&["late"], "x")); // 152
    assert_eq!(rig.tail(&["late", "a"], 5).floors[0], Seq(151));
}

pub(super) fn following_from_the_past_gives_what_is_held_and_names_the_rest(make: Make<'_>) {
    let rig = make(setup(history(2, usize::MAX, 600)));
    for channel in ["a", "a", "b", "a", "a", "b"] {
        rig.put(message(&[channel], "x")); // held: 3 4 5 6
    }
    let mut feed = rig.broker.follow(Seq(0));
    rig.put(message(&["c"], "x"));
    let mut given = Vec::new();
    let mut at = 0;
    for event in rig.drain(&mut *feed) {
        match event {
            FeedEvent::Lost { through } => at = through.0,
            FeedEvent::Cut { .. } => panic!("nothing was cut"),
            FeedEvent::Batch(batch) => {
                for fed in batch {
                    let Fed::Stored(stored, _) = fed else {
                        continue;
                    };
                    assert_eq!(stored.seq().0, at + 1, "contiguous");
                    at = stored.seq().0;
                    given.push(at);
                }
            }
        }
    }
    assert_eq!(at, 7);
    assert!(given.ends_with(&[3, 4, 5, 6, 7]), "{given:?}");
    let mut feed = rig.broker.follow(Seq(5));
    assert_eq!(fed_seqs(&rig.drain(&mut *feed)), [6, 7]);
}

pub(super) fn a_record_too_many_forgets_the_least_recently_appended(make: Make<'_>) {
    let rig = make(limited(Limits {
        channel_records: 3,
        ..Limits::default()
    }));
    for channel in ["a", "b", "c", "a"] {
        rig.put(message(&[channel], "x"));
    }
    // Listening and reading make no record.
    rig.broker.listening(&key("e"), true);
    assert_eq!(rig.read(after(&["a", "b", "c", "e"], 0)).lost, []);
    rig.put(message(&["d"], "x"));
    let reply = rig.read(after(&["a", "b", "c", "d"], 0));
    assert_eq!(seqs(&reply), [1, 3, 4, 5]);
    assert_eq!(reply.lost, [loss("b", 2, GapReason::Trimmed)]);
    assert_eq!(rig.read(after(&["b"], 2)).lost, []);
    // Its next record begins with that loss.
    rig.put(message(&["b"], "x"));
    assert_eq!(
        rig.read(after(&["b"], 1)).lost,
        [loss("b", 2, GapReason::Trimmed)]
    );
    assert_eq!(seqs(&rig.read(after(&["b"], 2))), [6]);
}

pub(super) fn a_record_with_a_listener_is_not_evicted(make: Make<'_>) {
    let rig = make(limited(Limits {
        channel_records: 2,
        ..Limits::default()
    }));
    rig.broker.listening(&key("a"), true);
    rig.put(message(&["a"], "x"));
    rig.broker.listening(&key("a"), true);
    rig.put(message(&["b"], "x"));
    rig.put(message(&["c"], "x"));
    assert_eq!(seqs(&rig.read(after(&["a", "b", "c"], 0))), [1, 3]);
    rig.broker.listening(&key("a"), false);
    rig.put(message(&["d"], "x"));
    assert_eq!(seqs(&rig.read(after(&["a", "c", "d"], 0))), [1, 4]);
    // The last listener is gone: now it is the least recently appended one.
    rig.broker.listening(&key("a"), false);
    rig.put(message(&["e"], "x"));
    let reply = rig.read(after(&["a", "d", "e"], 0));
    assert_eq!(seqs(&reply), [4, 5]);
    assert_eq!(reply.lost, [loss("a", 1, GapReason::Trimmed)]);
    // One off too many is nothing.
    rig.broker.listening(&key("a"), false);
    rig.broker.listening(&key("nobody"), false);
}

pub(super) fn start_and_top_agree_when_all_is_quiet(make: Make<'_>) {
    let rig = make(Setup::default());
    assert_eq!(rig.broker.start().seq, Seq(0));
    rig.put(message(&["a"], "x"));
    let top = rig.wait(rig.broker.top()).unwrap();
    assert_eq!(top.seq, Seq(1));
    assert_eq!(rig.broker.start(), top);
    assert_eq!(top.lineage.cursor(Seq(1)).seq(), Seq(1));
}
