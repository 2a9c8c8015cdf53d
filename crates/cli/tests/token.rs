//! `fanwire token`, and what a server says of its tokens.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ended, Running, fanwire, fresh, run, serve_on};

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn made(args: &[&str]) -> String {
    let ended = run(&[&["token", "make"], args].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout.trim().to_owned()
}

fn explained(token: &str, more: &[&str]) -> Ended {
    run(&[&["token", "explain", token], more].concat())
}

/// A request to a server with a proof.
fn asked(port: u16, head: &str, proof: &str) -> String {
    let head = format!("{head} HTTP/1.1\r\nAuthorization: Bearer {proof}\r\nX-Rest:");
    common::request(port, &head, "").0
}

#[test]
fn every_kind_of_key_signs_what_a_server_takes_by_the_lines_that_were_printed() {
    let folder = folder("token-kinds");
    for kind in ["secret", "ed25519", "p256", "p384", "rsa"] {
        let out = folder.join(kind);
        let mut args = vec!["token", "key", kind, "--name", "us"];
        if kind != "secret" {
            args.extend(["--out", text(&out)]);
        }
        let keys = run(&args);
        assert_eq!(keys.code, Some(0), "{}", keys.stderr);
        let config = folder.join(format!("{kind}.toml"));
        fs::write(&config, &keys.stdout).unwrap();
        let mut make = vec!["--sub=ada", "--subscribe=news-*", "--publish=news-a"];
        make.extend(["--config", text(&config)]);
        let private = folder.join(format!("{kind}.key.pem"));
        if kind != "secret" {
            let mode = fs::metadata(&private).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{kind}");
            make.extend(["--key", text(&private)]);
        }
        let token = made(&make);
        let mut command = fanwire(&["--config", text(&config)]);
        let served = serve_on(0, &mut command);
        let answer = asked(served.port, "POST /c/news-a", &token);
        assert!(answer.starts_with("HTTP/1.1 200"), "{kind} {answer}");
        let answer = asked(served.port, "POST /c/news-b", &token);
        assert!(answer.starts_with("HTTP/1.1 403"), "{kind} {answer}");
        let told = explained(
            &token,
            &["--config", text(&config), "--channel=news-a", "--channel=x"],
        );
        assert_eq!(told.code, Some(0), "{}", told.stdout);
        for line in [
            "takes it, as \"ada\"",
            "may publish to \"news-a\"",
            "may not listen to \"x\": the token does not grant subscribe here",
        ] {
            assert!(told.stdout.contains(line), "{line}\n{}", told.stdout);
        }
    }
    // A key that is there is not written over.
    let before = fs::read(folder.join("rsa.key.pem")).unwrap();
    let again = run(&["token", "key", "rsa", "--out", text(&folder.join("rsa"))]);
    assert_eq!(again.code, Some(1));
    assert_eq!(fs::read(folder.join("rsa.key.pem")).unwrap(), before);
}

#[test]
fn a_token_says_what_its_flags_say() {
    let secret = fresh("token-secret.txt");
    fs::write(&secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    let key = ["--key", text(&secret)];
    let token = made(
        &[
            &key[..],
            &[
                "--sub=ada",
                "--iss=us",
                "--aud=a",
                "--aud=b",
                "--kid=k1",
                "--ttl=10m",
            ],
            &[
                "--alg=hs512",
                "--subscribe=news",
                "--history=old-*",
                "--presence=news",
                "--call=news",
            ],
            &["--claim", "jti=\"t1\"", "--claim", "roles=[\"x\",1]"],
        ]
        .concat(),
    );
    let told = explained(&token, &[]);
    assert_eq!(told.code, Some(0), "{}", told.stdout);
    for part in [
        "\"HS512\"",
        "\"k1\"",
        "[\"a\",\"b\"]",
        "\"us\"",
        "\"t1\"",
        "in 10 min",
        "[\"x\",1]",
    ] {
        assert!(told.stdout.contains(part), "{part}\n{}", told.stdout);
    }
    let grants: Vec<&str> = told
        .stdout
        .split_once("\ngrants\n")
        .unwrap()
        .1
        .lines()
        .map(str::trim)
        .collect();
    assert_eq!(grants.len(), 2, "{grants:?}");
    assert!(grants[0].starts_with("news") && grants[0].ends_with("subscribe, presence, call"));
    assert!(grants[1].starts_with("old-*") && grants[1].ends_with("history"));
    assert!(!told.stdout.contains(token.rsplit('.').next().unwrap()));

    for wrong in [
        &["--sub=ada", "--claim=exp=5"][..],
        &["--sub=ada", "--claim=name=text"],
        &["--sub=ada", "--subscribe=a*b"],
        &["--sub=", "--subscribe=a"],
        &["--sub=ada", "--alg=ES256"],
        &["--sub=ada", "--alg=none"],
    ] {
        let ended = run(&[&["token", "make"][..], &key[..], wrong].concat());
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{wrong:?}"
        );
        assert!(
            !ended.stderr.contains("0123456789abcdef"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_token_that_a_server_refuses_is_explained_with_the_servers_words() {
    let folder = folder("token-refused");
    let config = folder.join("fanwire.toml");
    let lines = "[issuers.us]\nissuer = \"us\"\naudience = \"fanwire\"\n\
                 secret = \"MARKED-0123456789abcdef0123456789abcdef\"\n";
    fs::write(&config, lines).unwrap();
    let other = folder.join("other.txt");
    fs::write(&other, "OTHER-0123456789abcdef0123456789abcdef").unwrap();
    let key = ["--key", text(&other), "--sub=ada"];
    for (args, part) in [
        (&["--iss=us", "--aud=fanwire"][..], "signature is wrong"),
        (&["--iss=them"], "issuer is not known"),
    ] {
        let token = made(&[&key[..], args].concat());
        let told = explained(&token, &["--config", text(&config)]);
        assert_eq!(told.code, Some(1));
        assert!(
            told.stdout.contains("refuses it (unauthorized)"),
            "{}",
            told.stdout
        );
        assert!(told.stdout.contains(part), "{}", told.stdout);
        assert!(!told.stdout.contains("MARKED") && !told.stderr.contains("MARKED"));
    }
    // The secret comes by the environment, as it does to the server.
    let bare = folder.join("bare.toml");
    fs::write(&bare, "[listen]\nbacklog = 7\n").unwrap();
    let mut command = fanwire(&[
        "token",
        "make",
        "--sub=ada",
        "--aud=else",
        "--config",
        text(&bare),
    ]);
    let secret = "us:secret=0123456789abcdef0123456789abcdef";
    let ended: Ended = command
        .env("FANWIRE_ISSUERS", secret)
        .output()
        .unwrap()
        .into();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("would refuse it") && ended.stderr.contains("audience"));
    let nothing = run(&["token", "explain", "not a token"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(1), ""));
}

#[test]
fn a18_an_api_key_is_configured_by_its_hash_and_shown_nowhere() {
    let config = fresh("token-api.toml");
    let keys = run(&["token", "key", "api", "--name", "ops"]);
    fs::write(&config, &keys.stdout).unwrap();
    // The line behind the first.
    let key = keys.stdout.lines().nth(1).unwrap().trim_start_matches("# ");
    let hash = keys
        .stdout
        .lines()
        .last()
        .unwrap()
        .split('"')
        .nth(1)
        .unwrap();
    assert!(hash.starts_with("sha256:") && hash.len() == 71, "{hash}");
    let shown = run(&["check-config", text(&config), "--show"]);
    assert_eq!(shown.code, Some(0));
    let said = shown.stdout + &shown.stderr;
    assert!(!said.contains(key) && !said.contains(&hash[7..]), "{said}");

    let more = format!("web={}", "x".repeat(20));
    let mut command: Command = fanwire(&["--config", text(&config)]);
    let served = serve_on(0, &mut command);
    assert!(asked(served.port, "POST /c/news", key).starts_with("HTTP/1.1 200"));
    for wrong in [hash, &hash[7..], "ops", "x"] {
        let answer = asked(served.port, "POST /c/news", wrong);
        assert!(answer.starts_with("HTTP/1.1 401"), "{wrong} {answer}");
    }
    for (bad, part) in [
        (
            format!("ops=sha256:{}", "a".repeat(63)),
            "64 hexadecimal digits",
        ),
        (
            format!("ops=sha256:{}", "g".repeat(64)),
            "64 hexadecimal digits",
        ),
        (format!("ops={hash},twin={key}"), "has the same secret as"),
        (
            format!("{more},ops={hash},twin={hash}"),
            "has the same secret as",
        ),
    ] {
        let ended = run(&["check-config", "--api-key", &bad]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
        assert!(!ended.stderr.contains(&hash[7..]) && !ended.stderr.contains(key));
        assert!(!ended.stderr.contains(&"g".repeat(20)));
    }
}

/// `us`, whose tokens end to the second.
const ISSUER: &str = "us:secret=0123456789abcdef0123456789abcdef,us:leeway=0s";

fn short(secret: &Path, ttl: &str) -> String {
    let rights = ["--subscribe=news", "--publish=news"];
    made(
        &[
            &["--sub=ada", "--ttl", ttl, "--key", text(secret)][..],
            &rights,
        ]
        .concat(),
    )
}

#[test]
fn a13_pub_and_sub_show_a_token_and_come_back_with_the_next_one() {
    let folder = folder("token-renewed");
    let (secret, file) = (folder.join("secret"), folder.join("token"));
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let mut command = fanwire(&["--issuer", ISSUER]);
    let served = serve_on(0, &mut command);
    fs::write(&file, short(&secret, "2s")).unwrap();
    let url = ["--url", &served.url];
    let subs: Vec<Running> = ["ws", "sse", "poll"]
        .into_iter()
        .map(|transport| {
            let args = ["sub", "news", "--transport", transport, "--after=earliest"];
            let file = ["--token-file", text(&file)];
            Running::start(&mut fanwire(&[&args[..], &url, &file].concat()))
        })
        .collect();
    let long = short(&secret, "1h");
    let publish = |data: &str| {
        let mut command = fanwire(&[&["pub", "news", data][..], &url].concat());
        let ended: Ended = command.env("FANWIRE_TOKEN", &long).output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    };
    publish("one");
    // All of them are told that it has ended while the file still holds it.
    for sub in &subs {
        sub.hears("expired");
    }
    fs::write(&file, &long).unwrap();
    publish("two");
    for sub in &subs {
        assert_eq!(sub.lines(2), ["one", "two"]);
    }

    // A token alone has no successor.
    let ended = run(&[&["sub", "news", "--token", &short(&secret, "1s")][..], &url].concat());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("token_expired"), "{}", ended.stderr);
    for wrong in [
        &["pub", "news", "x"][..],
        &["pub", "news", "x", "--token=eyJ.eyJ.MARKED"],
        &["sub", "news", "--token=MARKED\u{e9}"],
    ] {
        let ended = run(&[wrong, &url].concat());
        assert_eq!(ended.code, Some(1), "{wrong:?}");
        assert!(!ended.stderr.contains("MARKED"), "{}", ended.stderr);
    }
}
