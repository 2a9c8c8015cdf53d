//! `fanwire pub` and `fanwire sub` against `fanwire serve`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Ended, PATIENCE, Running, Served, fanwire, fresh, request, serve, serve_on, until};

const TRANSPORTS: [&str; 3] = ["ws", "sse", "poll"];

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("line {n}")).collect()
}

fn sub(served: &Served, args: &[&str]) -> Running {
    Running::start(fanwire(&["sub", "--url", &served.url]).args(args))
}

/// A `pub --lines -v` fed by the test.
fn pub_lines(served: &Served, channel: &str) -> Running {
    let args = ["pub", channel, "--lines", "-v", "--url", &served.url];
    Running::start(fanwire(&args).stdin(Stdio::piped()))
}

fn publish(served: &Served, args: &[&str]) -> Ended {
    let output = fanwire(&["pub", "--url", &served.url]).args(args).output();
    output.unwrap().into()
}

/// Publishes lines and waits until they are kept.
fn publish_all(publisher: &mut Running, lines: &[String]) -> Vec<String> {
    publisher.feed(&(lines.join("\n") + "\n"));
    publisher.lines(lines.len())
}

#[test]
fn what_is_published_is_heard_on_every_transport_in_order() {
    let served = serve(&[]);
    for transport in TRANSPORTS {
        let mut publisher = pub_lines(&served, transport);
        publish_all(&mut publisher, &numbered(1..=3));
        let args = [
            transport,
            "--transport",
            transport,
            "--after",
            "earliest",
            "--count",
            "203",
        ];
        let heard = sub(&served, &args);
        assert_eq!(heard.lines(3), numbered(1..=3), "{transport}");
        // Live from here on: the reader has what was.
        publish_all(&mut publisher, &numbered(4..=203));
        assert_eq!(heard.lines(200), numbered(4..=203), "{transport}");
        let ended = heard.end();
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{transport}"
        );
        assert_eq!(publisher.end().code, Some(0));
    }
}

#[test]
fn every_kind_of_body_is_published_and_printed_as_it_is() {
    let served = serve(&[]);
    let said = publish(&served, &["a", "plain", "-v"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let id = said.stdout.trim().to_owned();
    assert!(id.contains('-'), "{id}");
    let json = publish(
        &served,
        &[
            "a",
            "--json",
            "{\"n\": 1.50}",
            "--event",
            "score",
            "--key",
            "k",
        ],
    );
    assert_eq!(
        (json.code, json.stdout.as_str()),
        (Some(0), ""),
        "{}",
        json.stderr
    );
    let mut binary = fanwire(&["pub", "a", "--kind", "binary", "--url", &served.url]);
    let mut binary = Running::start(binary.stdin(Stdio::piped()));
    binary.take_stdin().write_all(b"\x00\xff").unwrap();
    assert_eq!(binary.end().code, Some(0));

    for transport in TRANSPORTS {
        let heard = sub(
            &served,
            &[
                "a",
                "--json",
                "--rewind",
                "3",
                "--count",
                "3",
                "--transport",
                transport,
            ],
        );
        let ended = heard.end();
        let lines: Vec<serde_json::Value> = ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["id"], id.as_str(), "{transport}");
        assert_eq!(
            (&lines[0]["data"], &lines[0]["kind"]),
            (&"plain".into(), &"text".into())
        );
        assert_eq!(lines[0]["event"], "message");
        assert_eq!(
            (&lines[1]["event"], &lines[1]["key"]),
            (&"score".into(), &"k".into())
        );
        assert!(
            ended.stdout.contains("{\"n\": 1.50}"),
            "kept byte for byte: {}",
            ended.stdout
        );
        assert_eq!(
            (&lines[2]["data"], &lines[2]["kind"]),
            (&"AP8=".into(), &"binary".into())
        );
    }
    let output = fanwire(&[
        "sub",
        "a",
        "--rewind",
        "3",
        "--count",
        "3",
        "--url",
        &served.url,
    ])
    .output();
    assert_eq!(output.unwrap().stdout, b"plain\n{\"n\": 1.50}\n\x00\xff\n");
}

#[test]
fn p7_a_refusal_is_told_with_what_to_do_and_exit_code_1() {
    let mut keyed = fanwire(&[]);
    keyed.env("FANWIRE_API_KEYS", "ops=0123456789abcdef");
    let served = serve_on(0, &mut keyed);
    let said = publish(&served, &["news", "x"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr.contains("unauthorized") && said.stderr.contains("API key"),
        "{}",
        said.stderr
    );
    for transport in TRANSPORTS {
        let ended = sub(&served, &["news", "--transport", transport]).end();
        assert_eq!(ended.code, Some(1), "{transport}");
        assert!(
            ended.stderr.contains("unauthorized"),
            "{transport}: {}",
            ended.stderr
        );
    }
    let key = fresh("api-key");
    fs::write(&key, "0123456789abcdef\n").unwrap();
    let key = key.to_str().unwrap();
    let said = publish(&served, &["news", "x", "--api-key-file", key]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let mut by_variable = fanwire(&[
        "sub",
        "news",
        "--rewind",
        "1",
        "--count",
        "1",
        "--url",
        &served.url,
        "--json",
    ]);
    let heard = Running::start(by_variable.env("FANWIRE_API_KEY", "0123456789abcdef")).end();
    assert!(
        heard.stdout.contains("\"from\":\"ops\""),
        "{}{}",
        heard.stdout,
        heard.stderr
    );
    for wrong in [["bad\nname", "x"], ["@nobody", "x"]] {
        let said = publish(&served, &[wrong[0], wrong[1], "--api-key-file", key]);
        assert_eq!(said.code, Some(1), "{}", said.stderr);
    }
    let away = fanwire(&["pub", "news", "x", "--url", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(away.status.code(), Some(1));
    let told = String::from_utf8(away.stderr).unwrap();
    assert!(
        told.starts_with("error: cannot reach http://127.0.0.1:1: "),
        "{told}"
    );
}

#[test]
fn p3_a_gap_is_told_on_stderr_and_the_stream_goes_on() {
    let served = serve(&["--rules-history", "messages=5"]);
    let mut publisher = pub_lines(&served, "news");
    let ids = publish_all(&mut publisher, &numbered(1..=20));
    for transport in TRANSPORTS {
        let trimmed = sub(
            &served,
            &[
                "news",
                "--transport",
                transport,
                "--after",
                &ids[0],
                "--count",
                "5",
            ],
        )
        .end();
        assert_eq!(
            trimmed.stdout.lines().collect::<Vec<_>>(),
            numbered(16..=20),
            "{transport}"
        );
        assert!(
            trimmed
                .stderr
                .contains("gap: messages of news may be missing (trimmed"),
            "{}",
            trimmed.stderr
        );
        let nonsense = sub(
            &served,
            &["news", "--transport", transport, "--after", "no cursor"],
        );
        nonsense.hears("(malformed");
    }
}

#[test]
fn a_reader_that_goes_away_ends_sub_with_0_at_the_next_line_or_while_it_is_quiet() {
    let served = serve(&[]);
    for then_publish in [true, false] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let args = ["sub", "news", "--rewind", "1", "--url", &served.url];
        // The command, and with it this process's copy of the writer, goes out of scope.
        let mut child = fanwire(&args).stdout(writer).spawn().unwrap();
        request(served.port, "POST /c/news", "x");
        let mut line = [0; 2];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"x\n");
        drop(reader);
        if then_publish {
            request(served.port, "POST /c/news", "y");
        }
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_line_that_cannot_be_taken_is_told_and_the_next_ones_go_on() {
    let served = serve(&["--limits-message", "10"]);
    let mut publisher = pub_lines(&served, "news");
    let mut stdin = publisher.take_stdin();
    stdin
        .write_all(b"one\n12345678901\n\xff\n\r\nlast without an end")
        .unwrap();
    drop(stdin);
    let ended = publisher.end();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stderr);
    for told in [
        "line 2: ",
        "line 3: ",
        "line 5: ",
        "3 lines were not published",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    let heard = sub(&served, &["news", "--after", "earliest", "--count", "2"]).end();
    assert_eq!(heard.stdout, "one\n\n");
}

#[test]
fn p4_a_growing_file_piped_in_goes_on_through_a_restart_of_the_server() {
    let log = fresh("app.log");
    fs::write(&log, "").unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    let mut append = |lines: &[String]| {
        file.write_all((lines.join("\n") + "\n").as_bytes())
            .unwrap()
    };
    let mut first = serve(&[]);
    let mut tail = Command::new("tail")
        .args(["-n", "+1", "-f"])
        .arg(&log)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let args = ["pub", "logs", "--lines", "-v", "--url", &first.url];
    let publisher = Running::start(fanwire(&args).stdin(tail.stdout.take().unwrap()));
    let readers = TRANSPORTS.map(|transport| {
        sub(
            &first,
            &["logs", "--transport", transport, "--after", "earliest"],
        )
    });
    append(&numbered(1..=50));
    publisher.lines(50);
    for reader in &readers {
        assert_eq!(reader.lines(50), numbered(1..=50));
    }
    first.running.kill();
    append(&numbered(51..=100));
    assert!(publisher.hears("again in").starts_with("line 51: "));
    let second = serve_on(first.port, &mut fanwire(&[]));
    assert_eq!(second.url, first.url);
    publisher.lines(50);
    // The new server knows only what came after; the gap says that the rest may be missing.
    let (_, history) = request(second.port, "GET /c/logs?limit=1000", "");
    assert_eq!(
        history.matches("\"id\":").count(),
        50,
        "each line once: {history}"
    );
    for (reader, transport) in readers.iter().zip(TRANSPORTS) {
        assert_eq!(reader.lines(50), numbered(51..=100), "{transport}");
        reader.hears("epoch_unknown");
    }
    append(&numbered([101]));
    for reader in &readers {
        assert_eq!(reader.line(), "line 101");
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(publisher.end().code, Some(0));
}

#[test]
fn p4_a_line_whose_answer_was_lost_is_sent_again_with_the_same_key() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let args = ["pub", "logs", "--lines", "-v", "--url", &url];
    let mut publisher = Running::start(fanwire(&args).stdin(Stdio::piped()));
    publisher.feed("first\nsecond\n");
    // Takes one request and answers it, or hangs up in place of the answer.
    let serve_one = |answer: &str| {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut input = BufReader::new(&stream);
        let (mut key, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            input.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("idempotency-key", value)) => key = value.to_owned(),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).unwrap();
        (&stream).write_all(answer.as_bytes()).unwrap();
        (key, String::from_utf8(body).unwrap())
    };
    let kept = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12\r\n\r\n{\"id\":\"e-1\"}";
    let busy = "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let seen = ["", busy, kept, kept].map(serve_one);
    let (keys, bodies): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    assert_eq!(bodies, ["first", "first", "first", "second"]);
    assert!(
        !keys[0].is_empty() && keys[0] == keys[1] && keys[1] == keys[2],
        "{keys:?}"
    );
    assert_ne!(keys[2], keys[3]);
    assert_eq!(publisher.lines(2), ["e-1", "e-1"]);
    assert_eq!(publisher.end().code, Some(0));
}

#[test]
fn while_the_server_is_away_nothing_more_is_read_from_stdin() {
    const LINES: usize = 1024;
    let mut first = serve(&["--limits-write-progress", "60s"]);
    let mut publisher = pub_lines(&first, "logs");
    publish_all(&mut publisher, &numbered([0]));
    first.running.kill();
    let mut stdin = publisher.take_stdin();
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let writer = std::thread::spawn(move || {
        for n in 1..=LINES {
            let line = format!("{n:>1023}\n");
            stdin.write_all(line.as_bytes()).unwrap();
            count.fetch_add(line.len(), Ordering::SeqCst);
        }
    });
    for _ in 0..3 {
        publisher.hears("line 2: ");
    }
    // A pipe's 64 KiB, what a reader takes ahead, a line.
    assert!(written.load(Ordering::SeqCst) < 128 * 1024);
    let second = serve_on(
        first.port,
        &mut fanwire(&["--rules-history", "messages=2000,bytes=4MiB"]),
    );
    publisher.lines(LINES);
    writer.join().unwrap();
    assert_eq!(publisher.end().code, Some(0));
    let heard = sub(&second, &["logs", "--after", "earliest", "--count", "1024"]).end();
    let numbers: Vec<usize> = heard
        .stdout
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert_eq!(numbers, (1..=LINES).collect::<Vec<_>>());
}

#[test]
fn p2_a_killed_reader_goes_on_from_its_cursor_file_on_any_transport() {
    let served = serve(&[]);
    let mut publisher = pub_lines(&served, "logs");
    for (from, to) in TRANSPORTS
        .into_iter()
        .flat_map(|a| TRANSPORTS.map(|b| (a, b)))
    {
        let path = fresh(&format!("{from}-{to}.cursor"));
        let file = path.to_str().unwrap();
        let start = publish_all(&mut publisher, &numbered([0])).pop().unwrap();
        let mut first = sub(
            &served,
            &[
                "logs",
                "--transport",
                from,
                "--cursor-file",
                file,
                "--after",
                &start,
            ],
        );
        let ids = publish_all(&mut publisher, &numbered(1..=20));
        assert_eq!(first.lines(20), numbered(1..=20), "{from}");
        until("the cursor of the last line", || {
            fs::read_to_string(&path).is_ok_and(|text| text.trim() == ids[19])
        });
        first.kill();
        publish_all(&mut publisher, &numbered(21..=60));
        // What the file says wins over what the flags say.
        let second = sub(
            &served,
            &[
                "logs",
                "--transport",
                to,
                "--cursor-file",
                file,
                "--rewind",
                "50",
            ],
        );
        assert_eq!(second.lines(40), numbered(21..=60), "{from} then {to}");
        publish_all(&mut publisher, &numbered([61]));
        assert_eq!(second.line(), "line 61", "{from} then {to}");
        assert_eq!(second.said(), Vec::<String>::new(), "{from} then {to}");
    }
}

#[test]
fn p2_killed_in_mid_stream_a_reader_loses_nothing_and_repeats_only_the_line_it_was_at() {
    const LINES: usize = 900;
    let served = serve(&[]);
    let mut publisher = pub_lines(&served, "logs");
    publish_all(&mut publisher, &numbered(1..=LINES));
    for transport in TRANSPORTS {
        let path = fresh(&format!("mid-{transport}.cursor"));
        let args = [
            "logs",
            "--transport",
            transport,
            "--after",
            "earliest",
            "--cursor-file",
            path.to_str().unwrap(),
        ];
        let mut heard: Vec<String> = Vec::new();
        for kill_at in [1, 2, 97, 300] {
            let mut reader = sub(&served, &args);
            let mut part = reader.lines(kill_at);
            reader.kill();
            part.extend(reader.end_of_killed());
            join(&mut heard, part);
        }
        let last = sub(&served, &args);
        while heard
            .last()
            .is_none_or(|line| line != &format!("line {LINES}"))
        {
            let line = last.line();
            join(&mut heard, vec![line]);
        }
        assert_eq!(heard, numbered(1..=LINES), "{transport}");
    }
}

/// Appends what a reader printed after a kill; its first line may repeat the last.
fn join(heard: &mut Vec<String>, mut part: Vec<String>) {
    if !part.is_empty() && heard.last() == part.first() {
        part.remove(0);
    }
    heard.extend(part);
}
