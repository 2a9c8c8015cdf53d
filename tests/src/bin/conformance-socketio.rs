//! The contract of the official protocol suites: `conformance-socketio PORT` serves an
//! Engine.IO echo at `/engine.io/`, with the suites' times.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fanwire::{Config, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).ok_or("conformance-socketio PORT")?;
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?))];
    config.socketio.ping_interval = Duration::from_millis(300);
    config.socketio.ping_timeout = Duration::from_millis(200);
    config.socketio.max_payload = 1_000_000;
    config.socketio.connect_timeout = Duration::from_secs(1);
    let running = Server::new(config)?
        .engine_echo("/engine.io/")
        .start()
        .await?;
    println!("http://{}", running.addr());
    std::future::pending::<()>().await;
    Ok(())
}
