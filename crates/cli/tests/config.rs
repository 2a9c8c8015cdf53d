//! Flags, variables, file: one table.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{fanwire, run};
use fanwire::Config;
use fanwire::config::Setting;

/// A file of this test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The default of a setting and a value that is not, as a flag takes them.
fn two_values(setting: &Setting) -> (String, String) {
    let config = Config::default();
    let default = (setting.get)(&config);
    match setting.form {
        "number" => {
            let more = default.parse::<u64>().unwrap() + 1;
            (default, more.to_string())
        }
        "size" => {
            let plain = default.trim_matches('"').to_owned();
            let more = match plain.strip_suffix("KiB").or(plain.strip_suffix("MiB")) {
                Some(number) => {
                    plain.replace(number, &(number.parse::<u64>().unwrap() + 1).to_string())
                }
                None => "12345".to_owned(),
            };
            (plain, more)
        }
        "duration" => {
            let plain = default.trim_matches('"').to_owned();
            let unit = [("ms", 1), ("s", 1_000), ("m", 60_000)]
                .into_iter()
                .find_map(|(unit, ms)| Some(plain.strip_suffix(unit)?.parse::<u64>().ok()? * ms));
            let more = format!("{}ms", unit.unwrap() + 1);
            (plain, more)
        }
        "true|false" => {
            let other = (default != "true").to_string();
            (default, other)
        }
        "anyone|users|keys|nobody|auto" => ("auto".to_owned(), "nobody".to_owned()),
        _ => match setting.key {
            "listen.addresses" => ("127.0.0.1:3000".to_owned(), "127.0.0.1:4000".to_owned()),
            "listen.admin_addresses" => (String::new(), "127.0.0.1:6000".to_owned()),
            "listen.plain_addresses" => (String::new(), "127.0.0.1:5000".to_owned()),
            "tls.cert" | "tls.key" => (String::new(), "some.pem".to_owned()),
            "tls.min_version" => ("1.2".to_owned(), "1.3".to_owned()),
            "access.api_keys" => (String::new(), "ops=0123456789abcdef".to_owned()),
            "access.allow_origins" => (String::new(), "https://example.org".to_owned()),
            "access.allow_hosts" => (String::new(), "example.org".to_owned()),
            "tokens.cookie" => (String::new(), "session".to_owned()),
            "issuers" => (String::new(), "id:jwks=https://id.example/keys".to_owned()),
            "access.proxies" => (String::new(), "10.0.0.0/8".to_owned()),
            "access.proxy_header" => ("x-forwarded-for".to_owned(), "forwarded".to_owned()),
            "rules.users_publish" | "rules.users_subscribe" | "rules.users_history" => {
                (String::new(), "inbox-{sub}".to_owned())
            }
            "rules.users_issuer" => (String::new(), "id".to_owned()),
            "rules.socketio" => ("auto".to_owned(), "on".to_owned()),
            "rules.rooms" => ("auto".to_owned(), "public".to_owned()),
            "rules.client_events" => ("deny".to_owned(), "publish:lobby".to_owned()),
            "socketio.path" => ("/socket.io/".to_owned(), "/io/".to_owned()),
            "rules.history" => ("messages=1000".to_owned(), "off".to_owned()),
            "namespaces" => (String::new(), "chat:publish=nobody".to_owned()),
            key => panic!("{key}: a new form; give it two values here"),
        },
    }
}

fn in_file(setting: &Setting, value: &str) -> PathBuf {
    let text = match setting.key.split_once('.') {
        Some((group, name)) => format!("[{group}]\n{name} = {value:?}\n"),
        None if setting.key == "issuers" => {
            "[issuers.id]\njwks = \"https://id.example/keys\"\n".to_owned()
        }
        None => "[namespaces.chat]\npublish = \"nobody\"\n".to_owned(),
    };
    file(&format!("{}.toml", setting.key), &text)
}

/// The setting's line of `check-config --show` with these sources.
fn shown(
    setting: &Setting,
    in_file: Option<&PathBuf>,
    env: Option<&str>,
    flag: Option<&str>,
) -> String {
    let mut command = fanwire(&["check-config", "--show"]);
    command.args(in_file);
    command.envs(env.map(|value| (setting.env(), value)));
    command.args(flag.map(|value| format!("--{}={value}", setting.flag())));
    // What is refused without its other half.
    let other_half = match setting.key {
        "listen.proxy_protocol" => Some("--access-proxies=10.0.0.0/8"),
        "listen.plain_addresses" => Some("--tls-self-signed=true"),
        "rules.users_issuer" => Some("--issuer=id:jwks=https://id.example/keys"),
        "tls.cert" => Some("--tls-key=key.pem"),
        "tls.key" => Some("--tls-cert=cert.pem"),
        _ => None,
    };
    let is_set = flag
        .or(env)
        .map_or(in_file.is_some(), |value| !value.is_empty());
    command.args(other_half.filter(|_| is_set));
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let start = format!("{} = ", setting.key);
    let line = stdout.lines().find_map(|line| line.strip_prefix(&start));
    let said = String::from_utf8_lossy(&output.stderr);
    line.unwrap_or_else(|| panic!("{}: {said}", setting.key))
        .to_owned()
}

#[test]
fn every_setting_is_a_line_a_variable_and_a_flag_and_the_nearest_wins() {
    for setting in Config::settings() {
        let key = setting.key;
        let (default, other) = two_values(setting);
        let file = in_file(setting, &other);
        let (default, other) = (Some(default.as_str()), Some(other.as_str()));
        let by_default = shown(setting, None, None, None);
        let changed = shown(setting, Some(&file), None, None);
        assert_eq!(by_default, (setting.get)(&Config::default()), "{key}");
        assert_ne!(changed, by_default, "{key}: the file over the default");
        assert_eq!(
            shown(setting, None, other, None),
            changed,
            "{key}: a variable"
        );
        assert_eq!(shown(setting, None, None, other), changed, "{key}: a flag");
        assert_eq!(
            shown(setting, Some(&file), default, None),
            by_default,
            "{key}: a variable over the file"
        );
        assert_eq!(
            shown(setting, Some(&file), other, default),
            by_default,
            "{key}: a flag over both"
        );
    }
}

#[test]
fn every_setting_stands_in_the_help_and_the_default_file() {
    let help = run(&["check-config", "--help"]).stdout;
    let file = run(&["default-config"]).stdout;
    for setting in Config::settings() {
        let flag = format!("--{}", setting.flag());
        let in_help = help
            .split_whitespace()
            .any(|word| word == flag || word.starts_with(&format!("{flag}[")));
        assert_eq!(in_help, !setting.hidden, "{flag} in the help");
        assert_eq!(
            help.contains(&format!("[env: {}]", setting.env())),
            !setting.hidden,
            "{}",
            setting.env()
        );
        assert_eq!(
            file.contains(&format!("{flag}, {}", setting.env())),
            !setting.hidden,
            "{flag} in the file"
        );
    }
}

#[test]
fn the_default_file_is_a_configuration_and_changes_nothing() {
    let printed = run(&["default-config"]);
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let path = file("default.toml", &printed.stdout);
    let path = path.to_str().unwrap();
    let checked = run(&["check-config", path]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        run(&["check-config", path, "--show"]).stdout,
        run(&["check-config", "--show"]).stdout
    );
}

#[test]
fn p8_check_config_lists_every_problem_with_its_place_and_ends_with_1() {
    let path = file(
        "wrong.toml",
        "[http]\nheader_timeuot = 5\n[ws]\nping = \"soon\"\n",
    );
    let mut command = fanwire(&[
        "check-config",
        path.to_str().unwrap(),
        "--poll-wait",
        "later",
    ]);
    command.env("FANWIRE_SSE_RETRY_MIN", "never");
    let ended = common::Ended::from(command.output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        lines[0].starts_with("error: 4 problems in ") && lines[0].ends_with("wrong.toml:"),
        "{lines:?}"
    );
    for (line, start) in lines[1..].iter().zip([
        "  line 2: http.header_timeuot: ",
        "  line 4: ws.ping: ",
        "  FANWIRE_SSE_RETRY_MIN: ",
        "  --poll-wait: ",
    ]) {
        assert!(line.starts_with(start), "{lines:?}");
    }
    assert_eq!(lines.len(), 5);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_told() {
    let gone = run(&["check-config", "/nowhere/fanwire.toml"]);
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr
            .starts_with("error: cannot read /nowhere/fanwire.toml: ")
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bytes.toml");
    fs::write(&path, b"[listen]\n# \xff\n").unwrap();
    let bytes = run(&["check-config", path.to_str().unwrap()]);
    assert_eq!(bytes.code, Some(1));
    assert!(bytes.stderr.contains("UTF-8"), "{}", bytes.stderr);
}

#[test]
fn secrets_given_in_any_form_are_in_no_output() {
    let secret = "do-not-show-me";
    let path = file(
        "secret.toml",
        &format!("[access]\napi_keys = {{ ops = \"{secret}\", web = \"{secret}\" }}\n"),
    );
    let path = path.to_str().unwrap();
    let flag = format!("--api-key=ops={secret}");
    for args in [
        vec!["check-config", path],
        vec!["check-config", "--show", &flag],
        vec!["check-config", &flag, "--api-key", secret],
        vec!["check-config", &flag, "--help"],
    ] {
        let mut command = fanwire(&args);
        command.env("FANWIRE_API_KEYS", format!("ops={secret}"));
        let ended = common::Ended::from(command.output().unwrap());
        assert!(!(ended.stdout + &ended.stderr).contains(secret), "{args:?}");
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        assert!(
            script.stdout.contains("fanwire") && script.stdout.contains("check-config"),
            "{shell}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_with_0() {
    let mut command = fanwire(&["completions", "zsh"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command.stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
