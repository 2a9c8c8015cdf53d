//! `conformance-ws PORT`: an echo server at `/` for WebSocket conformance
//! suites, which is the real server underneath.
//!
//! A raw WebSocket hears what it publishes. So a small front gives every
//! connection a channel of its own, by rewriting the target of its request,
//! and passes everything else on untouched: the handshake, the frames, the
//! echo and the close are the server's.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use fanwire::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};

const MIB: usize = 1024 * 1024;
/// The beginning of the request that is rewritten.
const TARGET: &[u8] = b"GET / ";
/// Bytes on their way in each direction.
const BUFFER: usize = 256 * 1024;

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("conformance-ws PORT: echoes what WebSockets at / say; port 0 takes a free one");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(serve(port)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &std::io::Error) -> ExitCode {
    eprintln!("conformance-ws: {error}");
    ExitCode::FAILURE
}

/// Room for the suites' messages of 16 MiB, in fragments of 64 bytes.
fn config() -> Config {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.access.open = true;
    config.limits.message = 32 * MIB;
    config.limits.outbox = 128 * MIB;
    config.limits.ring_bytes = 128 * MIB;
    config.limits.publish_credit = 256 * MIB;
    config.ws.max_fragments = 1_000_000;
    config.ws.assembly_timeout = Duration::from_secs(300);
    config.ws.deflate = true;
    config.ws.deflate_threshold = 0;
    config
}

async fn serve(port: u16) -> std::io::Result<()> {
    let server = fanwire::Server::new(config()).map_err(std::io::Error::other)?;
    let running = server.start().await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ws://{}/", listener.local_addr()?);
    let mut number = 0_u64;
    loop {
        let (client, _) = listener.accept().await?;
        number += 1;
        tokio::spawn(pass(client, running.addr(), number));
    }
}

/// Carries one connection to a channel of its own. Whatever ends it on one side
/// ends it on the other.
async fn pass(mut client: TcpStream, to: SocketAddr, number: u64) -> std::io::Result<()> {
    let mut start = [0; TARGET.len()];
    client.read_exact(&mut start).await?;
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    if start == TARGET {
        let own = format!("GET /c/echo-{number} ");
        server.write_all(own.as_bytes()).await?;
    } else {
        server.write_all(&start).await?;
    }
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await?;
    Ok(())
}
