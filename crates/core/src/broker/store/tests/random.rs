//! The store against the model, op by op.

use proptest::prelude::*;

use super::model::Model;
use super::*;
use crate::broker::testing::history;
use crate::namespace::Rules;

const KEYS: [&str; 8] = ["a", "b", "c", "d", "@all", "n:a", "n:b", "off:a"];

#[derive(Clone, Debug)]
enum Op {
    Append {
        targets: Vec<usize>,
        body: usize,
    },
    Turn(u64),
    Listen(usize, bool),
    Cut(u64),
    Lose(u64),
    Rules(usize),
    Read {
        channels: Vec<usize>,
        after: u64,
        upto: u64,
        messages: usize,
        bytes: usize,
    },
    Tail {
        channels: Vec<usize>,
        n: usize,
    },
}

fn some_keys(range: std::ops::Range<usize>) -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..KEYS.len()).collect::<Vec<_>>(), range).prop_shuffle()
}

fn op(with_turns: bool) -> impl Strategy<Value = Op> {
    // The targets of a message are of one namespace.
    let targets = prop_oneof![
        4 => proptest::sample::subsequence(vec![0, 1, 2, 3, 4], 1..=3),
        2 => proptest::sample::subsequence(vec![5, 6], 1..=2),
        1 => Just(vec![7]),
    ];
    prop_oneof![
        30 => (targets, 0usize..200).prop_map(|(targets, body)| Op::Append { targets, body }),
        if with_turns { 4 } else { 0 } => (0u64..400).prop_map(Op::Turn),
        4 => (0..KEYS.len(), any::<bool>()).prop_map(|(key, on)| Op::Listen(key, on)),
        1 => (0u64..12).prop_map(Op::Cut),
        1 => (0u64..12).prop_map(Op::Lose),
        1 => (0usize..4).prop_map(Op::Rules),
        8 => (some_keys(1..6), 0u64..80, 0u64..90, 0usize..8, 0usize..2_000).prop_map(
            |(channels, after, upto, messages, bytes)| {
                // Often everything, to the end.
                let all = messages == 7;
                Op::Read {
                    channels,
                    after,
                    upto: if upto > 60 { u64::MAX } else { upto },
                    messages: if all { usize::MAX } else { messages },
                    bytes: if all { usize::MAX } else { bytes },
                }
            }
        ),
        4 => (some_keys(1..6), 0usize..8)
            .prop_map(|(channels, n)| Op::Tail { channels, n: if n == 7 { usize::MAX } else { n } }),
    ]
}

fn rules(which: usize) -> Namespaces {
    let off = Rules {
        history: History::OFF,
        ..Rules::open()
    };
    let [root, named] = [
        [history(8, 1_500, 1), history(5, 9_999, 1)],
        [history(3, 9_999, 1), history(90, 800, 1)],
        [history(70, 99_999, 1), off.clone()],
        [off.clone(), history(200, 99_999, 1)],
    ][which]
        .clone();
    Namespaces::all(root)
        .with(Namespace::new("n").unwrap(), named)
        .with(Namespace::new("off").unwrap(), off)
}

fn keys_of(which: &[usize]) -> Vec<Key> {
    which.iter().map(|at| key(KEYS[*at])).collect()
}

fn check(ops: &[Op], log_bytes: usize, channel_records: usize, exact: bool) {
    let limits = Limits {
        log_bytes,
        channel_records,
        ..Limits::default()
    };
    let mut store = store(&limits);
    let mut model = Model::new(log_bytes, channel_records, rules(0));
    let mut epoch = 7;
    for op in ops {
        let ms = model.now.as_millis() as u64;
        let moment = at(ms, &model.namespaces);
        model.tidy();
        if matches!(op, Op::Cut(_) | Op::Lose(_)) {
            // What grew too old is removed as its channel is met; a cut that
            // takes it first leaves no loss to tell.
            drop(store.snapshot(&moment, &after(&KEYS, 0)));
        }
        match op {
            Op::Append { targets, body } => {
                let names: Vec<&str> = targets.iter().map(|at| KEYS[*at]).collect();
                let stored = put(&mut store, &moment, &names, &"x".repeat(*body));
                model.append(&keys_of(targets), stored.cost());
                assert_eq!(stored.id.epoch, Epoch(epoch));
                assert_eq!(stored.seq().0, model.top);
            }
            Op::Turn(by) => model.now += Duration::from_millis(*by),
            Op::Listen(which, on) => {
                store.listening(&key(KEYS[*which]), *on);
                model.listening(&key(KEYS[*which]), *on);
            }
            Op::Cut(k) => {
                let first = (model.top + 1).saturating_sub(*k).max(1);
                epoch += 1;
                store.cut(Epoch(epoch), Seq(first));
                model.cut(first);
            }
            Op::Lose(k) => {
                // Now and then beyond the top.
                let through = (model.top + 2).saturating_sub(*k);
                store.lose(Seq(through));
                model.lose(through);
            }
            Op::Rules(which) => {
                // Applied channel by channel, as each is met: meet them all.
                model.namespaces = rules(*which);
                let moment = at(ms, &model.namespaces);
                drop(store.snapshot(&moment, &after(&KEYS, 0)));
            }
            Op::Read {
                channels,
                after,
                upto,
                messages,
                bytes,
            } => {
                let channels = keys_of(channels);
                let request = ReadRequest {
                    channels: channels.iter().cloned().collect(),
                    after: Seq(*after),
                    upto: Seq(*upto),
                    max_messages: *messages,
                    max_bytes: *bytes,
                };
                check_read(&read(&mut store, &moment, &request), &request, &model);
            }
            Op::Tail { channels, n } => {
                let channels = keys_of(channels);
                let tail = store.tail_snapshot(&moment, &channels, *n).tail(*n);
                assert_eq!(tail, model.tail(&channels, *n));
            }
        }
        assert_eq!(store.top_seq().0, model.top);
        let usage = store.usage();
        assert!(usage.bytes <= log_bytes || usage.messages == 0);
    }
    // Everything, at the end.
    let moment = at(model.now.as_millis() as u64, &model.namespaces);
    model.tidy();
    let everything = after(&KEYS, 0);
    check_read(&read(&mut store, &moment, &everything), &everything, &model);
    if exact {
        let usage = store.usage();
        assert_eq!((usage.bytes, usage.messages, usage.records), model.usage());
    }
}

fn check_read(reply: &ReadReply, request: &ReadRequest, model: &Model) {
    let end = request.upto.0.min(model.top);
    let all = model.union(&request.channels, request.after.0, end);
    let mut fits = 0;
    let mut bytes = 0;
    for (_, cost) in &all {
        bytes += cost;
        if fits == request.max_messages || (fits > 0 && bytes > request.max_bytes) {
            break;
        }
        fits += 1;
    }
    let got: Vec<u64> = reply.messages.iter().map(|stored| stored.seq().0).collect();
    let expected: Vec<u64> = all[..fits].iter().map(|(seq, _)| *seq).collect();
    assert_eq!(got, expected);
    let through = match (fits == all.len(), expected.last()) {
        (true, _) => end,
        (false, Some(last)) => *last,
        (false, None) => request.after.0,
    };
    assert_eq!(reply.complete_through.0, through);
    assert_eq!(reply.lost, model.losses(&request.channels, request.after.0));
}

proptest! {
    // A deliberate bug's failures are not worth keeping.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_told_as_it_was(ops in proptest::collection::vec(op(true), 1..150)) {
        check(&ops, usize::MAX, usize::MAX, false);
    }

    #[test]
    fn any_history_stays_within_bytes_and_records(
        ops in proptest::collection::vec(op(false), 1..150),
        log_bytes in 500usize..6_000,
        records in 1usize..7,
    ) {
        let fixed: Vec<Op> = ops.into_iter().filter(|op| !matches!(op, Op::Rules(_))).collect();
        check(&fixed, log_bytes, records, true);
    }
}
