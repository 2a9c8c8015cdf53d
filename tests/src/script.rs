//! A peer that says fixed bytes, to test the clients themselves.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Listens; to the first connection it sends `bytes` once something was asked,
/// one piece at a time, and closes.
///
/// # Panics
/// Where it cannot listen.
pub async fn peer(pieces: Vec<Vec<u8>>) -> SocketAddr {
    let listener = match TcpListener::bind("127.0.0.1:0").await {
        Ok(listener) => listener,
        Err(error) => panic!("{error}"),
    };
    let addr = match listener.local_addr() {
        Ok(addr) => addr,
        Err(error) => panic!("{error}"),
    };
    tokio::spawn(async move {
        let Ok((mut stream, _)) = listener.accept().await else {
            return;
        };
        let _ = stream.set_nodelay(true);
        let mut asked = [0u8; 4096];
        let _ = stream.read(&mut asked).await;
        for piece in pieces {
            let _ = stream.write_all(&piece).await;
            tokio::task::yield_now().await;
        }
        // Whatever the client still says is read, so that the end is a FIN.
        let _ = stream.shutdown().await;
        while matches!(stream.read(&mut asked).await, Ok(count) if count > 0) {}
    });
    addr
}
