//! Every scenario, small, against the built-in broadcaster: the load generator
//! must find nothing wrong with a server that does nothing wrong.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fanwire-bench"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What a scenario measured on every transport of the broadcaster.
fn measured(scenario: &str, more: &str) -> Vec<(String, Value)> {
    let mut arguments = vec![scenario, "--adapter", "floor", "--json", "--no-pin"];
    arguments.extend(["--seconds", "0.5", "--warmup", "0.2"]);
    arguments.extend(more.split_whitespace());
    let output = bench(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = all["runs"].as_array().unwrap().iter();
    runs.map(|run| {
        assert_eq!(run["error"], Value::Null, "{run}");
        let transport = run["transport"].as_str().unwrap().to_owned();
        (transport, run["outcome"]["figures"].clone())
    })
    .collect()
}

fn number(figures: &Value, key: &str) -> f64 {
    figures[key]
        .as_f64()
        .unwrap_or_else(|| panic!("no {key} in {figures}"))
}

fn nothing_wrong(figures: &Value) {
    for key in ["lost", "doubled", "out_of_order", "refused", "closed"] {
        assert_eq!(number(figures, key), 0.0, "{key} in {figures}");
    }
}

#[test]
fn classic_hears_every_message_of_every_client_on_every_transport() {
    let runs = measured("classic", "--clients 8 --rate 20");
    let transports: Vec<&str> = runs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(transports, ["longpoll", "sse", "ws"]);
    for (_, figures) in runs {
        nothing_wrong(&figures);
        assert!(number(&figures, "deliveries_per_s") > 0.0);
        assert!(number(&figures, "p50_ms") <= number(&figures, "p99_ms"));
        assert!(number(&figures, "overhead_bytes") > 0.0);
        assert!(number(&figures, "server_mib") > 0.0);
    }
}

#[test]
fn fanout_runs_at_a_rate_and_with_a_window() {
    for pace in ["--rate 50", "--window 4"] {
        for (_, figures) in measured("fanout", &format!("--clients 20 {pace}")) {
            nothing_wrong(&figures);
            assert!(number(&figures, "deliveries_per_s") > 0.0);
        }
    }
}

#[test]
fn rooms_hear_their_own_messages_alone() {
    for (_, figures) in measured("rooms", "--clients 20 --channels 5 --window 3") {
        nothing_wrong(&figures);
        assert!(number(&figures, "deliveries_per_s") > 0.0);
    }
}

#[test]
fn idle_measures_memory_and_connects() {
    for (_, figures) in measured("idle", "--clients 50") {
        assert!(number(&figures, "kib_per_connection") >= 0.0);
        assert!(number(&figures, "connects_per_s") > 0.0);
        assert_eq!(number(&figures, "closed"), 0.0);
    }
}

#[test]
fn echo_comes_back_to_its_sender() {
    for (_, figures) in measured("echo", "--clients 3") {
        nothing_wrong(&figures);
        assert!(number(&figures, "round_trips_per_s") > 0.0);
    }
}

#[test]
fn resume_is_whole_where_there_is_a_cursor_and_says_what_is_missing_where_there_is_none() {
    let runs = measured("resume", "--clients 10 --rate 50 --transport longpoll,sse");
    let (with, without) = (&runs[0].1, &runs[1].1);
    nothing_wrong(with);
    assert!(number(with, "missed") > 0.0);
    assert!(number(with, "whole_ms") > 0.0);
    assert!(
        number(without, "lost") > 0.0,
        "the floor's SSE has no cursor: {without}"
    );
}

#[test]
fn slow_readers_get_the_rest_when_they_read_again() {
    for (_, figures) in measured("slow", "--clients 6 --stalled 2 --rate 50 --payload 8192") {
        nothing_wrong(&figures);
        assert_eq!(number(&figures, "stalled_lost"), 0.0);
    }
}

#[test]
fn storm_connects_again_and_again() {
    for (_, figures) in measured("storm", "--clients 20 --at-once 10") {
        assert!(number(&figures, "connects_per_s") > 0.0);
        assert!(number(&figures, "connect_p50_ms") > 0.0);
    }
}

#[test]
fn compare_takes_turns_and_prints_ratios() {
    let mut arguments = vec!["compare", "floor", "floor-batch", "--scenario", "fanout"];
    arguments.extend([
        "--clients",
        "10",
        "--seconds",
        "0.3",
        "--warmup",
        "0.1",
        "--no-pin",
    ]);
    arguments.extend(["--repeats", "2", "--transport", "ws", "--markdown"]);
    let output = bench(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("| floor:ws | "), "{text}");
    let (_, ratios) = text.split_once("As multiples of floor").unwrap();
    assert!(ratios.contains("| ws | "), "{text}");
}

#[test]
fn an_adapter_from_a_file_says_all_that_is_needed() {
    let folder = std::env::temp_dir().join(format!("bench-adapter-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("mine.toml");
    // Every client answers at the door, and messages stand in JSON.
    let adapter = r#"
        name = "mine"
        about = "The broadcaster, spoken to in a roundabout way."
        [server]
        command = ["{self}", "floor", "--port", "{port}"]
        [transports.json]
        kind = "ws"
        path = "/ws/{channel}"
        open = [{ send = "{\"join\":\"{channel}\"}" }, { wait = "join", send = "ready?" }]
        ready = "ready?"
        publish = { send = "{\"say\":{\"to\":\"{channel}\",\"text\":\"{message}\"}}" }
    "#;
    std::fs::write(&file, adapter).unwrap();
    let output = bench(&[
        "classic",
        "--adapter",
        file.to_str().unwrap(),
        "--clients",
        "3",
        "--rate",
        "20",
        "--seconds",
        "0.5",
        "--warmup",
        "0.2",
        "--no-pin",
        "--json",
    ]);
    std::fs::remove_dir_all(&folder).unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &all["runs"][0];
    assert_eq!(
        (run["target"].as_str(), run["transport"].as_str()),
        (Some("mine"), Some("json")),
        "{run}"
    );
    nothing_wrong(&run["outcome"]["figures"]);
    assert!(number(&run["outcome"]["figures"], "deliveries_per_s") > 0.0);
}

#[test]
fn a_page_is_written_besides_the_table() {
    let file = std::env::temp_dir().join(format!("bench-page-{}.html", std::process::id()));
    let path = file.to_str().unwrap();
    let figures = measured("classic", &format!("--clients 4 --rate 20 --html {path}"));
    let page = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(page.matches("<polyline").count(), figures.len());
    assert!(page.contains("none was lost"), "{page}");
}

#[test]
fn a_server_that_runs_already_is_measured_where_it_is() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let mut floor = Command::new(env!("CARGO_BIN_EXE_fanwire-bench"))
        .args(["floor", "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(floor.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().rsplit(' ').next().unwrap();
    let url = format!("--url http://{address} --clients 5 --transport ws --rate 10");
    let runs = measured("classic", &url);
    floor.kill().unwrap();
    floor.wait().unwrap();
    nothing_wrong(&runs[0].1);
    assert_eq!(
        runs[0].1["server_mib"],
        Value::Null,
        "nothing is known of its process"
    );
}

#[test]
fn what_cannot_be_measured_is_told_and_fails() {
    // Taken and given back: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = bench(&["classic", "--url", &url, "--adapter", "floor"]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ws: failed: connecting"), "{text}");
}
