//! A program's own routes beside channels: whoever greets by a form is greeted to all
//! who listen at `/c/greetings`, and an event stream of its own counts.
//!
//! `cargo run -p fanwire --example routes`

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use fanwire::sse::{self, Event};
use fanwire::{Config, Server};
use http::HeaderMap;
use tokio_stream::StreamExt as _;

/// The server, to be started.
pub fn served(config: Config, every: Duration) -> Result<Server, Box<dyn std::error::Error>> {
    let count = async move |headers: HeaderMap| {
        // Who comes back goes on behind the number that it saw last.
        let last = sse::last_event_id(&headers).and_then(|id| id.parse().ok());
        let numbers = tokio_stream::iter(last.map_or(1_u64, |last: u64| last + 1)..);
        let event = |n: u64| Event::data(format!("Event {n}")).id(n.to_string());
        sse::events(numbers.throttle(every).map(event))
    };
    let routes = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/count", get(count));
    Ok(Server::new(config)?.routes(routes))
}

const PAGE: &str = "<!doctype html><title>Counting</title><output>…</output><script>
new EventSource('/count').onmessage = (e) => document.querySelector('output').value = e.data;
</script>";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = served(Config::default(), Duration::from_secs(1))?
        .start()
        .await?;
    println!("http://{}/", running.addr());
    std::future::pending().await
}
