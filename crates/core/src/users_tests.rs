#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::key::Namespace;

fn rules(patterns: &[&str]) -> Result<UserRules, InvalidPattern> {
    let subscribe: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
    let written = Patterns {
        subscribe: &subscribe,
        ..Patterns::default()
    };
    UserRules::new(None, written)
}

fn key(name: &str) -> Option<Key> {
    Some(Key::Channel(Namespace::root(), Name::new(name).ok()?))
}

fn may(patterns: &[&str], id: &str, name: &str) -> bool {
    let who = Who { id, issuer: None };
    // What is no name is no channel.
    key(name).is_some_and(|key| rules(patterns).unwrap().subscribe(who, &key))
}

#[test]
fn a16_a_users_pattern_covers_exactly_what_its_table_says() {
    for (pattern, yes, no) in [
        (
            "inbox-{sub}",
            &["inbox-ada"][..],
            &[
                "inbox-",
                "inbox-adam",
                "inbox-ad",
                "inbox-Ada",
                "inbox-ada ",
                "inbox- ada",
                "Inbox-ada",
            ][..],
        ),
        (
            "desk-{sub}/*",
            &["desk-ada/", "desk-ada/a", "desk-ada/a/../b"],
            &["desk-ada", "desk-adam/a", "desk-ada-/a", "desk-/ada/"],
        ),
        ("{sub}", &["ada"], &["adam", "", "@ada"]),
        ("lobby", &["lobby"], &["lobby2", "Lobby"]),
        ("room-*", &["room-", "room-ada"], &["room", "aroom-a"]),
    ] {
        for name in yes {
            assert!(may(&[pattern], "ada", name), "{pattern} {name}");
        }
        for name in no {
            assert!(!may(&[pattern], "ada", name), "{pattern} {name}");
        }
    }
}

#[test]
fn a16_a_users_name_is_text_and_widens_no_pattern() {
    for (id, no) in [
        ("*", &["inbox-", "inbox-ada", "inbox-x"][..]),
        ("a*", &["inbox-a", "inbox-ab", "inbox-ada"]),
        ("{sub}", &["inbox-ada", "inbox-"]),
        ("", &["inbox-", "inbox-ada"]),
        ("a/../b", &["inbox-b", "inbox-a", "inbox-a/b"]),
        ("%2f", &["inbox-/", "inbox-%2F", "inbox-%252f"]),
        ("a:b", &["inbox-a", "inbox-b"]),
        ("ada ", &["inbox-ada", "inbox-ada  "]),
        ("caf\u{e9}", &["inbox-cafe\u{301}", "inbox-cafe"]),
        ("cafe\u{301}", &["inbox-caf\u{e9}", "inbox-cafe"]),
        ("Ada", &["inbox-ada", "inbox-ADA"]),
        (".*", &["inbox-a", "inbox-ada"]),
        ("ada\u{200d}", &["inbox-ada"]),
    ] {
        for name in no {
            assert!(!may(&["inbox-{sub}"], id, name), "{id:?} {name:?}");
        }
        let own = format!("inbox-{id}");
        assert_eq!(may(&["inbox-{sub}"], id, &own), !id.is_empty(), "{id:?}");
    }
    // A name that is no channel, and the word for everybody.
    for id in ["..", ".", "@all", "@x"] {
        assert!(!may(&["{sub}"], id, id), "{id}");
    }
    let all = Key::All(Namespace::root());
    let who = Who {
        id: "@all",
        issuer: None,
    };
    assert!(!rules(&["{sub}"]).unwrap().subscribe(who, &all));
}

#[test]
fn a16_who_has_a_separator_in_their_name_is_granted_nothing_by_it() {
    let both = ["desk-{sub}/*", "inbox-{sub}"];
    assert!(may(&both, "ada", "desk-ada/x/y"));
    for name in ["desk-ada/x/y", "desk-ada/x", "inbox-ada/x", "desk-ada/"] {
        assert!(!may(&both, "ada/x", name), "{name}");
    }
    // What everybody has, they have, too.
    assert!(may(&["desk-{sub}/*", "lobby"], "ada/x", "lobby"));
}

#[test]
fn a16_patterns_that_could_not_be_held_apart_are_refused() {
    for wrong in [
        &["{sub}*"][..],
        &["a-{sub}*"],
        &["a*b"],
        &["*{sub}"],
        &["{sub}-{sub}"],
        &["{iss}-{sub}"],
        &["{user}"],
        &["a{"],
        &["@{sub}"],
        &["@all"],
        &["a\n"],
        &[""],
        &["."],
        &["{sub}", "u-{sub}"],
        &["u-{sub}", "u-{sub}-x", "u-a-{sub}"],
    ] {
        assert!(rules(wrong).is_err(), "{wrong:?}");
    }
    for fine in [
        &["a-{sub}", "b-{sub}"][..],
        &["u-{sub}", "u-{sub}/*"],
        &["*"],
        &[],
    ] {
        assert!(rules(fine).is_ok(), "{fine:?}");
    }
    let many: Vec<String> = (0..=MAX_PATTERNS).map(|n| format!("c{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(rules(&many).is_err() && rules(&many[1..]).is_ok());
    assert!(rules(&[&"x".repeat(256)]).is_err());
}

#[test]
fn a10_the_user_of_another_issuer_is_not_who_is_meant() {
    let subscribe = ["inbox-{sub}", "lobby"].map(str::to_owned);
    let written = Patterns {
        subscribe: &subscribe,
        ..Patterns::default()
    };
    for own in [None, Some("us")] {
        let rules = UserRules::new(own.map(Arc::from), written).unwrap();
        for issuer in [None, Some("us"), Some("them"), Some("")] {
            let who = Who { id: "ada", issuer };
            let inbox = rules.subscribe(who, &key("inbox-ada").unwrap());
            assert_eq!(inbox, issuer == own, "{own:?} {issuer:?}");
            assert!(rules.subscribe(who, &key("lobby").unwrap()));
        }
    }
}

#[test]
fn each_right_has_its_patterns_and_the_past_those_of_listening() {
    let one = |text: &str| vec![text.to_owned()];
    let (publish, subscribe, history) = (one("out-{sub}"), one("in-{sub}"), one("old-{sub}"));
    let who = Who {
        id: "ada",
        issuer: None,
    };
    let mut written = Patterns {
        publish: &publish,
        subscribe: &subscribe,
        history: &history,
    };
    let rights = |written: Patterns<'_>| {
        let rules = UserRules::new(None, written).unwrap();
        ["out-ada", "in-ada", "old-ada"].map(|name| {
            let key = key(name).unwrap();
            let (p, s) = (rules.publish(who, &key), rules.subscribe(who, &key));
            (p, s, rules.history(who, &key))
        })
    };
    let (no, yes) = (false, true);
    assert_eq!(
        rights(written),
        [(yes, no, no), (no, yes, no), (no, no, yes)]
    );
    written.history = &[];
    assert_eq!(
        rights(written),
        [(yes, no, no), (no, yes, yes), (no, no, no)]
    );
}

/// Few characters, so that what is made of them meets often.
fn text(least: usize, most: usize) -> impl Strategy<Value = String> {
    let chars = prop::sample::select(vec!['a', 'b', '-', '/', '\u{e9}']);
    prop::collection::vec(chars, least..=most).prop_map(|chars| chars.into_iter().collect())
}

fn pattern() -> impl Strategy<Value = String> {
    let star = prop::sample::select(vec!["", "*"]);
    (text(0, 1), text(0, 2), star).prop_map(|(head, tail, star)| format!("{head}{SUB}{tail}{star}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]
    #[test]
    fn a16_no_channel_is_granted_to_two_users(
        patterns in prop::collection::vec(pattern(), 1..4),
        one in text(1, 2),
        // Names that begin alike are those that could meet.
        more in text(1, 3),
        rest in text(0, 3),
    ) {
        let written: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let Ok(rules) = rules(&written) else { return Ok(()) };
        let other = format!("{one}{more}");
        let may = |id: &str, key: &Key| rules.subscribe(Who { id, issuer: None }, key);
        for pattern in &patterns {
            // Channels of the one, and of the other.
            for id in [&one, &other] {
                let name = pattern.replace(SUB, id).replace('*', &rest);
                let Some(key) = key(&name) else { continue };
                let both = may(&one, &key) && may(&other, &key);
                prop_assert!(!both, "{patterns:?} {one:?} {other:?} {name:?}");
            }
        }
    }
}
