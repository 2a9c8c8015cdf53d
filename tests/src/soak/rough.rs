//! Clients that do what they should not: whatever becomes of them, the server
//! must be as it was when they are gone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::rng::Rng;
use super::steady::Tally;
use crate::http::request;
use crate::ws::{frame, upgrade};

/// The longest that one of them stays.
const LONGEST: Duration = Duration::from_secs(8);

/// One thing after the other until it is over.
pub(super) async fn misbehave(
    addr: SocketAddr,
    mut rng: Rng,
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Result<Tally, String> {
    while !over.load(Relaxed) {
        // Errors are what they ask for.
        let _ = timeout(LONGEST, one(addr, &mut rng)).await;
        done.fetch_add(1, Relaxed);
        sleep(rng.ms(20, 250)).await;
    }
    Ok(Tally::default())
}

fn get(target: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all: Vec<(&str, &[u8])> = vec![("Host", b"localhost")];
    all.extend_from_slice(headers);
    request("GET", target, &all, b"")
}

async fn one(addr: SocketAddr, rng: &mut Rng) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    let kind = rng.below(16);
    if kind == 0 {
        socket.set_recv_buffer_size(4096)?;
    }
    let mut stream = socket.connect(addr).await?;
    let number = rng.below(300);
    match kind {
        // Listens to the floods and does not read.
        0 => {
            stream.write_all(&get("/c/flood?format=sse", &[])).await?;
            sleep(rng.ms(100, 6000)).await;
        }
        // Goes at once, in the middle of a head, or with nonsense.
        1 => {}
        2 => stream.write_all(b"GET /c/s0 HTTP/1.1\r\nHost: lo").await?,
        3 => {
            let mut nonsense = [0; 200];
            nonsense
                .iter_mut()
                .for_each(|byte| *byte = rng.next() as u8);
            stream.write_all(&nonsense).await?;
            some(&mut stream).await?;
        }
        4 => {
            let long = vec![b'x'; 40_000];
            stream
                .write_all(&get("/c/s0", &[("X-Long", &long)]))
                .await?;
            some(&mut stream).await?;
        }
        // Frames that no client may send.
        5 => {
            let bad: &[&[u8]] = &[
                b"\x81\x02hi",
                b"\xf1\x80\0\0\0\0",
                b"\x83\x80\0\0\0\0",
                b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
                b"\x81\x81\0\0\0\0\xff",
                b"\x88\x81\0\0\0\0\x03",
                b"\xc1\x84\0\0\0\0\xff\xff\xff\xff",
            ];
            let mut all = upgrade(addr, "/c/s0", &[]);
            all.extend_from_slice(bad[rng.below(bad.len())]);
            stream.write_all(&all).await?;
            rest(&mut stream).await?;
        }
        // Floods of pings, of fragments, of refused frames.
        6 => {
            let mut all = upgrade(addr, "/c/s1", &[]);
            (0..2000).for_each(|_| all.extend_from_slice(&frame(0x89, b"ping")));
            stream.write_all(&all).await?;
            some(&mut stream).await?;
        }
        7 => {
            let mut all = upgrade(addr, "/c/rough", &[]);
            all.extend_from_slice(&frame(0x01, b"begin"));
            (0..500).for_each(|_| all.extend_from_slice(&frame(0x00, b"")));
            stream.write_all(&all).await?;
            some(&mut stream).await?;
        }
        8 => {
            let mut all = upgrade(addr, "/c/s1?format=envelope", &[]);
            (0..12).for_each(|_| all.extend_from_slice(&frame(0x81, b"{\"event\":1}")));
            stream.write_all(&all).await?;
            rest(&mut stream).await?;
        }
        // Polls that are left alone, and histories of odd cursors.
        9 => {
            let target = format!("/c/s2,x{number}?wait=50");
            stream.write_all(&get(&target, &[])).await?;
            sleep(rng.ms(1, 3000)).await;
        }
        10 => {
            let cursors: [&[u8]; 4] = [b"", b"nonsense", b"zz-9", &[0xff, 0x41]];
            let header = ("Last-Event-ID", cursors[rng.below(4)]);
            stream
                .write_all(&get("/c/s3,s4?format=sse", &[header]))
                .await?;
            some(&mut stream).await?;
        }
        // Bodies that do not come, or should not.
        11 => {
            stream
                .write_all(
                    b"POST /c/rough HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf",
                )
                .await?;
            sleep(rng.ms(1, 3000)).await;
        }
        12 => {
            let headers: [(&str, &[u8]); 2] = [
                ("Host", b"localhost"),
                ("Content-Type", b"application/json"),
            ];
            stream
                .write_all(&request("POST", "/c/rough", &headers, b"{"))
                .await?;
            some(&mut stream).await?;
        }
        // Readers of channels where nothing ever comes.
        13 => {
            stream
                .write_all(&get(&format!("/c/x{number}?format=sse"), &[]))
                .await?;
            some(&mut stream).await?;
            sleep(rng.ms(1, 2000)).await;
        }
        14 => {
            stream
                .write_all(&upgrade(addr, &format!("/c/x{number}"), &[]))
                .await?;
            some(&mut stream).await?;
            // No pong will come.
            sleep(rng.ms(1, 6000)).await;
        }
        // Many requests at once, and away in the middle of the answers.
        _ => {
            let mut all = Vec::new();
            (0..20).for_each(|_| all.extend_from_slice(&get("/c/flood?limit=40", &[])));
            stream.write_all(&all).await?;
            some(&mut stream).await?;
        }
    }
    if rng.below(2) == 0 {
        // Goes with a reset.
        let _ = stream.set_zero_linger();
    }
    Ok(())
}

/// Reads once.
async fn some(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    stream.read(&mut buffer).await.map(drop)
}

/// Reads to the end.
async fn rest(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Streams that are open.
pub(super) async fn readers(addr: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut readers = Vec::new();
    for number in 0..count {
        let asked = match number % 2 {
            0 => get("/c/s0?format=sse", &[]),
            _ => upgrade(addr, "/c/s0?format=envelope", &[]),
        };
        let opened = async {
            let mut stream = TcpStream::connect(addr).await?;
            stream.write_all(&asked).await?;
            let mut heard = Vec::new();
            while !heard.windows(6).any(|part| part == b"$ready") {
                if stream.read_buf(&mut heard).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            io::Result::Ok(stream)
        };
        if let Ok(Ok(stream)) = timeout(LONGEST, opened).await {
            readers.push(stream);
        }
    }
    readers
}

/// Reads them all to the end; how many were told to come back.
pub(super) async fn read_all(readers: Vec<TcpStream>) -> usize {
    let mut told = 0;
    for mut stream in readers {
        let mut heard = Vec::new();
        let read = timeout(LONGEST, stream.read_to_end(&mut heard)).await;
        let has = |word: &[u8]| heard.windows(word.len()).any(|part| part == word);
        let ends = has(b"retry: ") || has(b"\x03\xf4");
        told += usize::from(matches!(read, Ok(Ok(_))) && has(b"$drain") && ends);
    }
    told
}
