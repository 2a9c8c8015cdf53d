//! A timer for each client that asks for one, which ends with it, and what was said
//! before for whoever comes later.
//!
//! `cargo run -p fanwire --example timers`

use std::time::Duration;

use fanwire::{Application, Config, Io, Json, Kept, Rejected, Server, Socket};
use tokio::task::AbortHandle;

/// The timer of a socket: one at most.
struct Timer(AbortHandle);

async fn start(socket: Socket, before: Option<Kept<Timer>>, ms: u64) {
    if let Some(before) = before {
        before.0.0.abort();
    }
    let client = socket.clone();
    let ticking = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(ms.max(10)));
        for count in 1_u64.. {
            tokio::select! {
                () = client.closed() => return,
                _ = ticks.tick() => {}
            }
            if client.emit("tick", count).await.is_err() {
                return;
            }
        }
    });
    socket.set(Timer(ticking.abort_handle()));
}

/// The server, to be started.
pub fn served(config: Config) -> Result<Server, Box<dyn std::error::Error>> {
    let application = Application::new().namespace("/", |root| {
        root.on("start", start);
        root.on("stop", async |timer: Kept<Timer>| timer.0.0.abort());
        root.on("say", async |io: Io, text: String| {
            io.emit("said", text).await.map_err(Rejected::from)
        });
        root.on("past", async |io: Io| {
            let past = io.history("@all", 20).await?;
            let texts = past.messages.iter().map(|said| said.args.read(0));
            let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
            Ok::<_, Rejected>(Json(texts))
        });
    })?;
    Ok(Server::new(config)?.application(application))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = served(Config::default())?.start().await?;
    println!("http://{}/", running.addr());
    std::future::pending().await
}
