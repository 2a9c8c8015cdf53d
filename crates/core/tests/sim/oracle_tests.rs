//! The judge is judged: histories written by hand, good ones and, for each
//! promise, bad ones that it must not let pass.

use std::collections::HashMap;

use crate::events::{At, Entry, Event, From, Heard, Keeps, Rx, Said, Sub, Told};
use crate::oracle::Oracle;

/// An oracle that has been told some things; the first verdict against them.
struct Case {
    oracle: Oracle,
    verdict: Result<(), String>,
}

fn at(seq: u64) -> At {
    ("e".to_owned(), seq)
}

fn body(epoch: &str, seq: u64) -> String {
    format!("{epoch}{seq}")
}

impl Case {
    /// The root namespace keeps three messages, `off` none, `last` conflates.
    fn new() -> Self {
        let keeps = |messages, conflate| Keeps {
            messages,
            bytes: 1_000,
            ttl: 1_000,
            conflate,
        };
        let rules = [
            ("", keeps(3, false)),
            ("off", keeps(0, false)),
            ("last", keeps(3, true)),
        ];
        let rules: HashMap<String, Keeps> = rules
            .into_iter()
            .map(|(name, keeps)| (name.to_owned(), keeps))
            .collect();
        Self {
            oracle: Oracle::new("e", rules, true),
            verdict: Ok(()),
        }
    }

    fn then(mut self, event: Event) -> Self {
        if self.verdict.is_ok() {
            self.verdict = self.oracle.observe(event);
        }
        self
    }

    fn kept_as(self, epoch: &str, seq: u64, channel: &str, change: impl Fn(&mut Entry)) -> Self {
        let mut entry = Entry {
            id: (epoch.to_owned(), seq),
            targets: vec![channel.to_owned()],
            body: body(epoch, seq),
            cost: 10,
            ..Entry::default()
        };
        change(&mut entry);
        self.then(Event::Kept(entry))
    }

    fn kept(self, seqs: std::ops::RangeInclusive<u64>, channel: &str) -> Self {
        seqs.fold(self, |case, seq| case.kept_as("e", seq, channel, |_| {}))
    }

    fn comes(self, from: From, channels: &[&str], applied: u64) -> Self {
        let channels = channels.iter().map(|name| (*name).to_owned()).collect();
        self.then(Event::Attach(Sub {
            conn: "k".into(),
            channels,
            since: Vec::new(),
            from,
            applied,
            cuts: 0,
        }))
    }

    fn after(self, text: &str, applied: u64) -> Self {
        self.comes(From::After(text.to_owned()), &["a"], applied)
    }

    fn rx(self, rx: Rx) -> Self {
        self.then(Event::Rx("k".into(), rx))
    }

    fn ready(self, seq: u64) -> Self {
        self.rx(Rx::Ready(at(seq)))
    }

    fn hears(self, seq: u64, channel: &str) -> Self {
        let heard = Heard {
            id: Some(at(seq)),
            after: None,
            channel: channel.to_owned(),
            body: body("e", seq),
        };
        self.rx(Rx::Message(heard))
    }

    fn told(self, reason: &str, lost: Option<u64>, cursor: u64, id: Option<u64>) -> Self {
        self.rx(Rx::Gap(Told {
            channel: "a".into(),
            reason: reason.into(),
            lost: lost.map(at),
            cursor: at(cursor),
            id: id.map(at),
        }))
    }

    fn settled(mut self) -> Self {
        if self.verdict.is_ok() {
            self.verdict = self.oracle.settled("k");
        }
        self
    }

    #[track_caller]
    fn passes(self) {
        assert_eq!(self.verdict, Ok(()));
    }

    #[track_caller]
    fn fails(self, why: &str) {
        let said = self.verdict.expect_err("the oracle let it pass");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_good_history_passes() {
    Case::new()
        .kept(1..=2, "a")
        .comes(From::Latest, &["a", "off:x"], 2)
        .ready(2)
        .kept(3..=3, "a")
        .hears(3, "a")
        .kept_as("e", 4, "off:x", |_| {})
        .hears(4, "off:x")
        .settled()
        .passes();
}

#[test]
fn p1_order_twice_missing_and_invented_are_caught() {
    let live = || {
        Case::new()
            .comes(From::Latest, &["a"], 0)
            .ready(0)
            .kept(1..=3, "a")
    };
    live().hears(1, "a").hears(1, "a").fails("out of order");
    live().hears(2, "a").fails("missing");
    live()
        .hears(1, "a")
        .hears(2, "a")
        .hears(9, "a")
        .fails("invented");
    live().hears(1, "b").fails("not for this stream");
    let torn = Heard {
        id: Some(at(1)),
        after: None,
        channel: "a".into(),
        body: "e1 ".into(),
    };
    live().rx(Rx::Message(torn)).fails("body");
    live().rx(Rx::Cursor(at(3))).fails("missing");
    live()
        .hears(1, "a")
        .rx(Rx::Cursor(at(0)))
        .fails("goes back");
}

#[test]
fn p1_a_volatile_message_keeps_its_place_and_comes_once() {
    let entry = Entry {
        id: at(1),
        targets: vec!["a".into()],
        body: "v".into(),
        ..Entry::default()
    };
    let volatile = || {
        Rx::Message(Heard {
            id: None,
            after: None,
            channel: "a".into(),
            body: "v".into(),
        })
    };
    let live = || {
        let case = Case::new()
            .comes(From::Latest, &["a"], 0)
            .ready(0)
            .kept(1..=1, "a");
        case.then(Event::Volatile(entry.clone())).kept(2..=2, "a")
    };
    live().hears(1, "a").rx(volatile()).hears(2, "a").passes();
    live()
        .hears(1, "a")
        .rx(volatile())
        .rx(volatile())
        .fails("twice");
    live().rx(volatile()).fails("missing");
    live()
        .hears(1, "a")
        .hears(2, "a")
        .rx(volatile())
        .fails("out of place");
}

#[test]
fn p2_a_resume_is_exact() {
    let back = || Case::new().kept(1..=3, "a").after("e-1", 3);
    back()
        .ready(1)
        .hears(2, "a")
        .hears(3, "a")
        .settled()
        .passes();
    back().ready(1).hears(3, "a").fails("missing");
    back().ready(2).fails("missing");
    back().ready(0).fails("goes back");
    back().ready(1).hears(1, "a").fails("out of order");
    back().ready(1).hears(2, "a").settled().fails("liveness");
}

#[test]
fn p3_a_loss_is_told_before_what_comes_after_it() {
    let back = || Case::new().kept(1..=5, "a").after("e-0", 5);
    back()
        .told("trimmed", Some(2), 2, None)
        .ready(0)
        .hears(3, "a")
        .passes();
    back().ready(0).hears(3, "a").fails("missing");
    back()
        .told("trimmed", Some(1), 1, None)
        .ready(0)
        .hears(3, "a")
        .fails("missing");
    let late = back().ready(0).hears(3, "a");
    late.told("trimmed", Some(2), 2, Some(0)).fails("missing");
    // What is held may not be left out, whatever is told.
    back()
        .told("trimmed", Some(3), 3, None)
        .ready(0)
        .hears(4, "a")
        .fails("missing");
}

#[test]
fn p3_no_gap_without_cause() {
    let back = || Case::new().kept(1..=3, "a").after("e-1", 3);
    back()
        .told("trimmed", Some(1), 1, None)
        .fails("without cause");
    back()
        .told("trimmed", Some(3), 3, None)
        .fails("without cause");
    back().told("rewound", None, 1, None).fails("without a cut");
    back()
        .told("malformed", None, 3, None)
        .fails("malformed where");
    back().rx(Rx::EndGap(at(2))).fails("without cause");
    let other = Case::new().kept(1..=9, "b").after("e-1", 9);
    other
        .told("trimmed", Some(6), 6, None)
        .fails("without cause");
    let lost = Case::new()
        .kept(1..=3, "a")
        .then(Event::Lost(2))
        .after("e-1", 3);
    lost.told("lost", Some(2), 2, None)
        .ready(1)
        .hears(3, "a")
        .passes();
}

#[test]
fn p3_a_cursor_that_cannot_be_is_told() {
    let comes = |text: &str| Case::new().kept(1..=3, "a").after(text, 3);
    for (text, reason, start) in [
        ("", "empty", 3),
        ("e-x", "malformed", 3),
        ("e-9", "future", 3),
        ("z-1", "epoch_unknown", 0),
    ] {
        comes(text)
            .told(reason, None, start, None)
            .ready(start)
            .passes();
        comes(text).ready(start).fails("not told");
        comes(text).told("trimmed", Some(3), 3, None).fails("");
    }
    // All that is held comes after an unknown epoch.
    let unknown = || comes("z-1").told("epoch_unknown", None, 0, None).ready(0);
    unknown().hears(1, "a").passes();
    unknown().hears(2, "a").fails("missing");
}

#[test]
fn p3_a_cut_is_told_to_whoever_was_past_it() {
    let cut = || {
        let case = Case::new()
            .comes(From::Latest, &["a"], 0)
            .ready(0)
            .kept(1..=2, "a");
        let case = case
            .hears(1, "a")
            .hears(2, "a")
            .then(Event::Cut("f".into(), 2));
        case.kept_as("f", 2, "a", |_| {})
    };
    let heard = Heard {
        id: Some(("f".into(), 2)),
        after: None,
        channel: "a".into(),
        body: body("f", 2),
    };
    let again = || Rx::Message(heard.clone());
    cut()
        .told("rewound", None, 1, Some(2))
        .rx(again())
        .settled()
        .passes();
    cut().rx(again()).fails("not told");
    cut().settled().fails("not told");
    cut()
        .told("rewound", None, 1, Some(2))
        .settled()
        .fails("missing");
    let reused = cut().kept_as("f", 2, "a", |entry| entry.body = "other".into());
    reused.fails("in use");
    Case::new()
        .kept(1..=1, "a")
        .kept(1..=1, "a")
        .fails("in use");
    cut().kept(3..=3, "a").fails("past epoch");
}

#[test]
fn starts_in_history_give_what_they_say() {
    let comes = |from| Case::new().kept(1..=5, "a").comes(from, &["a"], 5);
    comes(From::Rewind(2))
        .ready(3)
        .hears(4, "a")
        .hears(5, "a")
        .settled()
        .passes();
    comes(From::Rewind(2)).ready(4).fails("missing");
    let more = comes(From::Rewind(1)).ready(3).hears(4, "a");
    more.fails("more than the last 1");
    comes(From::Earliest).ready(2).hears(3, "a").passes();
    comes(From::Earliest).ready(3).fails("missing");
    comes(From::Newest(1))
        .hears(5, "a")
        .rx(Rx::Answer(at(5)))
        .passes();
    comes(From::Newest(1))
        .rx(Rx::Answer(at(5)))
        .fails("missing");
}

#[test]
fn p4_an_ack_means_kept_once() {
    let said = |case: Case, body: &str, seq, duplicate| {
        let said = Said::Kept {
            id: at(seq),
            duplicate,
        };
        case.then(Event::Published(Some("p//k".into()), body.into(), said))
    };
    let kept = || Case::new().kept(1..=2, "a");
    said(said(kept(), "e1", 1, false), "e1", 1, true).passes();
    said(kept(), "e1", 3, false).fails("another message");
    said(kept(), "e2", 1, false).fails("another message");
    said(said(kept(), "e1", 1, false), "e2", 2, false).fails("one key");
    kept()
        .kept_as("e", 3, "a", |entry| entry.body = "e1".into())
        .fails("twice");
    let never = |case: Case| case.then(Event::Published(None, "e1".into(), Said::Never));
    never(Case::new())
        .kept(1..=1, "a")
        .fails("refused, yet kept");
    never(kept()).fails("refused, yet kept");
}

#[test]
fn exclusions_and_conflation_are_the_only_other_reasons() {
    let excluded = |key: &str| {
        let case = Case::new().comes(From::Latest, &["a", "b"], 0).ready(0);
        case.kept_as("e", 1, "a", |entry| entry.except = vec![key.into()])
    };
    for key in [":@socket/k", "b"] {
        excluded(key).settled().passes();
        excluded(key).hears(1, "a").fails("not for this stream");
    }
    excluded("c").settled().fails("missing");
    let values = |second: &'static str| {
        let key = |name: &str| Some(name.to_owned());
        let case = Case::new().comes(From::After("e-0".into()), &["last:k"], 2);
        let case = case.kept_as("e", 1, "last:k", |entry| entry.key = key("x"));
        case.kept_as("e", 2, "last:k", |entry| entry.key = key(second))
            .ready(0)
    };
    values("x").hears(2, "last:k").settled().passes();
    values("y").hears(2, "last:k").fails("missing");
    values("x").settled().fails("missing");
}

#[test]
fn a_listener_that_never_opens_is_not_at_rest() {
    Case::new()
        .comes(From::Latest, &["a"], 0)
        .settled()
        .fails("never opened");
}

#[test]
fn a_channel_is_owed_from_where_it_was_joined_until_it_is_left() {
    let joined = |at| Event::Join("k".into(), vec!["b".into()], (0, at));
    let left = |at| Event::Leave("k".into(), vec!["b".into()], (0, at));
    let live = || {
        Case::new()
            .comes(From::Latest, &["a"], 0)
            .ready(0)
            .kept(1..=1, "b")
            .then(joined(1))
            .kept(2..=3, "b")
    };
    live().hears(2, "b").hears(3, "b").settled().passes();
    live().hears(1, "b").fails("not for this stream");
    live().hears(3, "b").fails("missing");
    live().hears(2, "b").settled().fails("liveness");
    // What stood in the outbox is heard, what was still to be read is not.
    let gone = || live().hears(2, "b").then(left(3)).kept(4..=4, "b");
    gone().settled().passes();
    gone().hears(3, "b").settled().passes();
    gone().hears(4, "b").fails("not for this stream");
    let back = || gone().then(joined(4)).kept(5..=5, "b");
    back().hears(5, "b").settled().passes();
    back().hears(4, "b").fails("not for this stream");
    back().settled().fails("liveness");
}

#[test]
fn a_resume_owes_what_came_after_a_channel_was_joined() {
    let back = || {
        let channels = vec!["a".to_owned(), "b".to_owned()];
        let case = Case::new().kept(1..=2, "b").kept(3..=3, "a");
        let case = case.kept_as("e", 4, "a", |entry| entry.except = vec!["b".into()]);
        case.kept_as("e", 2 + 3, "b", |_| {})
            .then(Event::Attach(Sub {
                conn: "k".into(),
                channels,
                since: vec![None, Some(at(4))],
                from: From::After("e-0".into()),
                applied: 5,
                cuts: 0,
            }))
            .ready(0)
    };
    let all = || back().hears(3, "a").hears(4, "a").hears(5, "b");
    all().settled().passes();
    back().hears(2, "b").fails("not for this stream");
    back().hears(3, "a").hears(5, "b").fails("missing");
    back()
        .hears(3, "a")
        .hears(4, "a")
        .settled()
        .fails("liveness");
}
