//! Idempotency keys.

use std::time::Duration;

use super::{Make, limited};
use crate::broker::testing::{Setup, after, fed_seqs, key, keyed, keys, message, seqs};
use crate::broker::{Append, AppendError, Appended};
use crate::cursor::Seq;
use crate::limits::Limits;

pub(in crate::broker) fn p24_a_keyed_message_is_kept_and_delivered_once(make: Make<'_>) {
    let rig = make(Setup::default());
    let mut feed = rig.broker.follow(Seq(0));
    let first = rig.publish(keyed(&["a"], "x", "p", "k")).unwrap();
    let Appended::Kept { id, duplicate } = first else {
        panic!("{first:?}")
    };
    assert!(!duplicate);
    // Twins in one batch, too.
    let batch = vec![keyed(&["a"], "x", "p", "k"), keyed(&["a"], "x", "p", "k")];
    for future in rig.broker.append(batch) {
        let twin = rig.wait(future);
        assert_eq!(
            twin,
            Ok(Appended::Kept {
                id,
                duplicate: true
            })
        );
    }
    assert_eq!(fed_seqs(&rig.drain(&mut *feed)), [1]);
    assert_eq!(seqs(&rig.read(after(&["a"], 0))), [1]);
    // Until its time is over.
    rig.clock.turn(Duration::from_millis(599_999));
    let twin = rig.publish(keyed(&["a"], "x", "p", "k"));
    assert_eq!(
        twin,
        Ok(Appended::Kept {
            id,
            duplicate: true
        })
    );
    rig.clock.turn(Duration::from_millis(1));
    assert_eq!(rig.put(keyed(&["a"], "x", "p", "k")), Seq(2));
}

pub(in crate::broker) fn p24_the_same_key_for_anything_else_is_refused(make: Make<'_>) {
    use crate::message::{Body, EventName};
    let rig = make(Setup::default());
    rig.put(keyed(&["a", "b"], "[1]", "p", "k"));
    let same = || keyed(&["a", "b"], "[1]", "p", "k");
    let mut others: Vec<Append> = (0..7).map(|_| same()).collect();
    others[0].message.targets = keys(&["a"]);
    others[1].message.except = vec![key("c")];
    others[2].message.event = EventName::new("score").unwrap();
    others[3].message.key = Some("k".into());
    others[4].message.body = Body::Json("[1]".into());
    others[5].message.body = Body::Text("[2]".into());
    others[6].message.body = Body::Args {
        json: "[1]".into(),
        attachments: vec!["".into()],
    };
    for other in others {
        assert_eq!(rig.publish(other), Err(AppendError::Mismatch));
    }
    // `from` is no part of it, nor is the refusal remembered.
    let mut twin = same();
    twin.message.from = Some("me".into());
    assert!(matches!(
        rig.publish(twin),
        Ok(Appended::Kept {
            duplicate: true,
            ..
        })
    ));
    assert_eq!(seqs(&rig.read(after(&["a"], 0))), [1]);
}

pub(in crate::broker) fn p24_keys_are_scoped_by_publisher_and_namespace(make: Make<'_>) {
    let rig = make(Setup::default());
    assert_eq!(rig.put(keyed(&["a"], "x", "p", "k")), Seq(1));
    assert_eq!(rig.put(keyed(&["a"], "x", "q", "k")), Seq(2));
    assert_eq!(rig.put(keyed(&["n:a"], "x", "p", "k")), Seq(3));
    assert_eq!(rig.put(keyed(&["a"], "x", "p", "l")), Seq(4));
    // Within the namespace it is one key, whatever the channel.
    assert_eq!(
        rig.publish(keyed(&["b"], "x", "p", "k")),
        Err(AppendError::Mismatch)
    );
}

pub(in crate::broker) fn p24_a_keyed_volatile_message_is_delivered_once(make: Make<'_>) {
    let rig = make(Setup::default());
    let mut feed = rig.broker.follow(Seq(0));
    for _ in 0..2 {
        let volatile = Append {
            volatile: true,
            ..keyed(&["a"], "x", "p", "k")
        };
        assert_eq!(rig.publish(volatile), Ok(Appended::Volatile));
    }
    assert_eq!(fed_seqs(&rig.drain(&mut *feed)), [0]);
}

pub(in crate::broker) fn p24_at_a_limit_new_keys_are_refused_and_none_is_forgotten(make: Make<'_>) {
    let rig = make(limited(Limits {
        idempotency_keys: 5,
        idempotency_per_publisher: 3,
        ..Limits::default()
    }));
    let publish = |publisher: &str, n: u64| {
        let key = n.to_string();
        rig.publish(keyed(&["a"], "x", publisher, &key))
    };
    for n in 0..3 {
        publish("p", n).unwrap();
    }
    assert_eq!(publish("p", 3), Err(AppendError::KeysFull));
    rig.clock.turn(Duration::from_secs(1));
    publish("q", 0).unwrap();
    publish("q", 1).unwrap();
    assert_eq!(publish("r", 0), Err(AppendError::KeysFull));
    for n in 0..3 {
        assert!(matches!(
            publish("p", n),
            Ok(Appended::Kept {
                duplicate: true,
                ..
            })
        ));
    }
    // Without a key there is no such limit.
    rig.put(message(&["a"], "x"));
    rig.clock.turn(Duration::from_secs(599));
    assert!(matches!(
        publish("p", 3),
        Ok(Appended::Kept {
            duplicate: false,
            ..
        })
    ));
    assert!(matches!(
        publish("q", 1),
        Ok(Appended::Kept {
            duplicate: true,
            ..
        })
    ));
}
