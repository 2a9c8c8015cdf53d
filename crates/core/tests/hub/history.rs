//! History for code: in pages without a hole, whatever the broker leaves out of an answer,
//! and what is missing is told.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fanwire_core::broker::{Append, Appended, Broker, ChaosBroker, Faults};
use fanwire_core::cursor::{Cursor, Epoch, MessageId, Seq};
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::{History, Hub, HubConfig, Runtime, Shard};
use fanwire_core::key::Key;
use fanwire_core::limits::Limits;
use fanwire_core::message::{Body, Keys, Message};
use fanwire_core::namespace::{self, Namespaces, Rules};
use fanwire_core::policy::{Door, Permit, Subject, Verb};

use crate::look::{Hasty, Still, Words};

const EPOCH: Epoch = Epoch(1);

struct World {
    broker: Arc<ChaosBroker>,
    door: Arc<Door>,
    hub: Arc<Hub>,
    _shards: Vec<Shard>,
}

/// Rules by which so many messages of a channel are kept.
fn keeps(messages: usize) -> Rules {
    let history = namespace::History {
        messages,
        ..namespace::History::default()
    };
    Rules {
        history,
        ..Rules::open()
    }
}

fn keys(list: &str) -> Keys {
    let names = list.split(',');
    names
        .map(|name| Key::parse(name.as_bytes()).unwrap())
        .collect()
}

/// The texts, where they end, and whether they are all.
fn told(history: &History) -> (String, u64, bool) {
    let text = |body: &Body| match body {
        Body::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    let texts: Vec<_> = history
        .messages
        .iter()
        .map(|one| text(&one.message.body))
        .collect();
    let at = history.cursor.seq().0;
    (texts.join(" "), at, history.is_complete)
}

fn is(texts: &str, at: u64, is_complete: bool) -> (String, u64, bool) {
    (texts.to_owned(), at, is_complete)
}

impl World {
    fn new(rules: Rules, runtime: Arc<dyn Runtime>) -> Self {
        let (clock, limits) = (Arc::new(Still), Limits::default());
        let door = Door::new(Namespaces::all(rules));
        let none = Faults::none();
        let broker = ChaosBroker::new(&limits, door.clone(), clock.clone(), EPOCH, 1, none);
        let broker = Arc::new(broker);
        let config = HubConfig {
            limits,
            shards: 1,
            seed: 1,
        };
        let encoders = vec![Arc::new(Words) as _];
        let (hub, shards) = Hub::new(config, broker.clone(), clock, runtime, encoders);
        Self {
            broker,
            door,
            hub,
            _shards: shards,
        }
    }

    /// It is kept, and this node does not know of it yet.
    fn keep(&self, channels: &str, text: &str) -> MessageId {
        let body = Body::Text(Bytes::copy_from_slice(text.as_bytes()));
        let first = keys(channels)[0].clone();
        let message = Message {
            targets: keys(channels),
            ..Message::to(first, body)
        };
        let mut kept = self.broker.append(vec![Append {
            message,
            volatile: false,
            idempotency: None,
            credit: None,
        }]);
        let mut cx = Context::from_waker(Waker::noop());
        match kept.remove(0).as_mut().poll(&mut cx) {
            Poll::Ready(Ok(Appended::Kept { id, .. })) => id,
            other => panic!("{other:?}"),
        }
    }

    /// This node hears of everything.
    fn hear(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        (0..100).for_each(|_| self.hub.poll_feed(&mut cx));
    }

    fn say(&self, channels: &str, text: &str) -> MessageId {
        let id = self.keep(channels, text);
        self.hear();
        id
    }

    fn permit(&self, verb: Verb, channels: &str) -> Permit {
        let anyone = Subject::Anonymous(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.door.admit(anyone, verb, keys(channels)).unwrap()
    }

    /// What becomes of a question while the broker goes on.
    fn asked(
        &self,
        permit: &Permit,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<History, Refusal> {
        let mut asked = pin!(self.hub.history(permit, after, most));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if let Poll::Ready(answer) = asked.as_mut().poll(&mut cx) {
                return answer;
            }
            self.broker.step();
        }
        panic!("no answer");
    }

    fn ask(&self, channels: &str, after: Option<Cursor>, most: usize) -> History {
        let permit = self.permit(Verb::Read, channels);
        self.asked(&permit, after, most).unwrap()
    }
}

fn at(seq: u64) -> Option<Cursor> {
    Some(Cursor::new(EPOCH, Seq(seq)))
}

#[test]
fn the_last_ones_or_the_first_after_a_cursor_in_the_one_order() {
    let world = World::new(Rules::open(), Arc::new(Still));
    let ask = |channels, after, most| told(&world.ask(channels, after, most));
    assert_eq!(ask("a", None, 9), is("", 0, true));
    for (channels, text) in [("a", "1"), ("b", "2"), ("a,b", "3"), ("c", "4"), ("b", "5")] {
        world.say(channels, text);
    }
    assert_eq!(ask("a,b", None, 9), is("1 2 3 5", 5, true));
    assert_eq!(ask("a,b", None, 2), is("3 5", 5, true));
    assert_eq!(ask("a", None, 9), is("1 3", 5, true));
    // Page by page, the cursor of one being where the next begins.
    assert_eq!(ask("a,b", at(0), 2), is("1 2", 2, true));
    assert_eq!(ask("a,b", at(2), 1), is("3", 3, true));
    assert_eq!(ask("a,b", at(3), 2), is("5", 5, true));
    assert_eq!(ask("a,b", at(5), 2), is("", 5, true));
    // Nothing at all is asked for: from now on, or from where it was.
    assert_eq!(ask("a", None, 0), is("", 5, true));
    assert_eq!(ask("a", at(1), 0), is("", 1, true));
    assert_eq!(ask("nobody", None, 9), is("", 5, true));
}

#[test]
fn only_what_this_node_knows_of_is_told() {
    let world = World::new(Rules::open(), Arc::new(Still));
    world.say("a", "1");
    world.keep("a", "2");
    assert_eq!(told(&world.ask("a", at(0), 9)), is("1", 1, true));
    // A cursor of a node that knows more: nothing yet, and no loss.
    let ahead = world.ask("a", at(2), 9);
    assert_eq!(told(&ahead), is("", 2, true));
    world.hear();
    assert_eq!(told(&world.ask("a", at(1), 9)), is("2", 2, true));
}

#[test]
fn what_is_gone_and_was_owed_is_told() {
    let world = World::new(keeps(2), Arc::new(Still));
    for text in ["1", "2", "3", "4"] {
        world.say("a", text);
    }
    world.say("b", "5");
    let ask = |channels, after, most| told(&world.ask(channels, after, most));
    assert_eq!(ask("a", at(1), 9), is("3 4", 5, false));
    assert_eq!(ask("a", at(2), 9), is("3 4", 5, true));
    assert_eq!(ask("b", at(1), 9), is("5", 5, true));
    assert_eq!(ask("a,b", at(1), 9), is("3 4 5", 5, false));
    // Where no cursor is asked about nothing is owed, of however many channels.
    world.say("b", "6");
    world.say("b", "7");
    assert_eq!(ask("a", None, 9), is("3 4", 7, true));
    assert_eq!(ask("a,b", None, 9), is("3 4 6 7", 7, true));
    // What the node itself never heard of is as gone.
    world.keep("a", "8");
    world.broker.lose(1);
    world.hear();
    world.say("a", "9");
    assert_eq!(ask("a", at(7), 9), is("9", 9, false));
    assert_eq!(ask("a", at(8), 9), is("9", 9, true));
}

#[test]
fn a_cursor_that_cannot_be_gone_on_from_gets_the_last_ones() {
    let world = World::new(Rules::open(), Arc::new(Still));
    let other = |seq| Some(Cursor::new(Epoch(99), Seq(seq)));
    assert_eq!(told(&world.ask("a", other(1), 9)), is("", 0, false));
    for text in ["1", "2", "3"] {
        world.say("a", text);
    }
    assert_eq!(told(&world.ask("a", other(1), 2)), is("2 3", 3, false));
    // Its own epoch, but a place that the store has lost since.
    world.broker.cut(2);
    world.hear();
    let new = world.say("a", "4");
    assert_ne!(new.epoch, EPOCH);
    assert_eq!(told(&world.ask("a", at(3), 9)), is("1 4", 2, false));
    assert_eq!(told(&world.ask("a", at(1), 9)), is("4", 2, true));
}

#[test]
fn an_epoch_that_this_node_has_not_heard_of_is_left_to_the_next_question() {
    let world = World::new(Rules::open(), Arc::new(Still));
    for text in ["1", "2", "3"] {
        world.say("a", text);
    }
    world.broker.cut(2);
    // Where this node still believes the old ones to be.
    assert_eq!(world.keep("a", "new").seq, Seq(2));
    let page = world.ask("a", at(0), 9);
    assert_eq!(told(&page), is("1", 1, true));
    assert_eq!(page.cursor.epoch(), EPOCH);
    let page = world.ask("a", Some(page.cursor), 9);
    assert_eq!(told(&page), is("", 1, true));
    world.hear();
    let page = world.ask("a", Some(page.cursor), 9);
    assert_eq!(told(&page), is("new", 2, true));
    assert_ne!(page.cursor.epoch(), EPOCH);
}

#[test]
fn short_answers_make_no_holes_and_no_page_too_long() {
    let world = World::new(keeps(40), Arc::new(Still));
    for n in 0..50 {
        world.say(["a", "b"][n % 2], &n.to_string());
    }
    let whole = |from: usize| {
        let texts: Vec<_> = (from..50).map(|n| n.to_string()).collect();
        texts.join(" ")
    };
    world.broker.set_faults(Faults {
        short_read: 1000,
        ..Faults::none()
    });
    // Three at most come at once.
    assert_eq!(told(&world.ask("a,b", at(0), 99)), is(&whole(0), 50, true));
    assert!(world.broker.counts().short_reads > 50 / 3);
    assert_eq!(told(&world.ask("a,b", None, 20)), is(&whole(30), 50, true));
    for most in [1, 2, 5, 7] {
        let (mut after, mut texts) = (at(0), Vec::new());
        // Each page brings something, until there is no more.
        for _ in 0..=50 / most {
            let page = world.ask("a,b", after, most);
            assert!(page.messages.len() <= most && page.is_complete);
            texts.push(told(&page).0);
            after = Some(page.cursor);
        }
        assert_eq!(texts.join(" ").trim_end(), whole(0), "{most}");
    }
    // What is gone is told by whichever answer it is in.
    for n in 0..20 {
        world.say("c", &n.to_string());
    }
    world.say("b", "trims");
    for _ in 0..40 {
        world.say("b", "x");
    }
    let (_, end, is_complete) = told(&world.ask("a,b,c", at(0), 999));
    assert_eq!((end, is_complete), (111, false));
}

#[test]
fn whoever_may_not_read_is_refused() {
    let world = World::new(Rules::open(), Arc::new(Still));
    world.say("a", "1");
    for verb in [Verb::Publish, Verb::Subscribe] {
        let refused = world.asked(&world.permit(verb, "a"), None, 9);
        assert_eq!(refused.unwrap_err().code, Code::Forbidden, "{verb:?}");
    }
    // One that was good when it was given.
    let permit = world.permit(Verb::Read, "a");
    world.asked(&permit, None, 9).unwrap();
    world.door.replace(Namespaces::all(Rules::default()));
    let refused = world.asked(&permit, None, 9).unwrap_err();
    assert_eq!(refused.code, Code::Unauthorized);
}

#[test]
fn a_broker_that_fails_or_says_nothing_is_no_empty_history() {
    let world = World::new(Rules::open(), Arc::new(Hasty));
    world.say("a", "1");
    let permit = world.permit(Verb::Read, "a");
    for (fault, why) in [
        (
            Faults {
                read_unavailable: 1000,
                ..Faults::none()
            },
            "cannot be reached",
        ),
        (
            Faults {
                hold_read: 1000,
                ..Faults::none()
            },
            "does not answer",
        ),
    ] {
        world.broker.set_faults(fault);
        // The read, and what is asked before it.
        for after in [at(0), None] {
            let refused = world.asked(&permit, after, 9).unwrap_err();
            assert_eq!(refused.code, Code::Unavailable);
            assert!(refused.detail.contains(why), "{refused}");
        }
    }
    // With time enough it is waited for.
    let world = World::new(Rules::open(), Arc::new(Still));
    world.say("a", "1");
    world.broker.set_faults(Faults {
        hold_read: 1000,
        ..Faults::none()
    });
    assert_eq!(told(&world.ask("a", None, 9)), is("1", 1, true));
    assert!(world.broker.counts().held_reads >= 2);
}
