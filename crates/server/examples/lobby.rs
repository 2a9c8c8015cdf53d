//! A lobby: stock Socket.IO clients, WebSockets at `/c/chat:lobby` and
//! `POST /c/chat:lobby?event=say` all talk to the same handler.
//!
//! `cargo run -p fanwire --example lobby`

use fanwire::config::{NamedRules, Rooms};
use fanwire::{Application, Config, Json, Rejected, Server, Socket};

/// The lobby, to be started.
pub fn lobby(mut config: Config) -> Result<Server, Box<dyn std::error::Error>> {
    let rules = NamedRules {
        rooms: Some(Rooms::Public), // So that /c/chat:lobby is heard by URL, too.
        ..NamedRules::default()
    };
    config.namespaces.by_name.insert("chat".into(), rules);
    let application = Application::new().namespace("/chat", |chat| {
        chat.on_connect(async |socket: Socket| Ok(socket.join("lobby")?));
        chat.on("say", async |socket: Socket, text: String| {
            let said = serde_json::json!({ "by": socket.id().as_str(), "text": text });
            socket.io().to("lobby").emit("said", Json(said)).await?;
            Ok::<_, Rejected>("sent")
        });
    })?;
    Ok(Server::new(config)?.application(application))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = lobby(Config::default())?.start().await?;
    println!("http://{}/", running.addr());
    std::future::pending().await
}
