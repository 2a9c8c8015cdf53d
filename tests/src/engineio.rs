//! A client of Engine.IO, by hand.

use std::net::SocketAddr;

use serde_json::Value;

use crate::http::{Answer, Http};
use crate::wire::Ending;
use crate::ws::Ws;

/// What stands between packets of a poll.
pub const SEPARATOR: char = '\u{1e}';

/// A session over polling.
pub struct Polling {
    /// Where.
    pub to: SocketAddr,
    /// The path, with its slashes.
    pub path: &'static str,
    /// The session's secret name.
    pub sid: String,
    /// What the handshake said.
    pub open: Value,
    gets: Http,
    posts: Http,
}

impl Polling {
    /// Opens a session.
    ///
    /// # Panics
    /// Where the server does not.
    pub async fn open(to: SocketAddr, path: &'static str) -> Self {
        let mut gets = Http::connect(to).await;
        let target = format!("{path}?EIO=4&transport=polling");
        let answer = gets.ask("GET", &target, &[], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=UTF-8")
        );
        let text = answer.text();
        let Some(open) = text.strip_prefix('0') else {
            panic!("no open packet: {text}");
        };
        let open: Value = match serde_json::from_str(open) {
            Ok(open) => open,
            Err(error) => panic!("{error}: {text}"),
        };
        Self {
            to,
            path,
            sid: open["sid"].as_str().unwrap_or_default().to_owned(),
            open,
            gets,
            posts: Http::connect(to).await,
        }
    }

    /// The same session by other connections.
    pub async fn again(&self) -> Self {
        Self {
            sid: self.sid.clone(),
            open: self.open.clone(),
            gets: Http::connect(self.to).await,
            posts: Http::connect(self.to).await,
            ..*self
        }
    }

    /// Its URL.
    pub fn target(&self) -> String {
        format!("{}?EIO=4&transport=polling&sid={}", self.path, self.sid)
    }

    /// The URL of its WebSocket.
    pub fn upgrade(&self) -> String {
        format!("{}?EIO=4&transport=websocket&sid={}", self.path, self.sid)
    }

    /// Begins a poll, whose answer [`Polling::polled`] gives.
    pub async fn begin(&mut self) {
        let request = crate::http::request(
            "GET",
            &self.target(),
            &[("Host", self.to.to_string().as_bytes())],
            b"",
        );
        let _ = self.gets.wire.send(&request).await;
    }

    /// The answer to the poll that was begun.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn polled(&mut self) -> Answer {
        match self.gets.answer().await {
            Ok(answer) => answer,
            Err(ending) => panic!("the poll has no answer: {ending:?}"),
        }
    }

    /// One poll.
    pub async fn get(&mut self) -> Answer {
        self.begin().await;
        self.polled().await
    }

    /// Polls until there are so many packets, answering pings.
    ///
    /// # Panics
    /// Where a poll is refused.
    pub async fn packets(&mut self, count: usize) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        while all.len() < count {
            let answer = self.get().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            for packet in answer.text().split(SEPARATOR) {
                match packet {
                    "2" => assert_eq!(self.post("3").await.text(), "ok"),
                    packet => all.push(packet.to_owned()),
                }
            }
        }
        all
    }

    /// Sends packets.
    pub async fn post(&mut self, body: &str) -> Answer {
        self.posts
            .ask("POST", &self.target(), &[], body.as_bytes())
            .await
    }

    /// Cuts the connection off by which it polls.
    pub async fn abort(&mut self) {
        self.gets = Http::connect(self.to).await;
    }

    /// Opens its WebSocket.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn socket(&self) -> Ws {
        Ws::open(self.to, &self.upgrade(), &[]).await
    }
}

/// Opens a session by WebSocket; gives what the handshake said.
///
/// # Panics
/// Where the server does not.
pub async fn open_ws(to: SocketAddr, path: &str) -> (Ws, Value) {
    let target = format!("{path}?EIO=4&transport=websocket");
    let mut ws = Ws::open(to, &target, &[]).await;
    let open = text(&mut ws).await;
    let value = open.strip_prefix('0').map(serde_json::from_str);
    match value {
        Some(Ok(value)) => (ws, value),
        _ => panic!("no open packet: {open}"),
    }
}

/// The next text frame.
///
/// # Panics
/// Where something else comes.
pub async fn text(ws: &mut Ws) -> String {
    match ws.frame().await {
        Ok(frame) if frame.opcode == 1 => String::from_utf8_lossy(&frame.payload).into_owned(),
        other => panic!("no text: {other:?}"),
    }
}

/// The close code with which it ends; none where it ends without one. Frames before it are
/// let pass.
pub async fn ended(ws: &mut Ws) -> Option<u16> {
    loop {
        match ws.frame().await {
            Ok(frame) if frame.opcode == 8 => {
                let code = frame.payload.get(..2)?;
                return Some(u16::from_be_bytes([code[0], code[1]]));
            }
            Ok(_) => {}
            Err(Ending::Fin | Ending::Reset) => return None,
        }
    }
}
