//! A clock: a task of the program's own says each second what time it is.
//! `curl -N 'http://127.0.0.1:PORT/c/clock:seconds?format=sse'` hears it.
//!
//! `cargo run -p fanwire --example clock`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanwire::{Config, Running, Server};

/// Starts it; it ticks until the server is gone.
pub async fn clock(config: Config, every: Duration) -> Result<Running, Box<dyn std::error::Error>> {
    let running = Server::new(config)?.start().await?;
    let clock = running.io("clock").ok_or("no name of a namespace")?;
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = now.map_or(0, |now| now.as_secs());
            if clock.to("seconds").emit("tick", seconds).await.is_err() {
                return;
            }
        }
    });
    Ok(running)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = clock(Config::default(), Duration::from_secs(1)).await?;
    println!("http://{}/", running.addr());
    std::future::pending().await
}
