#![allow(clippy::unwrap_used)]
use std::time::Duration;

use super::*;

fn problems(text: &str) -> String {
    Config::from_toml(text)
        .and_then(|config| config.validate())
        .unwrap_err()
        .to_string()
}

fn access(text: &str, name: &str) -> (CoreAccess, CoreAccess, CoreAccess) {
    let core = Config::from_toml(text).unwrap().to_core();
    let namespace = match name {
        "" => Namespace::root(),
        name => Namespace::new(name).unwrap(),
    };
    let rules = core.namespaces.rules(&namespace).clone();
    (rules.publish, rules.subscribe, rules.history_access)
}

#[test]
fn the_annotated_default_file_reads_back_as_the_defaults() {
    let text = Config::default_toml();
    assert_eq!(Config::from_toml(&text).unwrap(), Config::default());
    assert!(Config::default().validate().is_ok());
    for setting in Config::settings() {
        let line = format!("\n{} = ", setting.name());
        let stands = setting.hidden
            || matches!(setting.key, "namespaces" | "issuers")
            || text.contains(&line);
        assert!(stands, "{} is missing", setting.key);
    }
    assert!(!text.contains("force_pull"));
}

#[test]
fn the_example_of_a_namespace_in_the_default_file_works() {
    let text = Config::default_toml();
    let (_, example) = text.split_once("#\n# [namespaces.prices]").unwrap();
    let example = format!("[namespaces.prices]{}", example.replace("\n# ", "\n"));
    let config = Config::from_toml(&format!("{example}\n[access]\nopen = true")).unwrap();
    config.validate().unwrap();
    let core = config.to_core();
    let rules = core.namespaces.rules(&Namespace::new("prices").unwrap());
    assert_eq!(rules.history.ttl, Duration::from_secs(3600));
    assert_eq!(rules.history.messages, 100);
    assert_eq!(rules.history.bytes, 1024 * 1024);
    assert!(rules.conflate);
    let mail = core.namespaces.rules(&Namespace::new("mail").unwrap());
    assert_ne!(mail.users, rules.users);
}

#[test]
fn flags_and_variables_are_named_once_each() {
    let mut flags: Vec<String> = Config::settings().map(Setting::flag).collect();
    let mut vars: Vec<String> = Config::settings().map(Setting::env).collect();
    let count = flags.len();
    for names in [&mut flags, &mut vars] {
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
    for known in [
        "FANWIRE_LISTEN",
        "FANWIRE_OPEN",
        "FANWIRE_API_KEYS",
        "FANWIRE_WS_PING",
    ] {
        assert!(vars.iter().any(|var| var == known), "{known}");
    }
}

#[test]
fn every_default_is_its_own_text() {
    let config = Config::default();
    for setting in Config::settings() {
        let shown = (setting.get)(&config);
        let text = match setting.key.split_once('.') {
            Some((group, name)) => format!("[{group}]\n{name} = {shown}"),
            None => format!("{} = {shown}", setting.key),
        };
        assert_eq!(Config::from_toml(&text).unwrap(), config, "{}", setting.key);
    }
}

#[test]
fn core_gets_its_own_defaults_back() {
    // But for the largest message: events of Socket.IO may be larger.
    let message = Config::default().socketio.max_payload;
    let expected = CoreLimits {
        message,
        ..CoreLimits::default()
    };
    assert_eq!(Config::default().to_core().limits, expected);
}

#[test]
fn durations_and_sizes_are_read_with_and_without_units() {
    let text = "[http]\nheader_timeout = \"500ms\"\nkeep_alive = 90\nbody_timeout = \"10m\"\n\
                header_bytes = \"16KiB\"\n[limits]\nmessage = \"1MB\"\noutbox = 4_096";
    let config = Config::from_toml(text).unwrap();
    assert_eq!(config.http.header_timeout, Duration::from_millis(500));
    assert_eq!(config.http.keep_alive, Duration::from_secs(90));
    assert_eq!(config.http.body_timeout, Duration::from_secs(600));
    assert_eq!(config.http.header_bytes, 16384);
    assert_eq!(config.limits.message, 1_000_000);
    assert_eq!(config.limits.outbox, 4096);
    for wrong in [
        "\"5 fortnights\"",
        "\"-1s\"",
        "\"\"",
        "1.5",
        "\"99999999999999999999s\"",
        "[1, 2]",
        "1979-05-27",
    ] {
        let text = format!("[http]\nkeep_alive = {wrong}");
        assert!(
            problems(&text).starts_with("line 2: http.keep_alive: "),
            "{wrong}"
        );
    }
}

#[test]
fn p8_all_problems_are_listed_with_path_and_line() {
    let text = "[http]\nheader_timeuot = 5\n[ws]\nping = \"x\"\nkeep_alive = 3\n[colour]\na = 1\n";
    let found = problems(text);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 4, "{found}");
    assert!(
        lines[0]
            .starts_with("line 2: http.header_timeuot: no such setting; there are header_bytes")
    );
    assert!(lines[1].starts_with("line 4: ws.ping: "));
    assert_eq!(
        lines[2],
        "line 5: ws.keep_alive: no such setting here; did you mean http.keep_alive?"
    );
    assert!(lines[3].starts_with("line 6: colour: no such table; there are listen, tls, access"));
}

#[test]
fn p8_what_is_found_wrong_later_has_its_line_where_the_file_said_it() {
    let text = "[sse]\nretry_min = \"9s\"\n[issuers.a]\nissuer = \"a\"\n[access]\n\
                api_keys.\"x.y\" = \"\"\n[listen]\nbacklog = 0\n";
    let config = Config::from_toml(text).unwrap();
    let mut found = config.validate().unwrap_err();
    Config::locate(&mut found, text, |key| key == "listen.backlog");
    let placed: Vec<_> = found
        .0
        .iter()
        .map(|problem| (problem.line, problem.key.as_str()))
        .collect();
    let expected = [
        (None, "listen.backlog"),
        (Some(2), "sse.retry_min"),
        (Some(3), "issuers.a"),
        (Some(6), "access.api_keys.x.y"),
    ];
    assert_eq!(placed, expected);
}

#[test]
fn broken_toml_is_one_problem_with_its_line_and_quotes_nothing() {
    let found = problems("[access]\napi_keys = { ops = \"s3cr3t }\n");
    assert!(found.starts_with("line 2: not TOML"), "{found}");
    assert!(!found.contains("s3cr3t"));
}

#[test]
fn p8_an_address_that_others_reach_needs_a_key_or_open() {
    let refused = problems("[listen]\naddresses = [\"0.0.0.0:3000\", \"[::1]:3000\", \"[::]:0\"]");
    assert_eq!(refused.lines().count(), 2);
    assert!(refused.contains("--api-key NAME=SECRET") && refused.contains("--open"));
    for chosen in ["open = true", "api_keys = { ops = \"abc\" }"] {
        let text = format!("[listen]\naddresses = [\"0.0.0.0:3000\"]\n[access]\n{chosen}");
        assert!(Config::from_toml(&text).unwrap().validate().is_ok());
    }
    assert!(
        Config::from_toml("[listen]\naddresses = [\"127.9.9.9:1\"]")
            .unwrap()
            .validate()
            .is_ok()
    );
}

#[test]
fn p8_who_may_follows_from_what_was_chosen() {
    use CoreAccess::{Anyone, Keys, Nobody};
    let keyed = "[access]\napi_keys = { ops = \"abc\" }\n";
    assert_eq!(access("", ""), (Anyone, Anyone, Anyone));
    assert_eq!(access(keyed, ""), (Keys, Keys, Keys));
    assert_eq!(
        access(&format!("{keyed}open = true"), ""),
        (Anyone, Anyone, Anyone)
    );
    let explicit = format!(
        "{keyed}[rules]\nsubscribe = \"anyone\"\n[namespaces.chat]\npublish = \"nobody\"\nhistory_access = \"auto\""
    );
    assert_eq!(access(&explicit, ""), (Keys, Anyone, Keys));
    assert_eq!(access(&explicit, "chat"), (Nobody, Anyone, Keys));
    assert_eq!(access(&explicit, "other"), (Keys, Anyone, Keys));
}

#[test]
fn o3_every_origin_with_credentials_is_refused() {
    let refused =
        problems("[access]\nopen = true\nallow_origins = [\"*\"]\nallow_credentials = true");
    assert!(refused.starts_with("access.allow_origins: "));
    let refused = problems("[access]\nallow_origins = [\"*\"]");
    assert!(refused.contains("every page in a browser here"));
    let open = "[access]\nopen = true\nallow_origins = [\"*\"]";
    assert!(Config::from_toml(open).unwrap().validate().is_ok());
}

#[test]
fn o2_what_no_browser_sends_as_origin_is_refused() {
    for wrong in [
        "https://a.com/",
        "a.com",
        "HTTPS://a.com",
        "https://A.com",
        "null",
        "https://a.com:99999",
        "https://",
        "://a",
        "https://a b",
    ] {
        assert!(!problems(&format!("[access]\nallow_origins = [{wrong:?}]")).is_empty());
    }
    for right in [
        "https://a.com",
        "http://localhost:5173",
        "http://[::1]:80",
        "capacitor://localhost",
    ] {
        let text = format!(
            "[access]\nallow_origins = [{right:?}]\nallow_hosts = [\"a.com\", \"b.com:81\", \"[::2]\"]"
        );
        assert!(
            Config::from_toml(&text).unwrap().validate().is_ok(),
            "{right}"
        );
    }
    for wrong in ["https://a.com", "a.com:x", "a/b", "[::g]"] {
        assert!(!problems(&format!("[access]\nallow_hosts = [{wrong:?}]")).is_empty());
    }
}

#[test]
fn a_zero_is_refused_where_it_would_refuse_everything() {
    for setting in Config::settings() {
        if !matches!(setting.form, "number" | "size" | "duration") {
            continue;
        }
        let mut config = Config::default();
        config.set(setting.key, &Given::Text("0".into())).unwrap();
        let choice = matches!(
            setting.key,
            "limits.shards"
                | "http.on_connected_wait"
                | "listen.drain_window"
                | "listen.shutdown_grace"
                | "poll.wait"
                | "limits.credit_wait"
                | "ws.deflate_threshold"
        );
        // A rate of 0 is no limit.
        let choice = choice || (setting.key.starts_with("rates.") && setting.form != "duration");
        assert_eq!(config.validate().is_ok(), choice, "{}", setting.key);
    }
}

#[test]
fn secrets_are_in_no_output() {
    let text = "[access]\napi_keys = { ops = \"s3cr3t!\", web = \"s3cr3t!\" }";
    let config = Config::from_toml(text).unwrap();
    let refused = config.validate().unwrap_err().to_string();
    let mut shown = format!("{config:?}{refused}");
    for setting in Config::settings() {
        shown += &(setting.get)(&config);
    }
    for given in ["ops=s3cr3t!,ops=s3cr3t!", "s3cr3t!"] {
        shown += &config
            .clone()
            .set("access.api_keys", &Given::Text(given.into()))
            .unwrap_err()
            .to_string();
    }
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert!(shown.contains("\"ops\" = \"***\""));
}

#[test]
fn two_keys_with_one_secret_are_refused_and_so_are_unsendable_ones() {
    let found = problems(
        "[access]\napi_keys = { a = \"xyz\", b = \"xyz\", c = \"ü\", d = \"\", \"e f\" = \"q\" }",
    );
    assert_eq!(found.lines().count(), 4, "{found}");
    assert!(found.contains("access.api_keys.b: has the same secret as a"));
}

#[test]
fn history_can_be_off_or_given_in_parts() {
    let of = |text: &str| Config::from_toml(text).unwrap().rules.history;
    assert!(of("[rules]\nhistory = \"off\"").is_off());
    let parts = of("[rules.history]\nmessages = 5\nttl = \"1h\"");
    assert_eq!((parts.messages, parts.bytes), (5, 1024 * 1024));
    assert_eq!(parts, of("[rules]\nhistory = \"messages=5,ttl=1h\""));
    assert!(problems("[rules]\nhistory = { days = 3 }").contains("no \"days\""));
    assert!(problems("[rules]\nhistory = { bytes = 0 }").contains("write \"off\""));
    assert!(problems("[rules]\nhistory = \"off\"\nconflate = true").contains("conflate"));
}

#[test]
fn a_named_namespace_takes_what_it_leaves_out_from_the_rules() {
    let text = "[rules]\nhistory = \"off\"\n[namespaces.\"a/b.c\"]\nhistory.messages = 7\n[namespaces.quiet]\nhistory = \"off\"";
    let core = Config::from_toml(text).unwrap().to_core();
    let rules = |name: &str| {
        core.namespaces
            .rules(&Namespace::new(name).unwrap())
            .history
    };
    assert_eq!(
        (rules("a/b.c").messages, rules("a/b.c").bytes),
        (7, 1024 * 1024)
    );
    assert!(rules("quiet").is_off() && rules("else").is_off());
    let mut by_flag = Config::default();
    let flags = ["a/b.c:history.messages=7", "quiet:history=off"].map(str::to_owned);
    by_flag
        .set("namespaces", &Given::List(flags.to_vec()))
        .unwrap();
    by_flag
        .set("rules.history", &Given::Text("off".into()))
        .unwrap();
    assert_eq!(by_flag.to_core(), core);
    assert!(problems("[namespaces.\"a b\"]\npublish = \"keys\"").contains("A-Z a-z"));
    assert!(problems("[namespaces.chat]\ncolour = 3").contains("chat: colour: there are publish"));
    assert!(problems("[namespaces]\nchat = 3").contains("write a table [namespaces.chat]"));
}

#[test]
fn the_example_of_issuers_in_the_default_file_works() {
    let text = Config::default_toml();
    let (_, example) = text.split_once("#\n# [issuers.provider]").unwrap();
    let (example, _) = example.split_once("\n\n").unwrap();
    let example = format!(
        "[issuers.provider]{}",
        example.replace("\n# ", "\n").replace("\n#", "\n")
    );
    let config = Config::from_toml(&example).unwrap();
    config.validate().unwrap();
    let backend = &config.issuers.by_name["backend"];
    assert_eq!(backend.key_files().next().unwrap().0, Some("2026-01"));
    assert_eq!(config.issuers.by_name["provider"].audience, ["fanwire"]);
    assert!(!config.is_unconfigured());
}

#[test]
fn issuers_are_checked_and_their_secrets_never_shown() {
    let secret = "0123456789abcdef0123456789abcdef";
    let good = format!("[issuers.a]\nsecret = \"{secret}\"\n");
    let config = Config::from_toml(&good).unwrap();
    config.validate().unwrap();
    assert!(!format!("{config:?}").contains(secret));
    for setting in Config::settings() {
        assert!(!(setting.get)(&config).contains(secret));
    }
    for (text, says) in [
        ("[issuers.a]\nissuer = \"x\"", "has no key"),
        ("[issuers.a]\nsecret = \"short\"", "32 to 512"),
        ("[issuers.a]\njwks = \"http://example.org/k\"", "https"),
        ("[issuers.a]\njwks = \"file:///etc/passwd\"", "https"),
        (&format!("{good}leeway = \"31s\""), "at most 30s"),
        (
            &format!("{good}[issuers.b]\nsecret = \"{secret}x\""),
            "same `issuer`",
        ),
        ("[issuers.a]\nsecert = \"x\"", "there are issuer"),
    ] {
        let told = problems(text);
        assert!(told.contains(says), "{told}");
        assert!(!told.contains(secret), "{told}");
    }
    let flag = Given::Text("a:secret".into());
    let told = Config::default()
        .set("issuers", &flag)
        .unwrap_err()
        .to_string();
    assert!(told.contains("item 1 is not of the form"), "{told}");
}

const BACKEND: &str =
    "[issuers.a]\nissuer = \"a\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
const OTHER: &str = "[issuers.b]\nissuer = \"b\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n";

#[test]
fn a16_what_is_granted_to_all_users_is_read_and_inherited() {
    let text = format!(
        "{BACKEND}[rules]\nusers_subscribe = [\"inbox-{{sub}}\", \"lobby\"]\n\
         [namespaces.chat]\nusers_publish = [\"out-{{sub}}\", \"out-{{sub}}/*\"]\n\
         [namespaces.bare]\nusers_subscribe = []\n"
    );
    let config = Config::from_toml(&text).unwrap();
    config.validate().unwrap();
    let core = config.to_core();
    let may = |key: &str, id: &str, issuer: &str| {
        let key = fanwire_core::key::Key::parse(key.as_bytes()).unwrap();
        let issuer = Some(issuer);
        let who = fanwire_core::users::Who { id, issuer };
        let users = &core.namespaces.rules(key.namespace()).users;
        (users.subscribe(who, &key), users.publish(who, &key))
    };
    assert_eq!(may("inbox-ada", "ada", "a"), (true, false));
    assert_eq!(may("inbox-ada", "ada", "b"), (false, false));
    assert_eq!(may("lobby", "ada", "b"), (true, false));
    // A namespace without rules of its own has those of the default one, and one
    // with some, what it leaves out.
    assert_eq!(may("other:inbox-ada", "ada", "a"), (true, false));
    assert_eq!(may("chat:inbox-ada", "ada", "a"), (true, false));
    assert_eq!(may("chat:out-ada/x", "ada", "a"), (false, true));
    assert_eq!(may("bare:lobby", "ada", "a"), (false, false));
    // By flags, one at a time.
    let mut flags = Config::default();
    let given = [
        "chat:users_publish=out-{sub}",
        "chat:users_publish=out-{sub}/*",
    ];
    let given = Given::List(given.map(str::to_owned).to_vec());
    flags.set("namespaces", &given).unwrap();
    let chat = |config: &Config| config.namespaces.by_name["chat"].users_publish.clone();
    assert_eq!(chat(&flags), chat(&config));
}

#[test]
fn a16_patterns_of_users_that_could_be_anothers_are_refused() {
    let many = format!("{BACKEND}{OTHER}");
    for (issuers, rules, part) in [
        (
            BACKEND,
            "users_publish = [\"{sub}*\"]",
            "rules.users_publish",
        ),
        (BACKEND, "users_history = [\"a*b\"]", "rules.users_history"),
        (
            BACKEND,
            "users_subscribe = [\"{sub}\", \"u-{sub}\"]",
            "begins like another",
        ),
        (
            BACKEND,
            "users_subscribe = [\"{iss}-{sub}\"]",
            "no other braces",
        ),
        (BACKEND, "users_issuer = \"b\"", "there is no issuer"),
        (
            &many,
            "users_subscribe = [\"inbox-{sub}\"]",
            "several issuers",
        ),
    ] {
        let told = problems(&format!(
            "{issuers}[rules]\n{rules}\n[namespaces.x]\nconflate = true\n"
        ));
        assert!(told.contains(part), "{rules}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let told = problems(&format!(
        "{BACKEND}[namespaces.x]\nusers_publish = [\"x:a\"]\n"
    ));
    assert!(told.contains("write the name alone"), "{told}");
    let told = problems(&format!(
        "{BACKEND}[namespaces.x]\nusers_publish = [\"a,b\"]\n"
    ));
    assert!(told.contains("comma"), "{told}");
    // Named, or without anybody's name, it is clear who is meant.
    for fine in [
        "users_issuer = \"b\"\nusers_subscribe = [\"inbox-{sub}\"]",
        "users_subscribe = [\"lobby\"]",
    ] {
        let config = Config::from_toml(&format!("{many}[rules]\n{fine}\n")).unwrap();
        config.validate().unwrap();
    }
}
