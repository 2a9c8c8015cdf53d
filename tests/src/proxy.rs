//! A TCP proxy that cuts: with a reset, at a chosen byte of what the server
//! sends or when told; or that stops reading.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::secure::{Secured, is_secured};

/// Passes connections on. Dropped, it resets what is left of them.
#[derive(Debug)]
pub struct Proxy {
    /// Where to connect.
    pub addr: SocketAddr,
    control: Arc<watch::Sender<Control>>,
    passed: Arc<AtomicU64>,
    /// What it passes on is TLS.
    _secured: Option<Secured>,
}

#[derive(Debug, Clone, Copy)]
struct Control {
    target: SocketAddr,
    /// Bytes from the server after which a new connection is cut.
    cut_at: Option<u64>,
    /// Connections of an earlier generation are cut.
    generation: u64,
    stalled: bool,
}

impl Proxy {
    /// Listens on a port of its own and passes everything on to `target`.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = match TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(error) => panic!("proxy: {error}"),
        };
        let addr = match listener.local_addr() {
            Ok(addr) => addr,
            Err(error) => panic!("proxy: {error}"),
        };
        let control = Control {
            target,
            cut_at: None,
            generation: 0,
            stalled: false,
        };
        let (control, watched) = watch::channel(control);
        let passed = Arc::new(AtomicU64::new(0));
        let count = passed.clone();
        tokio::spawn(async move {
            let mut gone = watched.clone();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((client, _)) = accepted {
                            tokio::spawn(pass(client, watched.clone(), count.clone()));
                        }
                    }
                    ended = gone.changed() => if ended.is_err() { return },
                }
            }
        });
        Self {
            addr,
            control: Arc::new(control),
            passed,
            _secured: is_secured(target).then(|| Secured::new(addr)),
        }
    }

    /// Connections opened from now on are cut after so many bytes from the server.
    pub fn cut_at(&self, bytes: Option<u64>) {
        self.control.send_modify(|control| control.cut_at = bytes);
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.generation += 1);
    }

    /// Stops reading from the server, or goes on.
    pub fn stall(&self, stalled: bool) {
        self.control
            .send_modify(|control| control.stalled = stalled);
    }

    /// Bytes passed on from the server so far, over all connections.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

async fn pass(
    mut client: TcpStream,
    mut control: watch::Receiver<Control>,
    passed: Arc<AtomicU64>,
) {
    let start = *control.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(start.target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut left = start.cut_at.unwrap_or(u64::MAX);
    let mut stalled = start.stalled;
    let (mut up, mut down) = ([0u8; 8192], [0u8; 8192]);
    let mut client_open = true;
    while left > 0 {
        tokio::select! {
            changed = control.changed() => {
                let now = *control.borrow_and_update();
                if changed.is_err() || now.generation != start.generation {
                    break;
                }
                stalled = now.stalled;
            }
            read = client.read(&mut up), if client_open => match read {
                Ok(0) => { client_open = false; let _ = server.shutdown().await; }
                Ok(count) => if server.write_all(&up[..count]).await.is_err() { break },
                Err(_) => break,
            },
            read = server.read(&mut down), if !stalled => match read {
                // The server's own clean end is passed on as one.
                Ok(0) => { let _ = client.shutdown().await; return; }
                Ok(count) => {
                    let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
                    if client.write_all(&down[..count]).await.is_err() { break }
                    left -= count as u64;
                    passed.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(_) => break,
            },
        }
    }
    let _ = (client.set_zero_linger(), server.set_zero_linger());
}
