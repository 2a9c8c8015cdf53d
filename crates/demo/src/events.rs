//! Server-Sent Events: an answer that does not end.
//!
//! | request | what comes |
//! |---|---|
//! | `GET /events` | `Connected`, then a greeting every 5 s |
//! | `GET /events/stream` | what is sent with `POST /broadcast {"message":…}`, to all |
//! | `GET /events/typed` | three events of three names, every 5 s |
//! | `GET /events/resumable` | a number each second; who comes back goes on where it was |
//! | `GET /events/retry` | when to come back: after 5 s |
//!
//! A stream of events is a [`Stream`] that is asked for the next one while its reader
//! listens, and dropped with it: there is nothing to clean up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use fanwire::Changes;
use fanwire::sse::{self, Event};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_stream::{Stream, StreamExt as _, iter};

use crate::cors::open_to_all;
use crate::demo::Demo;
use crate::problem::Problem;
use crate::recent::Recent;
use crate::time::now_iso;
use crate::timings::Timings;

pub(crate) const DEMO: Demo = Demo {
    name: "events",
    title: "Server-Sent Events",
    shows: "An answer that does not end: one-way streams that a browser reads, names, and takes \
            up again by itself.",
    by: "GET /events · POST /broadcast",
    body: include_str!("assets/events.html"),
    script: include_str!("assets/events.js"),
    source: &[
        ("events.rs", include_str!("events.rs")),
        ("recent.rs", include_str!("recent.rs")),
        ("cors.rs", include_str!("cors.rs")),
    ],
};

/// Broadcasts that are kept, for readers who are slow.
const KEPT: usize = 1000;
/// Longest broadcast, in bytes.
const LONGEST: usize = 4000;
/// A browser counts no further than this without error; such an id is none of ours.
const HIGHEST: u64 = 1 << 53;

pub(crate) fn routes(timings: Timings) -> Router {
    let Timings {
        greeting, count, ..
    } = timings;
    let all = Broadcasts {
        said: Arc::new(Mutex::new(Recent::new(KEPT))),
        changes: Changes::new(),
    };
    Router::new()
        .route(
            "/events",
            get(async move || sse::events(greetings(greeting))),
        )
        .route("/events/stream", get(listen))
        .route("/broadcast", post(broadcast))
        .route(
            "/events/typed",
            get(async move || sse::events(typed(greeting))),
        )
        .route(
            "/events/resumable",
            get(async move |headers: HeaderMap| sse::events(numbers(&headers, count))),
        )
        .route("/events/retry", get(async || sse::events(comes_back())))
        .layer(DefaultBodyLimit::max(4 * LONGEST))
        .layer(middleware::from_fn(open_to_all))
        .with_state(all)
}

fn greetings(each: Duration) -> impl Stream<Item = Event> {
    let greeting = move |_| async move {
        sleep(each).await;
        let time = now_iso();
        Event::data(format!(r#"{{"time":"{time}","message":"Hello!"}}"#))
    };
    iter([Event::data("Connected")]).chain(iter(0..).then(greeting))
}

/// The first round comes at once.
fn typed(each: Duration) -> impl Stream<Item = Event> {
    iter(0_u64..).then(move |turn| async move {
        match turn % 3 {
            0 => {
                if turn > 0 {
                    sleep(each).await;
                }
                Event::data("Hello").event("message")
            }
            1 => Event::data("New notification!").event("notification"),
            _ => Event::data(r#"{"count": 10}"#).event("update"),
        }
    })
}

/// From behind the last number that the reader has seen, else from 1.
fn numbers(headers: &HeaderMap, each: Duration) -> impl Stream<Item = Event> + use<> {
    let last = sse::last_event_id(headers).and_then(|id| id.parse().ok());
    let first = last
        .filter(|last| *last < HIGHEST)
        .map_or(1, |last: u64| last + 1);
    let numbers = iter(first..).throttle(each);
    numbers.map(|n| Event::data(format!("Event {n}")).id(n.to_string()))
}

/// Says one thing and stays.
fn comes_back() -> impl Stream<Item = Event> {
    let connected = Event::data("Connected").retry(Duration::from_secs(5));
    iter([connected]).chain(tokio_stream::pending())
}

/// What was broadcast. All readers read the same list, each at its own pace: there is one
/// order, and no queue per reader.
#[derive(Clone)]
struct Broadcasts {
    said: Arc<Mutex<Recent<String>>>,
    changes: Changes,
}

#[derive(Deserialize)]
struct New {
    message: String,
}

async fn broadcast(
    State(all): State<Broadcasts>,
    new: Result<Json<New>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(New { message }) = new.map_err(|why| Problem(why.status(), why.body_text()))?;
    if message.is_empty() || message.len() > LONGEST {
        return Err(Problem::bad(format!(
            "`message` is a text of 1 to {LONGEST} bytes"
        )));
    }
    all.lock().add(json!({ "message": message }).to_string());
    all.changes.tell();
    Ok(Json(json!({ "success": true })))
}

/// A reader so slow that what it is owed is no longer kept hears the end of its stream,
/// and knows that it has missed something.
async fn listen(State(all): State<Broadcasts>) -> impl IntoResponse {
    let from = all.lock().last() + 1;
    let next = move |number| {
        let all = all.clone();
        async move {
            let found = all.changes.wait(Duration::MAX, || all.look(number));
            found.await.flatten()
        }
    };
    sse::events(
        iter(from..)
            .then(next)
            .map_while(|said| said.map(Event::data)),
    )
}

impl Broadcasts {
    /// The one of this number, which may be kept no more; none where it is yet to come.
    fn look(&self, number: u64) -> Option<Option<String>> {
        let said = self.lock();
        let (first, text) = said.behind(number - 1).next()?;
        Some((first == number).then(|| text.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Recent<String>> {
        // A panic elsewhere leaves the list whole.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
