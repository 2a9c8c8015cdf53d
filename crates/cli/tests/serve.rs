//! `fanwire serve`: starts, says so, refuses, stops.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;

use common::{Ended, Running, fanwire, request, run, serve, serve_on};

#[test]
fn it_says_where_and_its_own_examples_work() {
    let served = serve(&[]);
    assert!(
        served.greeting[0].contains("programs of this machine"),
        "{:?}",
        served.greeting
    );
    let hear = served
        .greeting
        .iter()
        .find(|line| line.contains("curl -N"))
        .unwrap();
    let publish = served
        .greeting
        .iter()
        .find(|line| line.contains("-d 'hello'"))
        .unwrap();
    let target = |line: &str| {
        let at = line.find(&served.url).unwrap();
        let path = &line[at + served.url.len()..];
        path.split([' ', '\'']).next().unwrap().to_owned()
    };
    let (head, _) = request(served.port, &format!("POST {}", target(publish)), "hello");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let sse = target(hear);
    assert!(
        sse.starts_with("/c/") && sse.ends_with("format=sse"),
        "{sse}"
    );
    let history = sse.split('?').next().unwrap();
    let (head, body) = request(served.port, &format!("GET {history}"), "");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && body.contains("\"hello\""),
        "{body}"
    );
    let (head, _) = request(served.port, "GET /", "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[test]
fn p8_without_a_choice_it_does_not_listen_where_others_reach_it() {
    let refused = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    for word in ["0.0.0.0:0", "--api-key NAME=SECRET", "--open", "127.0.0.1"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
}

#[test]
fn p8_a_key_on_the_command_line_works_and_is_warned_about() {
    let served = serve(&["--api-key", "ops=0123456789abcdef"]);
    let warning = served.running.hears("warning");
    assert!(warning.contains("FANWIRE_API_KEYS") && !warning.contains("0123456789abcdef"));
    let (head, body) = request(served.port, "POST /c/news", "x");
    assert!(
        head.starts_with("HTTP/1.1 401 ") && body.contains("unauthorized"),
        "{head}{body}"
    );
    assert!(!served.greeting.concat().contains("0123456789abcdef"));
    assert!(served.greeting.concat().contains("Authorization: Bearer"));

    let mut by_variable = fanwire(&[]);
    by_variable.env("FANWIRE_API_KEYS", "ops=0123456789abcdef");
    let mut served = serve_on(0, &mut by_variable);
    served.running.signal("TERM");
    let ended = served.running.end();
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    served.greeting.clear();
}

#[test]
fn an_address_in_use_is_told_with_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(&["serve", "--listen", &address]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains(&address), "{}", refused.stderr);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
}

#[test]
fn a_signal_stops_it_with_exit_code_0_and_readers_are_told() {
    for signal in ["TERM", "INT"] {
        let served = serve(&[]);
        let mut sub = Running::start(&mut fanwire(&[
            "sub",
            "news",
            "--url",
            &served.url,
            "--rewind",
            "1",
        ]));
        let (head, _) = request(served.port, "POST /c/news", "first");
        assert!(head.starts_with("HTTP/1.1 200 "));
        assert_eq!(sub.line(), "first");
        served.running.signal(signal);
        let ended: Ended = served.running.end();
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.stderr);
        assert!(ended.stderr.contains("stopping: "), "{}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("stopped: ended ") && last.ends_with(", cut 0"),
            "{last}"
        );
        // The reader does not give up: it says so and tries again.
        sub.hears("not connected");
        sub.kill();
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_exit_code_says_so() {
    let served = serve(&[
        "--listen-drain-window=60s",
        "--listen-shutdown-grace=60s",
        "--limits-shards=1",
    ]);
    let words = ["sub", "news", "--url", &served.url, "--rewind", "1"];
    let mut subs: Vec<Running> = Vec::new();
    subs.resize_with(2, || Running::start(&mut fanwire(&words)));
    let (head, _) = request(served.port, "POST /c/news", "first");
    assert!(head.starts_with("HTTP/1.1 200 "));
    for sub in &subs {
        assert_eq!(sub.line(), "first");
    }
    served.running.signal("TERM");
    served.running.hears("stopping");
    served.running.signal("INT");
    let ended: Ended = served.running.end();
    assert_eq!(ended.code, Some(128 + 2), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.starts_with("stopped at once"), "{last}");
    subs.iter_mut().for_each(Running::kill);
}
