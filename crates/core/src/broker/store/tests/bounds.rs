//! Every limit: at it, and one past it.

use std::sync::Weak;

use super::*;
use crate::broker::testing::{history, seqs};
use crate::cursor::GapReason;

#[test]
fn x5_a_million_channel_names_stay_within_the_bounds() {
    let limits = Limits {
        log_bytes: 16 * 1024 * 1024,
        channel_records: 50_000,
        ..Limits::default()
    };
    let mut store = store(&limits);
    let moment = open();
    for n in 0..1_000_000u32 {
        let name = format!("channel-{n}");
        drop(store.append(&moment, incoming(&[&name], "hello")));
        drop(store.take_trash());
        if n % 1_000 == 999 {
            let usage = store.usage();
            assert!(usage.records <= 50_000 && usage.bytes <= limits.log_bytes);
        }
    }
    // Full, not just bounded, and the newest are there.
    let usage = store.usage();
    assert!(usage.bytes > limits.log_bytes - 1_000, "{usage:?}");
    let reply = read(&mut store, &moment, &after(&["channel-999999"], 0));
    assert_eq!(reply.messages.len(), 1);
    // Whoever asks for a forgotten one is told.
    for n in [0, 1, 500_000] {
        let reply = read(&mut store, &moment, &after(&[&format!("channel-{n}")], n));
        assert!(reply.messages.is_empty());
        assert!(reply.lost[0].lost_through.0 > n, "{n}");
    }
}

#[test]
fn x5_at_the_record_limit_all_stay_and_one_more_forgets_one() {
    let limits = Limits {
        channel_records: 1_000,
        ..Limits::default()
    };
    let mut store = store(&limits);
    let moment = open();
    let name = |n: u64| format!("c{n}");
    for n in 1..=1_000 {
        put(&mut store, &moment, &[&name(n)], "x");
    }
    for n in 1..=1_000 {
        let reply = read(&mut store, &moment, &after(&[&name(n)], 0));
        assert_eq!((seqs(&reply), reply.lost), (vec![n], vec![]));
    }
    put(&mut store, &moment, &[&name(1_001)], "x");
    assert_eq!(store.usage().records, 1_000);
    let reply = read(&mut store, &moment, &after(&[&name(1)], 0));
    assert_eq!(
        (reply.messages.len(), reply.lost[0].lost_through),
        (0, Seq(1))
    );
    let reply = read(&mut store, &moment, &after(&[&name(2)], 0));
    assert_eq!((seqs(&reply), reply.lost), (vec![2], vec![]));
}

#[test]
fn a_forgotten_channel_speaks_for_its_bucket_and_for_no_other() {
    let limits = Limits {
        channel_records: 1,
        ..Limits::default()
    };
    let mut store = store(&limits);
    let moment = open();
    put(&mut store, &moment, &["first"], "x");
    put(&mut store, &moment, &["second"], "x");
    // One name in 65,536 shares the bucket.
    let names = || (0..1_000_000).map(|n| format!("n{n}"));
    let twin = names()
        .find(|name| store.records.forgotten(&key(name)) == Seq(1))
        .unwrap();
    let told = names().take(10_000).filter(|name| {
        let reply = read(&mut store, &moment, &after(&[name], 0));
        !reply.lost.is_empty()
    });
    assert!(told.count() < 10);
    let reply = read(&mut store, &moment, &after(&[&twin, "second"], 0));
    assert_eq!((seqs(&reply), reply.lost.len()), (vec![2], 1));
    assert_eq!(reply.lost[0].lost_through, Seq(1));
    assert_eq!(read(&mut store, &moment, &after(&[&twin], 1)).lost, []);
    // The twin's own record begins there.
    put(&mut store, &moment, &[&twin], "x");
    let reply = read(&mut store, &moment, &after(&[&twin], 0));
    assert_eq!(
        (seqs(&reply), reply.lost[0].lost_through),
        (vec![3], Seq(1))
    );
    assert_eq!(
        read(&mut store, &moment, &after(&["second"], 0)).lost.len(),
        1
    );
}

#[test]
fn at_the_byte_cap_all_stay_and_one_byte_more_trims_the_oldest_of_all() {
    let cost = text(&["a"], "xx").cost() + 96;
    let record = 416 + 1;
    let limits = Limits {
        log_bytes: 3 * cost + 2 * record,
        ..Limits::default()
    };
    let mut store = store(&limits);
    let moment = open();
    for name in ["a", "b", "b"] {
        put(&mut store, &moment, &[name], "xx");
    }
    assert_eq!(store.usage().bytes, limits.log_bytes);
    assert_eq!(read(&mut store, &moment, &after(&["a", "b"], 0)).lost, []);
    put(&mut store, &moment, &["b"], "xx");
    let reply = read(&mut store, &moment, &after(&["a", "b"], 0));
    assert_eq!(seqs(&reply), [2, 3, 4]);
    assert_eq!(reply.lost[0].channel, key("a"));
    assert_eq!(reply.lost[0].lost_through, Seq(1));
    // One byte past it. The record of a is older than any message now, so it
    // goes first; what it lost is still told.
    put(&mut store, &moment, &["b"], "xxx");
    assert_eq!(store.usage().records, 1);
    let reply = read(&mut store, &moment, &after(&["a", "b"], 0));
    assert_eq!(seqs(&reply), [2, 3, 4, 5]);
    assert_eq!((reply.lost.len(), reply.lost[0].lost_through), (1, Seq(1)));
}

#[test]
fn a_message_larger_than_the_byte_cap_is_ordered_and_not_kept() {
    let limits = Limits {
        log_bytes: 1_000,
        ..Limits::default()
    };
    let mut store = store(&limits);
    let moment = open();
    put(&mut store, &moment, &["a"], "x");
    let big = put(&mut store, &moment, &["b"], &"x".repeat(2_000));
    assert_eq!(big.seq(), Seq(2));
    assert!(store.usage().bytes <= 1_000);
    let reply = read(&mut store, &moment, &after(&["a", "b"], 0));
    assert_eq!(seqs(&reply), [] as [u64; 0]);
    assert_eq!(reply.lost[1].lost_through, Seq(2));
    put(&mut store, &moment, &["b"], "x");
    assert_eq!(seqs(&read(&mut store, &moment, &after(&["b"], 2))), [3]);
}

#[test]
fn a_message_to_several_channels_is_counted_once_and_goes_with_the_last() {
    let namespaces = Namespaces::all(history(1, usize::MAX, 600));
    let moment = at(0, &namespaces);
    let mut store = store(&Limits::default());
    let stored = put(&mut store, &moment, &["a", "b", "c"], "x");
    let records = store.usage().bytes - stored.cost() - 96;
    assert_eq!(records, 3 * (416 + 1));
    let weak = Arc::downgrade(&stored);
    drop(stored);
    for (name, held) in [("a", true), ("b", true), ("c", false)] {
        put(&mut store, &moment, &[name], "y");
        assert_eq!(weak.upgrade().is_some(), held, "{name}");
    }
    assert_eq!(store.usage().messages, 3);
}

#[test]
fn x5_trimmed_messages_leave_memory_unless_a_reader_holds_them() {
    let namespaces = Namespaces::all(history(5, usize::MAX, 600));
    let moment = at(0, &namespaces);
    let mut store = store(&Limits::default());
    let mut weak: Vec<Weak<Stored>> = Vec::new();
    let alive = |weak: &[Weak<Stored>]| weak.iter().filter(|one| one.strong_count() > 0).count();
    for _ in 0..500 {
        weak.push(Arc::downgrade(&put(&mut store, &moment, &["a"], "x")));
        assert!(alive(&weak[weak.len().saturating_sub(80)..]) <= 5);
    }
    let request = after(&["a"], 0);
    let snapshot = store.snapshot(&moment, &request);
    for _ in 0..500 {
        weak.push(Arc::downgrade(&put(&mut store, &moment, &["a"], "x")));
    }
    assert_eq!(alive(&weak), 10);
    // What the reader sees is its instant, whole.
    let reply = snapshot.read(&request);
    assert_eq!(seqs(&reply), [496, 497, 498, 499, 500]);
    assert_eq!(reply.complete_through, Seq(500));
    assert_eq!(reply.lost[0].lost_through, Seq(495));
    drop((snapshot, reply));
    assert_eq!(alive(&weak), 5);
}

#[test]
fn a_snapshot_costs_what_the_answer_may_hold_not_what_the_channel_does() {
    let namespaces = Namespaces::all(history(1_000_000, usize::MAX, 600));
    let moment = at(0, &namespaces);
    let mut store = store(&Limits::default());
    for _ in 0..20_000 {
        put(&mut store, &moment, &["a"], "");
    }
    let chain = &store
        .records
        .get(store.records.find(&key("a")).unwrap())
        .unwrap()
        .chain;
    assert_eq!(
        chain.after(Seq(0), Seq(u64::MAX), usize::MAX).len(),
        20_000_usize.div_ceil(64)
    );
    assert_eq!(chain.after(Seq(100), Seq(u64::MAX), 101).len(), 3);
    assert_eq!(chain.after(Seq(100), Seq(128), 1_000).len(), 1);
    assert_eq!(chain.after(Seq(20_000), Seq(u64::MAX), 9).len(), 0);
    assert_eq!(chain.newest(100).len(), 3);
    // And no message is cheaper than the bound assumes.
    assert!(text(&["a"], "").cost() > super::super::read::LEAST_COST);
}

#[test]
fn old_messages_of_quiet_channels_go_as_others_are_published_to() {
    let namespaces = Namespaces::all(history(1_000, usize::MAX, 10));
    let mut store = store(&Limits::default());
    for n in 0..100u64 {
        put(
            &mut store,
            &at(0, &namespaces),
            &[&format!("quiet{n}")],
            "x",
        );
    }
    // Two records are looked at with each append.
    for _ in 0..51 {
        put(&mut store, &at(10_000, &namespaces), &["busy"], "x");
    }
    assert_eq!(store.usage().messages, 51);
    let reply = read(&mut store, &at(10_000, &namespaces), &after(&["quiet0"], 0));
    assert_eq!(reply.lost[0].reason, GapReason::Trimmed);
}

#[test]
fn time_that_runs_backwards_makes_nothing_younger() {
    let namespaces = Namespaces::all(history(1_000, usize::MAX, 10));
    let mut store = store(&Limits::default());
    put(&mut store, &at(9_000, &namespaces), &["a"], "1");
    put(&mut store, &at(0, &namespaces), &["a"], "2");
    let reply = read(&mut store, &at(18_999, &namespaces), &after(&["a"], 0));
    assert_eq!(seqs(&reply), [1, 2]);
    let reply = read(&mut store, &at(19_000, &namespaces), &after(&["a"], 0));
    assert_eq!(seqs(&reply), [] as [u64; 0]);
}

#[test]
fn x5_namespaces_without_history_are_bounded_and_past_that_share_their_loss() {
    let off = Rules {
        history: History::OFF,
        ..Rules::open()
    };
    let moment = at(0, &Namespaces::all(off));
    let mut store = store(&Limits::default());
    for n in 1..=OFF_NAMESPACES as u64 {
        put(&mut store, &moment, &[&format!("n{n}:a")], "x");
    }
    let lost = |store: &mut Store, name: &str| {
        let reply = read(store, &moment, &after(&[name], 0));
        reply.lost.first().map_or(0, |loss| loss.lost_through.0)
    };
    assert_eq!(lost(&mut store, "n5:x"), 5);
    assert_eq!(lost(&mut store, "new:x"), 0);
    put(&mut store, &moment, &["past:a"], "x");
    let past = OFF_NAMESPACES as u64 + 1;
    assert_eq!(lost(&mut store, "new:x"), past);
    assert_eq!(lost(&mut store, "past:x"), past);
    assert_eq!(lost(&mut store, "n5:x"), 5);
    put(&mut store, &moment, &["n5:a"], "x");
    assert_eq!(lost(&mut store, "n5:x"), past + 1);
    assert_eq!(store.usage().records, 0);
}

#[test]
fn p24_the_default_limits_of_keys_hold_at_and_one_past_them() {
    let mut store = store(&Limits::default());
    let moment = open();
    let mut publish = |publisher: usize, n: usize| {
        let (publisher, n) = (publisher.to_string(), n.to_string());
        let outcome = store.append(&moment, keyed(&["a"], "x", &publisher, &n));
        drop(store.take_trash());
        outcome.answer
    };
    for n in 0..10_000 {
        assert!(publish(0, n).is_ok());
    }
    assert_eq!(publish(0, 10_000), Err(AppendError::KeysFull));
    for publisher in 1..10 {
        for n in 0..10_000 {
            assert!(publish(publisher, n).is_ok());
        }
    }
    assert_eq!(publish(10, 0), Err(AppendError::KeysFull));
    assert!(matches!(
        publish(0, 0),
        Ok(Appended::Kept {
            duplicate: true,
            ..
        })
    ));
    assert_eq!(store.usage().idempotency_keys, 100_000);
}

#[test]
fn p24_keys_leave_as_they_expire_and_with_what_is_cut() {
    let limits = Limits::default();
    let mut store = store(&limits);
    let rules = Namespaces::all(Rules::open());
    for n in 0..10u64 {
        let moment = at(n * 1_000, &rules);
        drop(store.append(&moment, keyed(&["a"], "x", "p", &n.to_string())));
    }
    store.cut(Epoch(8), Seq(8)); // 8, 9 and 10 are gone
    assert_eq!(store.usage().idempotency_keys, 7);
    let moment = at(602_000, &rules); // those of 0, 1 and 2 s are over
    let again = store.append(&moment, keyed(&["a"], "x", "p", "9"));
    assert!(matches!(
        again.answer,
        Ok(Appended::Kept { id, duplicate: false }) if id.seq == Seq(8) && id.epoch == Epoch(8)
    ));
    assert_eq!(store.usage().idempotency_keys, 4 + 1);
}

#[test]
fn p24_fingerprints_keep_their_fields_apart() {
    // The same bytes, cut elsewhere, are something else.
    let moment = open();
    let mut store = store(&Limits::default());
    let mut one = keyed(&["a"], "x", "p", "k");
    one.message.event = crate::message::EventName::new("ab").unwrap();
    one.message.key = Some("c".into());
    let mut two = keyed(&["a"], "x", "p", "k");
    two.message.event = crate::message::EventName::new("a").unwrap();
    two.message.key = Some("bc".into());
    let idempotency = Idempotency {
        publisher: "p".into(),
        key: "k".into(),
    };
    for incoming in [&mut one, &mut two] {
        incoming.keyed = Some(Keyed::new(&idempotency, &incoming.message));
    }
    assert!(store.append(&moment, one).answer.is_ok());
    assert_eq!(
        store.append(&moment, two).answer,
        Err(AppendError::Mismatch)
    );
}

#[test]
fn a_socket_and_everyone_have_logs_too() {
    use crate::key::SocketId;
    let moment = open();
    let mut store = store(&Limits::default());
    let socket = Key::Socket(Namespace::root(), SocketId::new("s1"));
    let mut one = incoming(&["a"], "x");
    one.message.targets = [socket.clone(), Key::All(Namespace::root())]
        .into_iter()
        .collect();
    assert!(store.append(&moment, one).answer.is_ok());
    for key in [socket, Key::All(Namespace::root())] {
        let request = ReadRequest {
            channels: [key].into_iter().collect(),
            ..after(&["a"], 0)
        };
        assert_eq!(seqs(&read(&mut store, &moment, &request)), [1]);
    }
    assert_eq!(
        seqs(&read(&mut store, &moment, &after(&["a"], 0))),
        [] as [u64; 0]
    );
}
