//! A chat as socketioxide's examples have it: what one sends into a room, all
//! in it hear.

use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};

#[tokio::main]
async fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("a port");
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", |socket: SocketRef| {
        socket.on("join", |socket: SocketRef, Data::<String>(room)| {
            socket.join(room);
            let _ = socket.emit("joined", &());
        });
        socket.on(
            "say",
            |io: SocketIo, Data::<(String, String)>((room, message))| async move {
                let _ = io.to(room).emit("said", &message).await;
            },
        );
    });
    let app = axum::Router::new().layer(layer);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    axum::serve(listener, app).await.expect("serves");
}
