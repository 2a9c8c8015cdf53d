//! A chat as socketioxide's examples have it: what one sends into a room, all
//! in it hear.

use std::convert::Infallible;

use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::handler::ConnectHandler;

/// Handlers are set before the client hears that it is connected: set in the
/// connect handler itself, they sometimes miss a client's first event.
async fn set_up(socket: SocketRef) -> Result<(), Infallible> {
    socket.on("join", join);
    socket.on("say", say);
    Ok(())
}

async fn join(socket: SocketRef, Data(room): Data<String>) {
    socket.join(room);
    let _ = socket.emit("joined", &());
}

async fn say(io: SocketIo, Data((room, message)): Data<(String, String)>) {
    let _ = io.to(room).emit("said", &message).await;
}

async fn connected() {}

#[tokio::main]
async fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("a port");
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", connected.with(set_up));
    let app = axum::Router::new().layer(layer);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    axum::serve(listener, app).await.expect("serves");
}
