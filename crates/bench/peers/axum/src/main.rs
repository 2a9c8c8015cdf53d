//! WebSocket and SSE as axum's examples have them: a task per client, and a
//! tokio broadcast channel for each room.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Sse, sse::Event};
use axum::routing::{get, post};
use tokio::sync::broadcast::{self, Sender, error::RecvError};

type Rooms = Arc<Mutex<HashMap<String, Sender<Utf8Bytes>>>>;

fn room(rooms: &Rooms, name: String) -> Sender<Utf8Bytes> {
    let mut rooms = rooms.lock().expect("never poisoned");
    rooms.entry(name).or_insert_with(|| broadcast::channel(1024).0).clone()
}

async fn ws(
    upgrade: WebSocketUpgrade,
    Path(name): Path<String>,
    State(rooms): State<Rooms>,
) -> impl IntoResponse {
    let room = room(&rooms, name);
    // Subscribed before the client hears that it is connected.
    let inbox = room.subscribe();
    upgrade.on_upgrade(move |socket| chat(socket, room, inbox))
}

async fn chat(
    mut socket: WebSocket,
    room: Sender<Utf8Bytes>,
    mut inbox: broadcast::Receiver<Utf8Bytes>,
) {
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    let _ = room.send(text);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            message = inbox.recv() => match message {
                Ok(text) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

async fn sse(Path(name): Path<String>, State(rooms): State<Rooms>) -> impl IntoResponse {
    let inbox = room(&rooms, name).subscribe();
    let stream = events(inbox);
    Sse::new(stream)
}

/// A broadcast channel as a stream of events.
fn events(
    inbox: broadcast::Receiver<Utf8Bytes>,
) -> impl futures_util::Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold((inbox, true), |(mut inbox, first)| async move {
        if first {
            return Some((Ok(Event::default().comment("open")), (inbox, false)));
        }
        loop {
            match inbox.recv().await {
                Ok(text) => return Some((Ok(Event::default().data(text.as_str())), (inbox, false))),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

async fn publish(
    Path(name): Path<String>,
    State(rooms): State<Rooms>,
    body: String,
) -> StatusCode {
    let _ = room(&rooms, name).send(body.into());
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("a port");
    let app = Router::new()
        .route("/ws/{room}", get(ws))
        .route("/sse/{room}", get(sse))
        .route("/pub/{room}", post(publish))
        .with_state(Rooms::default());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    axum::serve(listener, app).await.expect("serves");
}
