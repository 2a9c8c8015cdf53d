//! A server in a test: it holds a log of one channel and serves it by the wire
//! of the protocol, one transport or another, cutting connections where the
//! test says. It shares nothing with the real server but the wire.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanwire_client::{Backoff, Event, Start, SubscribeOptions, Subscriber, Transport};
use fanwire_proto::native::{Body, Envelope, PollWriter, System};
use fanwire_proto::sse::{Block, chunk};
use fanwire_proto::ws::{Opcode, frame, handshake};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (n, v) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then_some(v)
        })
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        let query = self.line.split(' ').nth(1)?.split_once('?')?.1;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Where the client wants to start: the number behind the epoch.
    pub fn after(&self) -> Option<u64> {
        let cursor = self
            .header("last-event-id")
            .or_else(|| self.param("after"))?;
        cursor.strip_prefix("e-")?.parse().ok()
    }

    pub fn transport(&self) -> Transport {
        if self.header("upgrade").is_some() {
            Transport::Ws
        } else if self.param("format").is_some() {
            Transport::Sse
        } else {
            Transport::Poll
        }
    }
}

/// What is done to a connection once its bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Reset by RST.
    Reset,
    /// Closed by FIN.
    Close,
    /// Left open and silent until the client goes.
    Hold,
    /// The next request is read.
    Next,
}

/// An answer: bytes, and what follows.
pub type Answer = (Vec<u8>, Then);

pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server that answers the n-th request (from 0) as `script` says.
    pub async fn start(script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let script = Arc::new(script);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Self { url, seen, task }
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    script: Arc<impl Fn(usize, &Seen) -> Answer>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let n = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let (bytes, then) = script(n, &request);
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            Then::Next => {}
            Then::Close => return,
            Then::Reset => return stream.set_zero_linger().unwrap(),
            Then::Hold => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut seen = Seen {
        line: head.lines().next()?.to_owned(),
        head,
        body: bytes[end..].to_vec(),
    };
    let len = seen
        .header("content-length")
        .map_or(0, |n| n.parse().unwrap());
    while seen.body.len() < len {
        if stream.read_buf(&mut seen.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(seen)
}

/// A response with a body of known length.
pub fn response(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

pub fn problem(status: u16, code: &str, extra: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"type":"about:blank","title":"x","status":{status},"code":"{code}","detail":"do this"}}"#
    );
    let mut out = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/problem+json\r\n{extra}content-length: {}\r\n\r\n",
        body.len()
    );
    out.push_str(&body);
    out.into_bytes()
}

pub const SSE_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// The head of a stream on the transport that the request asks for.
pub fn head(request: &Seen) -> Vec<u8> {
    if request.transport() != Transport::Ws {
        return SSE_HEAD.to_vec();
    }
    let accept = handshake::accept_key(request.header("sec-websocket-key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-protocol: fanwire.envelope\r\n\r\n"
    )
    .into_bytes()
}

/// A system event on a stream of this transport.
pub fn system(transport: Transport, id: Option<&str>, event: System<'_>) -> Vec<u8> {
    let mut data = Vec::new();
    if transport == Transport::Ws {
        event.write(&mut data);
        return frame(Opcode::Text, &data).to_vec();
    }
    event.write_data(&mut data);
    let mut block = Vec::new();
    Block {
        retry: Some(0),
        id,
        event: Some(event.name()),
        data: Some(&data),
    }
    .write(&mut block);
    chunk(&block).to_vec()
}

pub fn ready(transport: Transport, cursor: &str) -> Vec<u8> {
    let event = System::Ready {
        cursor,
        channels: &["news"],
        conn: "c1",
    };
    system(transport, Some(cursor), event)
}

pub fn write_envelope(out: &mut Vec<u8>, id: &str) {
    let body = Body::Text(b"text");
    let (id, channel, event) = (Some(id), Some("news"), "message");
    Envelope {
        id,
        channel,
        event,
        body,
        ts: 1,
        from: None,
        key: None,
    }
    .write(out);
}

/// A message on a stream of this transport.
pub fn message(transport: Transport, id: &str) -> Vec<u8> {
    let mut data = Vec::new();
    write_envelope(&mut data, id);
    if transport == Transport::Ws {
        return frame(Opcode::Text, &data).to_vec();
    }
    let mut block = Vec::new();
    Block {
        id: Some(id),
        data: Some(&data),
        ..Block::default()
    }
    .write(&mut block);
    chunk(&block).to_vec()
}

/// What a server answers that goes on after message `after` and holds up to
/// message `top`.
pub fn answer(request: &Seen, after: u64, top: u64) -> Vec<u8> {
    let transport = request.transport();
    if transport == Transport::Poll {
        let mut answer = PollWriter::new();
        for n in after + 1..=top {
            answer.push(|out| write_envelope(out, &format!("e-{n}")));
        }
        return response(
            "200 OK",
            "application/json",
            &answer.finish(&format!("e-{top}")),
        );
    }
    let mut out = head(request);
    out.extend(ready(transport, &format!("e-{after}")));
    for n in after + 1..=top {
        out.extend(message(transport, &format!("e-{n}")));
    }
    out
}

/// A close frame with this code.
pub fn closed(code: u16) -> Vec<u8> {
    frame(Opcode::Close, &code.to_be_bytes()).to_vec()
}

/// What an event stream says whose token has ended, and its end.
pub fn expired() -> Vec<u8> {
    let block =
        b"event: $error\ndata: {\"code\":\"token_expired\",\"message\":\"it has ended\"}\n\n";
    [&chunk(block)[..], b"0\r\n\r\n"].concat()
}

/// What a server answers that does as it was asked.
pub fn faithful(request: &Seen, top: u64) -> Vec<u8> {
    answer(request, request.after().unwrap_or(0), top)
}

pub fn options(url: &str, transport: Transport) -> SubscribeOptions {
    SubscribeOptions {
        transport,
        start: Start::After("e-0".to_owned()),
        backoff: Backoff {
            initial: Duration::ZERO,
            max: Duration::ZERO,
        },
        ..SubscribeOptions::new(url, ["news"])
    }
}

pub const ALL: [Transport; 3] = [Transport::Ws, Transport::Sse, Transport::Poll];

/// Everything told until the n-th message.
pub async fn until_message(subscriber: &mut Subscriber, n: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let mut messages = 0;
    while messages < n {
        let event = subscriber.next().await.unwrap();
        messages += usize::from(matches!(event, Event::Message(_)));
        events.push(event);
    }
    events
}

/// The ids of the messages among these events.
pub fn ids(events: &[Event]) -> Vec<String> {
    let of = |event: &Event| match event {
        Event::Message(message) => message.id.clone(),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}
