//! `fanwire bench` against `fanwire serve`: the program starts itself as the
//! server and as the load.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

fn measured(arguments: &str) -> Vec<(String, Value)> {
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
        for key in ["lost", "doubled", "out_of_order", "refused"] {
            assert_eq!(figures[key].as_f64(), Some(0.0), "{key} in {run}");
        }
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
