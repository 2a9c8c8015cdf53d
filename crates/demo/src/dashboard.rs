//! A dashboard by Server-Sent Events: notifications, the progress of long jobs, the
//! server's own figures and the end of its log, in one stream of events of four names.
//!
//! Nothing is queued for those who watch. What there is stands in one place, numbered;
//! a watcher is a place in those numbers (`Seen`), and when it is told that something is
//! new it takes what is behind its place. So who comes late gets the present first, who
//! is slow skips states that are no longer true, and who was cut off says how far it had
//! come, because that place is the `id` of each event.
//!
//! `GET /dashboard/events` is the stream, `POST /dashboard/notifications` with
//! `{"kind":"info","text":…}` tells all who watch, `POST /dashboard/jobs` with
//! `{"work":"primes","below":100000000}` begins a job, and
//! `POST /dashboard/jobs/{id}/cancel` ends one.

mod jobs;
mod metrics;
mod notices;
mod watcher;
mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use fanwire::{Figures, sse};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::jobs::{Jobs, NotStarted};
use self::metrics::{Metrics, measure};
use self::notices::{Kind, Notices};
use self::watcher::Watcher;
use self::work::Work;
use crate::demo::Demo;
use crate::log_tail::LogTail;
use crate::problem::Problem;
use crate::time::now_ms;
use crate::timings::Timings;

pub(crate) const DEMO: Demo = Demo {
    name: "dashboard",
    title: "Dashboard",
    shows: "Notifications, the progress of a long job, the server's own figures and its log: one \
            stream of events, the same for everyone who watches.",
    by: "GET /dashboard/events · EventSource",
    body: include_str!("assets/dashboard.html"),
    script: include_str!("assets/dashboard.js"),
    source: &[
        ("dashboard.rs", include_str!("dashboard.rs")),
        ("watcher.rs", include_str!("dashboard/watcher.rs")),
        ("jobs.rs", include_str!("dashboard/jobs.rs")),
        ("work.rs", include_str!("dashboard/work.rs")),
        ("notices.rs", include_str!("dashboard/notices.rs")),
        ("metrics.rs", include_str!("dashboard/metrics.rs")),
        ("log_tail.rs", include_str!("log_tail.rs")),
        ("recent.rs", include_str!("recent.rs")),
    ],
};

/// Longest body of a request, in bytes.
const BODY: usize = 4096;

/// All that is shown. All requests share it.
#[derive(Clone)]
pub(crate) struct Dashboard {
    /// When it began: numbers of another run of the server mean nothing here.
    run: u64,
    notices: Notices,
    jobs: Arc<Jobs>,
    metrics: Arc<Metrics>,
    log: LogTail,
    /// Rung whenever something is new.
    bell: watch::Sender<()>,
}

#[derive(Deserialize)]
struct NewNotice {
    #[serde(default)]
    kind: Kind,
    text: String,
}

#[derive(Deserialize)]
struct NewJob {
    work: Work,
    below: u64,
}

impl Dashboard {
    /// Nothing has happened yet.
    pub(crate) fn new(timings: &Timings, log: LogTail) -> Self {
        let bell = watch::Sender::new(());
        let notices = Notices::new(bell.clone());
        Self {
            run: now_ms(),
            jobs: Arc::new(Jobs::new(timings.progress, notices.clone(), bell.clone())),
            metrics: Arc::new(Metrics::new(bell.clone())),
            notices,
            log,
            bell,
        }
    }

    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/dashboard/events", get(events))
            .route("/dashboard/notifications", post(notify))
            .route("/dashboard/jobs", post(start))
            .route("/dashboard/jobs/{id}/cancel", post(cancel))
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self.clone())
    }

    /// Measures the server from now on, once every `interval`, while anyone watches.
    pub(crate) fn measure(&self, figures: Figures, interval: Duration) {
        tokio::spawn(measure(Arc::downgrade(&self.metrics), figures, interval));
    }
}

async fn events(State(dashboard): State<Dashboard>, headers: HeaderMap) -> impl IntoResponse {
    sse::events(Watcher::new(dashboard, sse::last_event_id(&headers)))
}

async fn notify(
    State(dashboard): State<Dashboard>,
    new: Result<Json<NewNotice>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let new = taken(new)?;
    let text = new.text.trim();
    let length = text.chars().count();
    if !(1..=notices::LONGEST).contains(&length) {
        let most = notices::LONGEST;
        let why = format!("a text of 1 to {most} characters is needed, this has {length}");
        return Err(Problem::bad(why));
    }
    match new.kind {
        Kind::Info | Kind::Success => tracing::info!(text, "notification"),
        Kind::Warning => tracing::warn!(text, "notification"),
        Kind::Error => tracing::error!(text, "notification"),
    }
    dashboard.notices.send(new.kind, text);
    Ok(Json(json!({ "success": true })))
}

async fn start(
    State(dashboard): State<Dashboard>,
    new: Result<Json<NewJob>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let new = taken(new)?;
    let most = new.work.most();
    if !(10..=most).contains(&new.below) {
        let why = format!("`below` is a number from 10 to {most}");
        return Err(Problem::bad(why));
    }
    match dashboard.jobs.add(new.work, new.below) {
        Ok(id) => Ok((StatusCode::CREATED, Json(json!({ "id": id })))),
        Err(NotStarted { waiting }) => {
            let why = format!("{waiting} jobs wait already: cancel one, or come back later");
            Err(Problem(StatusCode::TOO_MANY_REQUESTS, why))
        }
    }
}

async fn cancel(
    State(dashboard): State<Dashboard>,
    Path(id): Path<u64>,
) -> Result<Json<Value>, Problem> {
    if dashboard.jobs.cancel(id) {
        return Ok(Json(json!({ "success": true })));
    }
    let why = format!("no job {id} waits or runs");
    Err(Problem(StatusCode::NOT_FOUND, why))
}

/// A body, or why it is none: the sentence names the place.
fn taken<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(why) => Err(Problem(why.status(), why.body_text())),
    }
}
