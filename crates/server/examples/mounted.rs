//! Fanwire within an axum app that has its own server: every channel is under
//! `/realtime`, by every transport, and the page beside it listens and publishes.
//!
//! `cargo run -p fanwire --example mounted`

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use axum::response::Html;
use axum::routing::get;
use fanwire::{Client, Config, Running, Server};
use tokio::net::TcpListener;

/// The app, and the handle to what is mounted in it.
pub async fn app(config: Config) -> Result<(Router, Running), Box<dyn std::error::Error>> {
    let fanwire = Server::new(config)?.mount().await?;
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .nest_service("/realtime", fanwire.service)
        .layer(map_request(whose));
    Ok((app, fanwire.running))
}

/// Says whose a request is: without that, nobody is a program of this machine.
async fn whose(ConnectInfo(from): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Client(from.ip()));
    request
}

const PAGE: &str = "<!doctype html><title>News</title><form><input autofocus></form><ol></ol><script>
new EventSource('/realtime/c/news').onmessage = (e) =>
  document.querySelector('ol').append(Object.assign(document.createElement('li'), { textContent: e.data }));
document.forms[0].onsubmit = (e) => {
  e.preventDefault();
  fetch('/realtime/c/news', { method: 'POST', body: document.querySelector('input').value });
};
</script>";

/// Serves it until `stop`. What is mounted ends first, so that its streams do so in their
/// turn: the server around it would wait for them.
#[allow(clippy::disallowed_methods)] // axum's own server is what this is about.
pub async fn serve(
    listener: TcpListener,
    (app, running): (Router, Running),
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let stopped = async move {
        stop.await;
        running.shutdown().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped)
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = app(Config::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/", listener.local_addr()?);
    let stop = async {
        // Without signals it serves until it is killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(serve(listener, app, stop).await?)
}
