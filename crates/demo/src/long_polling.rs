//! Long polling: a request that waits for its answer.
//!
//! `GET /messages?lastId=N` answers `{"messages":[…]}` with those behind the first N: at
//! once where there are some, else as soon as there is one, after 30 s with none.
//! `POST /messages` with `{"text":…}` adds one; whatever else the object says goes with
//! it. A client asks again as soon as it has its answer, from the last number that it has
//! seen: what is added in between is not missed.

use std::collections::VecDeque;
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
use crate::time::now_ms;

pub(crate) const DEMO: Demo = Demo {
    name: "long-polling",
    title: "Long polling",
    shows: "A request that waits for its answer: the oldest way to be told at once, and the one \
            that works everywhere.",
    by: "GET /messages · POST /messages",
    body: include_str!("assets/long-polling.html"),
    script: include_str!("assets/long-polling.js"),
    source: &[("long_polling.rs", include_str!("long_polling.rs"))],
};

/// Messages that are kept.
const KEPT: usize = 1000;
/// Longest text, in bytes.
const LONGEST: usize = 4000;

#[derive(Clone, Serialize)]
struct Message {
    id: usize,
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
    messages: Arc<Mutex<VecDeque<Message>>>,
    changes: Changes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    last_id: usize,
}

pub(crate) fn routes(patience: Duration) -> Router {
    let board = Board {
        patience,
        messages: Arc::default(),
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
    fn last(&self) -> usize {
        self.lock().back().map_or(0, |last| last.id)
    }

    /// Numbers count from 1, so the last one says how many there were.
    fn add(&self, mut said: Map<String, Value>) -> usize {
        // Ours to say.
        said.retain(|name, _| name != "id" && name != "timestamp");
        let mut messages = self.lock();
        let id = messages.back().map_or(0, |last| last.id) + 1;
        if messages.len() == KEPT {
            messages.pop_front();
        }
        messages.push_back(Message {
            id,
            timestamp: now_ms(),
            said,
        });
        id
    }

    /// Those behind number `last`; none where there are none.
    fn behind(&self, last: usize) -> Option<Vec<Message>> {
        let new: Vec<_> = self
            .lock()
            .iter()
            .filter(|m| m.id > last)
            .cloned()
            .collect();
        (!new.is_empty()).then_some(new)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        // A panic elsewhere leaves the list whole.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
