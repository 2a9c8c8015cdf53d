//! Long polling: a request that waits for its answer.
//!
//! `GET /messages?lastId=N` answers `{"messages":[…]}` with those behind the first N: at
//! once where there are some, else as soon as there is one, after 30 s with none.
//! `POST /messages` with `{"text":…}` adds one; whatever else the object says goes with
//! it. A client asks again as soon as it has its answer, from the last number that it has
//! seen: what is added in between is not missed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::routing::get;
use axum::{Json, Router, middleware};
use fanwire::Changes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cors::open_to_all;
use crate::demo::Demo;
use crate::problem::Problem;
use crate::recent::Recent;
use crate::time::now_ms;

pub(crate) const DEMO: Demo = Demo {
    name: "long-polling",
    title: "Long polling",
    shows: "A request that waits for its answer: the oldest way to be told at once, and the one \
            that works everywhere.",
    by: "GET /messages · POST /messages",
    body: include_str!("assets/long-polling.html"),
    script: include_str!("assets/long-polling.js"),
    source: &[
        ("long_polling.rs", include_str!("long_polling.rs")),
        ("recent.rs", include_str!("recent.rs")),
    ],
};

/// Messages that are kept.
const KEPT: usize = 1000;
/// Longest text, in bytes.
const LONGEST: usize = 4000;

#[derive(Clone, Serialize)]
struct Message {
    id: u64,
    timestamp: u64,
    /// As it was posted.
    #[serde(flatten)]
    said: Map<String, Value>,
}

/// All requests share it.
#[derive(Clone)]
struct Board {
    /// How long a request waits.
    patience: Duration,
    messages: Arc<Mutex<Recent<Message>>>,
    changes: Changes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    last_id: u64,
}

pub(crate) fn routes(patience: Duration) -> Router {
    let board = Board {
        patience,
        messages: Arc::new(Mutex::new(Recent::new(KEPT))),
        changes: Changes::new(),
    };
    Router::new()
        .route("/messages", get(listen).post(add))
        .layer(DefaultBodyLimit::max(4 * LONGEST))
        .layer(middleware::from_fn(open_to_all))
        .with_state(board)
}

/// Looks, waits for a change, looks again.
async fn listen(
    State(board): State<Board>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let asked = asked.map_err(|_| {
        Problem::bad("`lastId` is a number: of the last message that you have, or 0")
    })?;
    let last = asked.last_id.min(board.last());
    let new = board.changes.wait(board.patience, || board.behind(last));
    Ok(Json(json!({ "messages": new.await.unwrap_or_default() })))
}

async fn add(
    State(board): State<Board>,
    said: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(said) = said.map_err(|why| Problem(why.status(), why.body_text()))?;
    let text = said.get("text").or_else(|| said.get("message"));
    let text = text.and_then(Value::as_str).unwrap_or_default();
    if text.trim().is_empty() || text.len() > LONGEST {
        return Err(Problem::bad(format!(
            "`text` is a text of 1 to {LONGEST} bytes"
        )));
    }
    let id = board.add(said);
    tracing::info!(id, "a message was added");
    board.changes.tell();
    let done = json!({ "success": true, "id": id });
    Ok((StatusCode::CREATED, Json(done)))
}

impl Board {
    /// The last number. Who says a higher one has seen a server that is no more.
    fn last(&self) -> u64 {
        self.lock().last()
    }

    /// Numbers count from 1, so the last one says how many there were.
    fn add(&self, mut said: Map<String, Value>) -> u64 {
        // Ours to say.
        said.retain(|name, _| name != "id" && name != "timestamp");
        let timestamp = now_ms();
        let mut messages = self.lock();
        let id = messages.last() + 1;
        messages.add(Message {
            id,
            timestamp,
            said,
        });
        id
    }

    /// Those behind number `last`; none where there are none.
    fn behind(&self, last: u64) -> Option<Vec<Message>> {
        let messages = self.lock();
        let new: Vec<_> = messages.behind(last).map(|(_, m)| m.clone()).collect();
        (!new.is_empty()).then_some(new)
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Message>> {
        // A panic elsewhere leaves the list whole.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
