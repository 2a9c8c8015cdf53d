//! `fanwire bench` against `fanwire serve`: the program starts itself as the
//! server and as the load.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{Running, fanwire, until};
use serde_json::Value;

fn measured(arguments: &str) -> Vec<(String, Value)> {
    let runs = bare(arguments);
    for (transport, figures) in &runs {
        for key in ["lost", "doubled", "out_of_order", "refused"] {
            assert_eq!(
                figures[key].as_f64(),
                Some(0.0),
                "{key} by {transport}: {figures}"
            );
        }
    }
    runs
}

/// What a run brought, of a scenario that counts no faults.
fn bare(arguments: &str) -> Vec<(String, Value)> {
    let output = Command::new(env!("CARGO_BIN_EXE_fanwire"))
        .arg("bench")
        .args(arguments.split_whitespace())
        .args(["--json", "--no-pin", "--seconds", "0.5", "--warmup", "0.3"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = all["runs"].as_array().unwrap().iter();
    runs.map(|run| {
        assert_eq!(run["error"], Value::Null, "{run}");
        let figures = run["outcome"]["figures"].clone();
        (run["transport"].as_str().unwrap().to_owned(), figures)
    })
    .collect()
}

#[test]
fn bench_finds_nothing_lost_doubled_or_out_of_order_on_any_transport() {
    let runs = measured("classic --clients 10 --rate 20");
    let transports: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(transports, ["longpoll", "sse", "ws"]);
    for (transport, figures) in runs {
        assert!(
            figures["deliveries_per_s"].as_f64() > Some(0.0),
            "{transport}: {figures}"
        );
        assert!(
            figures["server_mib"].as_f64() > Some(0.0),
            "{transport}: {figures}"
        );
    }
}

#[test]
fn bench_finds_nothing_missing_after_all_clients_were_cut() {
    let runs = measured("resume --clients 20 --rate 100");
    let transports: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(transports, ["longpoll", "sse", "ws-envelope"]);
    for (transport, figures) in runs {
        assert!(
            figures["missed"].as_f64() > Some(0.0),
            "{transport}: {figures}"
        );
        assert!(
            figures["whole_ms"].as_f64() > Some(0.0),
            "{transport}: {figures}"
        );
    }
}

#[test]
fn bench_saturates_without_a_fault() {
    for (transport, figures) in measured("fanout --clients 50 --window 8") {
        assert!(
            figures["deliveries_per_s"].as_f64() > Some(0.0),
            "{transport}: {figures}"
        );
    }
}

/// The transports that go over each of these.
fn over(transports: &str, carriers: &[&str]) -> String {
    let each = transports.split(',');
    let named = each.flat_map(|one| carriers.iter().map(move |over| format!("{one}+{over}")));
    named.collect::<Vec<_>>().join(",")
}

#[test]
fn bench_hears_all_over_tls_and_http2_at_a_pace_and_at_saturation() {
    let carriers = ["tls", "h2", "h2+tls"];
    for (load, carriers) in [
        ("fanout --clients 20 --window 4", &carriers[..]),
        ("classic --clients 8 --rate 10", &carriers[2..]),
    ] {
        let all = over("longpoll,sse,ws", carriers);
        let runs = measured(&format!("{load} --transport {all}"));
        let transports: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(transports.join(","), all);
        for (transport, figures) in &runs {
            assert!(
                figures["deliveries_per_s"].as_f64() > Some(0.0),
                "{transport}: {figures}"
            );
            assert_eq!(figures["closed"].as_f64(), Some(0.0), "{transport}");
        }
    }
}

#[test]
fn bench_shares_http2_connections_among_clients() {
    let all = over("longpoll,sse,ws", &["h2", "h2+tls"]);
    let runs = measured(&format!(
        "fanout --clients 20 --window 4 --streams 8 --transport {all}"
    ));
    for (transport, figures) in runs {
        assert!(
            figures["deliveries_per_s"].as_f64() > Some(0.0),
            "{transport}: {figures}"
        );
    }
}

#[test]
fn bench_comes_back_with_tickets_unless_told_not_to() {
    for (more, least, most) in [("", 30.0, 100.0), ("--no-tickets", 0.0, 0.0)] {
        let load = format!("storm --clients 20 --at-once 10 {more}");
        for (transport, figures) in bare(&format!("{load} --transport ws+tls,sse+h2+tls")) {
            let resumed = figures["resumed_percent"].as_f64().unwrap();
            assert!(
                (least..=most).contains(&resumed),
                "{transport} {more}: {figures}"
            );
        }
    }
}

#[test]
fn bench_measures_what_a_server_costs_that_checks_tokens_and_rates() {
    let runs = measured("classic --clients 8 --rate 10 --adapter fanwire-guarded");
    assert_eq!(runs.len(), 3);
}

#[test]
fn bench_sees_that_a_reader_who_stalled_too_long_is_told_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_fanwire"))
        .args(["bench", "slow", "--transport", "longpoll", "--json"])
        .args(["--clients", "4", "--stalled", "2", "--rate", "200"])
        .args(["--no-pin", "--seconds", "0.5", "--warmup", "0.3"])
        .env("FANWIRE_RULES_HISTORY", "messages=20")
        .output()
        .unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = &all["runs"][0]["outcome"]["figures"];
    assert!(figures["stalled_lost"].as_f64() > Some(0.0), "{all}");
    assert_eq!(figures["stalled_silent"].as_f64(), Some(0.0), "{all}");
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    processes
        .filter_map(number)
        .filter(|child| parent(*child) == Some(pid))
        .collect()
}

/// The parent of a process that is not at its end.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit(") ").next()?.split(' ');
    let alive = words.next() != Some("Z");
    words.next()?.parse().ok().filter(|_| alive)
}

#[test]
fn z7_a_signal_to_bench_leaves_no_process_and_no_folder_behind() {
    for (signal, number) in [("TERM", 15), ("INT", 2)] {
        let temp = tempfile(signal);
        let mut command = fanwire(&["bench", "idle", "--seconds", "600", "--clients", "10"]);
        command.args(["--transport", "sse", "--no-pin", "--quiet"]);
        let bench = Running::start(command.env("TMPDIR", &temp));
        // The server and the load.
        let mut started = Vec::new();
        until("the load to run", || {
            started = children(bench.id());
            started.len() == 2
        });
        assert_eq!(
            fs::read_dir(&temp).unwrap().count(),
            1,
            "the server's folder"
        );
        bench.signal(signal);
        let ended = bench.end();
        assert_eq!(ended.code, Some(128 + number), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("ended by a signal"),
            "{}",
            ended.stderr
        );
        until("both to be gone", || {
            started.iter().all(|pid| parent(*pid).is_none())
        });
        assert_eq!(fs::read_dir(&temp).unwrap().count(), 0, "nothing is left");
        fs::remove_dir(&temp).unwrap();
    }
}

fn tempfile(name: &str) -> std::path::PathBuf {
    let name = format!("fanwire-test-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}
