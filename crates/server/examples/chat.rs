//! A chat for stock Socket.IO clients: `io("http://127.0.0.1:3000")`.
//!
//! `cargo run -p fanwire --example chat`

#![allow(missing_docs)] // What stands below is the README's, and short.

use fanwire::{Application, Config, Io, Kept, Server, Socket};
use serde_json::json;

pub fn chat(config: Config) -> Result<Server, Box<dyn std::error::Error>> {
    let chat = Application::new().namespace("/", |chat| {
        chat.on("register", async |socket: Socket, name: String| {
            socket.set(name.clone());
            socket.io().emit("user-joined", name).await
        });
        chat.on("message", async |io: Io, me: Kept<String>, text: String| {
            let said = json!({ "username": *me, "message": text });
            io.emit("message", said).await
        });
        chat.on_disconnect(async |io: Io, me: Kept<String>| {
            let _ = io.emit("user-left", me.as_str()).await;
        });
    })?;
    Ok(Server::new(config)?.application(chat))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _running = chat(Config::default())?.start().await?;
    std::future::pending().await
}
