//! One TCP connection, read by lines and by counts.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::secure::{is_secured, shake};
use crate::wait::within;

/// A connection with what was read from it and not yet taken. Dropped, it is
/// reset: thousands of tests' connections would else hold their ports.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    taken: usize,
    total: u64,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    /// Its end is a FIN only where TLS said so before.
    Tls(Box<TlsStream<TcpStream>>),
    /// Broken before it could speak.
    Broken,
}

impl Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Broken => None,
        }
    }
}

/// How the peer's bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The peer closed its side.
    Fin,
    /// The connection was reset.
    Reset,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// Where the peer cannot be reached.
    pub async fn connect(to: SocketAddr) -> Self {
        match within("a TCP connection", TcpStream::connect(to)).await {
            Ok(stream) => Self::to(stream, to).await,
            Err(error) => panic!("connect to {to}: {error}"),
        }
    }

    /// Connects from an address of this machine, with a receive buffer of so
    /// many bytes (0: as the system has it).
    ///
    /// # Panics
    /// Where that is not possible.
    pub async fn connect_from(from: std::net::IpAddr, to: SocketAddr, buffer: u32) -> Self {
        let socket = if to.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let connected = async {
            let socket = socket?;
            if buffer > 0 {
                socket.set_recv_buffer_size(buffer)?;
            }
            socket.bind(SocketAddr::new(from, 0))?;
            socket.connect(to).await
        };
        match within("a TCP connection", connected).await {
            Ok(stream) => Self::to(stream, to).await,
            Err(error) => panic!("connect from {from} to {to}: {error}"),
        }
    }

    async fn to(tcp: TcpStream, to: SocketAddr) -> Self {
        if !is_secured(to) {
            return Self::over(tcp);
        }
        let _ = tcp.set_nodelay(true);
        match within("a TLS handshake", shake(tcp, &[b"http/1.1"])).await {
            Ok(tls) => Self::secured(tls),
            // Whoever expects more finds a connection that was reset.
            Err(error) => {
                println!("TLS with {to}: {error}");
                Self::new(Stream::Broken)
            }
        }
    }

    /// Takes over a connection whose handshake is done.
    pub fn secured(tls: TlsStream<TcpStream>) -> Self {
        Self::new(Stream::Tls(Box::new(tls)))
    }

    /// Takes over a connected socket.
    pub fn over(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self::new(Stream::Plain(stream))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            taken: 0,
            total: 0,
        }
    }

    /// The local address.
    ///
    /// # Panics
    /// Where the socket has none.
    pub fn local(&self) -> SocketAddr {
        match self.stream.tcp().map(TcpStream::local_addr) {
            Some(Ok(address)) => address,
            other => panic!("no local address: {other:?}"),
        }
    }

    /// Bytes that have come from the peer so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Read and not yet taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// As the socket's: the peer may be gone.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = async {
            match &mut self.stream {
                Stream::Plain(tcp) => tcp.write_all(bytes).await,
                Stream::Tls(tls) => {
                    tls.write_all(bytes).await?;
                    tls.flush().await
                }
                Stream::Broken => Err(io::ErrorKind::ConnectionReset.into()),
            }
        };
        within("the peer to take bytes", sent).await
    }

    /// Closes the sending side; reading goes on.
    pub async fn finish(&mut self) {
        let _ = match &mut self.stream {
            Stream::Plain(tcp) => tcp.shutdown().await,
            Stream::Tls(tls) => tls.shutdown().await,
            Stream::Broken => Ok(()),
        };
    }

    /// Reads more; `Err` says how it ended.
    ///
    /// # Errors
    /// The ending, where no more comes.
    pub async fn fill(&mut self) -> Result<(), Ending> {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        }
        let mut chunk = [0u8; 16 * 1024];
        let read = async {
            match &mut self.stream {
                Stream::Plain(tcp) => tcp.read(&mut chunk).await,
                Stream::Tls(tls) => tls.read(&mut chunk).await,
                Stream::Broken => Err(io::ErrorKind::ConnectionReset.into()),
            }
        };
        match within("bytes from the peer", read).await {
            Ok(0) => Err(Ending::Fin),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                self.total += count as u64;
                Ok(())
            }
            Err(_) => Err(Ending::Reset),
        }
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// The ending, where fewer come.
    pub async fn take(&mut self, count: usize) -> Result<Vec<u8>, Ending> {
        while self.buffered().len() < count {
            self.fill().await?;
        }
        let bytes = self.buffered()[..count].to_vec();
        self.taken += count;
        Ok(bytes)
    }

    /// Takes whatever is there, at least one byte.
    ///
    /// # Errors
    /// The ending, where nothing comes.
    pub async fn take_some(&mut self) -> Result<Vec<u8>, Ending> {
        if self.buffered().is_empty() {
            self.fill().await?;
        }
        let bytes = self.buffered().to_vec();
        self.taken = self.buffer.len();
        Ok(bytes)
    }

    /// Takes a line that ends in CR LF, without its end.
    ///
    /// # Errors
    /// The ending, where no whole line comes.
    ///
    /// # Panics
    /// Where a line feed comes without its carriage return.
    pub async fn line(&mut self) -> Result<Vec<u8>, Ending> {
        let mut searched = 0;
        loop {
            let found = self.buffered()[searched..].iter().position(|b| *b == b'\n');
            if let Some(at) = found {
                let mut line = self.take(searched + at + 1).await?;
                line.pop();
                assert_eq!(line.pop(), Some(b'\r'), "a bare line feed: {line:?}");
                return Ok(line);
            }
            searched = self.buffered().len();
            self.fill().await?;
        }
    }

    /// Takes all that still comes, and how it ended.
    pub async fn rest(&mut self) -> (Vec<u8>, Ending) {
        let ending = loop {
            if let Err(ending) = self.fill().await {
                break ending;
            }
        };
        let bytes = self.buffered().to_vec();
        self.taken = self.buffer.len();
        (bytes, ending)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(tcp) = self.stream.tcp() {
            let _ = tcp.set_zero_linger();
        }
    }
}
