//! SIGHUP and `POST /api/reload`: the file is read again, under the same flags.
#![allow(clippy::unwrap_used)]

mod common;

use common::{fanwire, fresh, request, serve_on};

const KEY: &str = "s3cret-0123456789abcdef";

#[test]
fn p8_sighup_reads_the_file_again_and_a_faulty_one_changes_nothing() {
    let file = fresh("reload.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let keys = format!("[access]\napi_keys = {{ ops = \"{KEY}\" }}\n");
    write(&keys);
    let path = file.to_str().unwrap();
    let served = serve_on(0, &mut fanwire(&["--config", path, "--rates-burst", "3s"]));
    let running = &served.running;

    // The flag wins over the file, then as at the start.
    write(&format!(
        "{keys}[rates]\nburst = \"9s\"\nmessages_per_user = 7\n[limits]\nshards = 3\n"
    ));
    running.signal("HUP");
    let said = running.hears("reloaded");
    assert_eq!(
        said,
        "reloaded: changed: rates.messages_per_user; needs a restart: limits.shards"
    );

    write(&format!(
        "{keys}[rates]\nmessages_per_user = \"many\"\nno = 1\n"
    ));
    running.signal("HUP");
    running.hears("not reloaded");
    let first = running.hears("line 4");
    assert!(first.contains("rates.messages_per_user"), "{first}");
    running.hears("line 5");

    // What each by itself could be is told with its line, too.
    write(&format!(
        "{keys}[sse]\nretry_min = \"9s\"\n[namespaces.\"a.b\"]\nhistory.ttl = \"0s\"\n"
    ));
    running.signal("HUP");
    let said = running.hears("line 4");
    assert!(
        said.contains("sse.retry_min: is more than sse.retry_max"),
        "{said}"
    );
    let said = running.hears("line 6");
    assert!(said.contains("namespaces.a.b.history: "), "{said}");

    write(&format!(
        "{keys}[rates]\nmessages_per_user = \"many\"\nno = 1\n"
    ));
    // The same is told to whoever asks by the API.
    let ask = format!("POST /api/reload HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nX-A:");
    let (head, body) = request(served.port, &ask, "");
    assert!(head.starts_with("HTTP/1.1 422"), "{head}");
    assert!(body.contains("line 4") && body.contains("line 5"), "{body}");
    assert!(!body.contains(KEY), "{body}");

    // Unreadable is faulty, too; and it serves on.
    std::fs::remove_file(&file).unwrap();
    running.signal("HUP");
    running.hears("not reloaded");
    running.hears("cannot read");
    write(&keys);
    running.signal("HUP");
    let said = running.hears("reloaded");
    assert_eq!(said, "reloaded: changed: rates.messages_per_user");
}

#[test]
fn a_log_of_json_is_one_object_a_line_and_shows_no_secret() {
    let keys = format!("--api-key=ops={KEY}");
    let args = ["--log=debug", "--log-format=json", &keys];
    let served = serve_on(0, &mut fanwire(&args));
    let ask = format!("GET /c/a HTTP/1.1\r\nAuthorization: Bearer {KEY}x\r\nX-A:");
    let (head, _) = request(served.port, &ask, "");
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    let line = served.running.hears("refused");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["fields"]["code"], "unauthorized", "{line}");
    assert!(!line.contains(KEY), "{line}");
}
