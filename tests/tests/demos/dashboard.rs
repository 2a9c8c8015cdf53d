//! `/dashboard/…`.

use std::sync::mpsc;
use std::time::Duration;

use fanwire_tests::http;
use fanwire_tests::sse::Sse;
use fanwire_tests::wait::{PATIENCE, within};
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::demos::{Demos, NEVER, SOON};

/// Longer than any test: some 10^10 numbers.
const ENDLESS: &str = r#"{"work":"primes","below":10000000000}"#;
/// Some 20 steps.
const SHORT: &str = r#"{"work":"primes","below":3000000}"#;

/// One who watches.
struct Watcher(Sse);

impl Watcher {
    async fn new(demos: &Demos, last: Option<&str>) -> Self {
        let last = last.map(|last| ("Last-Event-ID", last.as_bytes()));
        Self(Sse::open(demos.addr, "/dashboard/events", last.as_slice()).await)
    }

    /// The next event's name and data.
    async fn next(&mut self) -> (String, Value) {
        let block = within("an event", self.0.block()).await.unwrap();
        assert!(block.id.is_some(), "an event without an id");
        let data = serde_json::from_slice(&block.data.join(&b'\n')).unwrap();
        (block.name, data)
    }

    /// The next event of this name.
    async fn hear(&mut self, name: &str) -> Value {
        loop {
            let (heard, data) = self.next().await;
            if heard == name {
                return data;
            }
        }
    }

    /// Waits until job `id` is in this stage; gives it and all states of it on the way.
    async fn until(&mut self, id: u64, stage: &str) -> (Value, Vec<Value>) {
        let mut states = Vec::new();
        loop {
            let jobs = self.hear("jobs").await;
            let Some(job) = job(&jobs, id) else { continue };
            states.push(job.clone());
            if job["stage"] == stage {
                return (job.clone(), states);
            }
        }
    }
}

fn job(jobs: &Value, id: u64) -> Option<&Value> {
    jobs.as_array().unwrap().iter().find(|job| job["id"] == id)
}

async fn quiet() -> Demos {
    Demos::start(|timings| {
        timings.progress = Duration::ZERO;
        timings.figures = NEVER;
    })
    .await
}

async fn start(demos: &Demos, job: &str) -> u64 {
    let started = demos.post("/dashboard/jobs", job).await;
    assert_eq!(started.status, 201, "{}", started.text());
    started.json()["id"].as_u64().unwrap()
}

async fn cancel(demos: &Demos, id: impl std::fmt::Display) -> u16 {
    let path = format!("/dashboard/jobs/{id}/cancel");
    http::post(demos.addr, &path, &[], b"").await.status
}

#[tokio::test]
async fn a_job_comes_to_its_end_and_all_who_watch_see_the_same() {
    let demos = quiet().await;
    let mut one = Watcher::new(&demos, None).await;
    let mut two = Watcher::new(&demos, None).await;
    assert_eq!(one.next().await, ("jobs".into(), json!([])));
    let id = start(&demos, SHORT).await;
    let (done, states) = one.until(id, "done").await;
    assert_eq!(done["result"], "216816 primes, the largest is 2999999");
    assert_eq!(
        (&done["percent"], &done["done"]),
        (&json!(100.0), &json!(3_000_000))
    );
    let percents: Vec<f64> = states
        .iter()
        .map(|s| s["percent"].as_f64().unwrap())
        .collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert!(
        percents.iter().any(|p| *p > 0.0 && *p < 100.0),
        "{percents:?}"
    );
    let (same, _) = two.until(id, "done").await;
    assert_eq!(same, done);
    for watcher in [&mut one, &mut two] {
        let told = watcher.hear("notification").await;
        let text = format!("Job {id} is done: 216816 primes, the largest is 2999999");
        assert_eq!(
            (&told["kind"], &told["text"]),
            (&json!("success"), &json!(text))
        );
    }
    // Who comes late begins with the end.
    let mut late = Watcher::new(&demos, None).await;
    assert_eq!(late.next().await, ("jobs".into(), json!([done])));
    drop((one, two, late));
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn jobs_wait_for_each_other_and_who_is_cancelled_makes_way() {
    let demos = quiet().await;
    let mut watcher = Watcher::new(&demos, None).await;
    let first = start(&demos, ENDLESS).await;
    watcher.until(first, "running").await;
    let second = start(&demos, ENDLESS).await;
    for _ in 0..7 {
        start(&demos, ENDLESS).await;
    }
    let refused = demos.post("/dashboard/jobs", ENDLESS).await;
    assert_eq!(refused.status, 429);
    let why = refused.json()["detail"].to_string();
    assert!(why.contains("8 jobs wait"), "{why}");

    let last = second + 7;
    assert_eq!(cancel(&demos, last).await, 200);
    let (gone, _) = watcher.until(last, "cancelled").await;
    assert_eq!(gone["percent"], 0.0);
    assert_eq!(cancel(&demos, first).await, 200);
    watcher.until(first, "cancelled").await;
    let (next, _) = watcher.until(second, "running").await;
    assert_eq!(next["id"], second);
    for id in second..last {
        assert_eq!(cancel(&demos, id).await, 200);
    }
    // The short one gets the thread, and those cancelled are forgotten but for a few.
    let short = start(&demos, SHORT).await;
    watcher.until(short, "done").await;
    let (_, jobs) = Watcher::new(&demos, None).await.next().await;
    assert_eq!(jobs.as_array().unwrap().len(), 5);
    for (id, status) in [
        (last.to_string(), 404),
        ("77".into(), 404),
        ("x".into(), 400),
    ] {
        assert_eq!(cancel(&demos, id).await, status);
    }
    demos.stop().await;
}

#[tokio::test]
async fn of_those_that_have_ended_the_last_are_shown_however_late_they_came() {
    let demos = quiet().await;
    let mut watcher = Watcher::new(&demos, None).await;
    let first = start(&demos, ENDLESS).await;
    watcher.until(first, "running").await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let id = start(&demos, ENDLESS).await;
        assert_eq!(cancel(&demos, id).await, 200);
        expected.push(id);
    }
    assert_eq!(cancel(&demos, first).await, 200);
    expected.push(first);
    let (_, jobs) = Watcher::new(&demos, None).await.next().await;
    let jobs = jobs.as_array().unwrap().iter();
    let ids: Vec<_> = jobs.map(|job| job["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, expected[expected.len() - 5..]);
    demos.stop().await;
}

#[tokio::test]
async fn what_is_no_job_is_refused_with_what_would_be_one() {
    let demos = quiet().await;
    for (job, word) in [
        (r#"{"work":"primes","below":9}"#, "from 10 to 10000000000"),
        (r#"{"work":"primes","below":10000000001}"#, "from 10 to"),
        (
            r#"{"work":"collatz","below":1000000001}"#,
            "from 10 to 1000000000",
        ),
        (r#"{"work":"primes","below":-5}"#, "below"),
        (r#"{"work":"primes","below":1e30}"#, "below"),
        (r#"{"work":"mine","below":100}"#, "`primes` or `collatz`"),
        (r#"{"below":100}"#, "work"),
        ("null", "expected struct"),
        ("{", "EOF"),
    ] {
        let refused = demos.post("/dashboard/jobs", job).await;
        assert!(
            (400..=422).contains(&refused.status),
            "{job}: {}",
            refused.status
        );
        let why = refused.json()["detail"].to_string();
        assert!(why.contains(word), "{job}: {why}");
    }
    let (_, jobs) = Watcher::new(&demos, None).await.next().await;
    assert_eq!(jobs, json!([]));
    demos.stop().await;
}

#[test]
fn a_server_that_stops_leaves_no_job_at_work() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let demos = quiet().await;
        let mut watcher = Watcher::new(&demos, None).await;
        let id = start(&demos, ENDLESS).await;
        watcher.until(id, "running").await;
        demos.stop().await;
    });
    // A runtime ends when its threads have.
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        tell.send(())
    });
    ended
        .recv_timeout(PATIENCE)
        .expect("the job's thread to end");
}

#[tokio::test]
async fn all_who_watch_are_told_and_who_was_cut_off_hears_the_rest_once() {
    let demos = quiet().await;
    let tell = async |kind: &str, text: &str| {
        let told = json!({ "kind": kind, "text": text }).to_string();
        let answer = demos.post("/dashboard/notifications", &told).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "success": true }))
        );
    };
    let mut one = Watcher::new(&demos, None).await;
    let mut two = Watcher::new(&demos, None).await;
    let markup = "<b>one</b> & \u{1f980}";
    tell("warning", markup).await;
    for watcher in [&mut one, &mut two] {
        let told = watcher.hear("notification").await;
        assert_eq!(
            (&told["kind"], &told["text"]),
            (&json!("warning"), &json!(markup))
        );
    }
    let last = one.0.last_id.clone();
    drop(one);
    tell("info", "two").await;
    tell("error", "three").await;
    let mut back = Watcher::new(&demos, last.as_deref()).await;
    for text in ["two", "three"] {
        let (name, told) = back.next().await;
        assert_eq!(
            (name.as_str(), &told["text"]),
            ("notification", &json!(text))
        );
    }
    tell("info", "four").await;
    assert_eq!(back.next().await.1["text"], "four");
    assert_eq!(two.hear("notification").await["text"], "two");
    demos.stop().await;
}

#[tokio::test]
async fn s8_an_id_that_is_none_of_this_run_gets_the_present() {
    let demos = quiet().await;
    let told = r#"{"text":"kept"}"#;
    assert_eq!(
        demos.post("/dashboard/notifications", told).await.status,
        200
    );
    let mut first = Watcher::new(&demos, None).await;
    first.hear("notification").await;
    let mine = first.0.last_id.clone().unwrap();
    let run = mine.split('-').next().unwrap();
    let another = format!("1{mine}");
    let (short, long) = (format!("{run}-1-1"), format!("{mine}-1"));
    let huge = format!("{run}-99999999999999999999999-0-0-0");
    for id in ["", "-", "7", "x-1-1-1-1", &another, &short, &long, &huge] {
        let mut watcher = Watcher::new(&demos, Some(id)).await;
        assert_eq!(watcher.next().await, ("jobs".into(), json!([])), "{id}");
        assert_eq!(watcher.next().await.1["text"], "kept", "{id}");
    }
    // Numbers that have not been reached: the state comes all the same.
    let ahead = format!("{run}-{0}-{0}-{0}-{0}", u64::MAX);
    let mut watcher = Watcher::new(&demos, Some(&ahead)).await;
    assert_eq!(watcher.next().await, ("jobs".into(), json!([])));
    demos.stop().await;
}

#[tokio::test]
async fn s6_a_notification_is_a_text_of_some_length_and_of_one_line() {
    let demos = quiet().await;
    for told in [
        json!({ "text": "" }),
        json!({ "text": " \n " }),
        json!({ "text": "ä".repeat(201) }),
        json!({ "text": 7 }),
        json!({ "text": "x", "kind": "shout" }),
        json!([]),
    ] {
        let refused = demos
            .post("/dashboard/notifications", &told.to_string())
            .await;
        assert!(
            (400..=422).contains(&refused.status),
            "{told}: {}",
            refused.status
        );
        assert!(refused.json()["detail"].is_string(), "{told}");
    }
    let mut watcher = Watcher::new(&demos, None).await;
    let text = "event: jobs\ndata: []\n\nid: 7";
    let told = json!({ "text": text }).to_string();
    assert_eq!(
        demos.post("/dashboard/notifications", &told).await.status,
        200
    );
    assert_eq!(watcher.hear("notification").await["text"], text);
    let far = json!({ "text": "x".repeat(5000) }).to_string();
    assert_eq!(
        demos.post("/dashboard/notifications", &far).await.status,
        413
    );
    demos.stop().await;
}

#[tokio::test]
async fn what_is_logged_is_seen_and_what_was_missed_is_counted() {
    let demos = quiet().await;
    let tail = demos.log.clone().with_filter(LevelFilter::INFO);
    let _logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(tail));
    let mut watcher = Watcher::new(&demos, None).await;
    tracing::debug!("not this");
    tracing::warn!(number = 7, "this");
    let said = watcher.hear("log").await;
    let line = &said["line"];
    assert_eq!(
        (&line["level"], &line["text"]),
        (&json!("WARN"), &json!("this number=7"))
    );
    // Of its own.
    let told = r#"{"kind":"error","text":"a\nb"}"#;
    assert_eq!(
        demos.post("/dashboard/notifications", told).await.status,
        200
    );
    let line = &watcher.hear("log").await["line"];
    assert_eq!(line["text"], r#"notification text="a\nb""#);
    assert_eq!(
        (&line["level"], &line["target"]),
        (&json!("ERROR"), &json!("fanwire_demo::dashboard"))
    );

    let last = watcher.0.last_id.clone();
    drop(watcher);
    for n in 0..250 {
        tracing::info!(n, "much");
    }
    let mut back = Watcher::new(&demos, last.as_deref()).await;
    for n in 50..250 {
        let (name, said) = back.next().await;
        assert_eq!(
            (name.as_str(), &said["line"]["text"]),
            ("log", &json!(format!("much n={n}")))
        );
        assert_eq!(said["missed"], if n == 50 { 50 } else { 0 });
    }
    demos.stop().await;
}

#[tokio::test]
async fn figures_are_those_of_the_server() {
    let demos = Demos::start(|timings| timings.figures = SOON).await;
    let mut watcher = Watcher::new(&demos, None).await;
    let sample = async |watcher: &mut Watcher, holds: fn(&Value) -> bool| {
        // They go on coming, whether one ever holds or not.
        let looking = Box::pin(async {
            loop {
                let samples = watcher.hear("metrics").await;
                if let Some(sample) = samples.as_array().unwrap().iter().find(|s| holds(s)) {
                    return sample.clone();
                }
            }
        });
        within("a sample that holds", looking).await
    };
    let first = sample(&mut watcher, |_| true).await;
    assert_eq!(
        (&first["connections"], &first["subscribers"]),
        (&json!(1), &json!(0))
    );
    assert!(first["memory"].as_u64().unwrap() > 1 << 20, "{first}");
    assert!(first["cpu"].as_f64().unwrap() >= 0.0, "{first}");
    let mut hearing = Sse::open(demos.addr, "/c/relay:all?format=sse", &[]).await;
    sample(&mut watcher, |s| {
        s["subscribers"] == 1 && s["connections"] == 2
    })
    .await;
    assert_eq!(demos.post("/c/relay:all", "1").await.status, 200);
    within("what was published", hearing.next()).await;
    sample(&mut watcher, |s| s["deliveries"].as_f64().unwrap() > 0.0).await;
    drop(hearing);
    sample(&mut watcher, |s| {
        s["subscribers"] == 0 && s["connections"] == 1
    })
    .await;
    // Who comes late gets those that there were, in one event.
    let (_, all) = {
        let mut late = Watcher::new(&demos, None).await;
        assert_eq!(late.next().await.0, "jobs");
        late.next().await
    };
    let times: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["timestamp"].as_u64())
        .collect();
    assert!(times.len() > 3 && times.is_sorted(), "{times:?}");
    drop(watcher);
    demos.deserted().await;
    demos.stop().await;
}
