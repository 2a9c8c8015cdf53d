//! A small HTTP/1.1 client of our own: sends exactly the bytes asked for and
//! reads one answer at a time.

use std::net::SocketAddr;

use serde_json::Value;

use crate::wire::{Ending, Wire};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its chunks joined.
    pub body: Vec<u8>,
}

/// The part of an answer that stands before its body.
#[derive(Debug, Clone)]
pub struct Head {
    /// Such as `HTTP/1.1`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// A connection that is used for one request after the other.
#[derive(Debug)]
pub struct Http {
    /// The connection itself.
    pub wire: Wire,
    host: String,
}

/// The bytes of a request. Header values may be any bytes.
pub fn request(method: &str, target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    let says_length = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !says_length && (!body.is_empty() || method == "POST") {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut all = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    all.next().map(|(_, value)| value.as_str())
}

impl Head {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Reads up to the empty line.
    ///
    /// # Errors
    /// The ending, where no whole head comes.
    ///
    /// # Panics
    /// Where it is not one of HTTP/1.
    pub async fn read(wire: &mut Wire) -> Result<Self, Ending> {
        let line = String::from_utf8_lossy(&wire.line().await?).into_owned();
        let mut parts = line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default().to_owned();
        assert!(version.starts_with("HTTP/1."), "not HTTP: {line}");
        let status = parts.next().and_then(|s| s.parse().ok());
        let Some(status) = status else {
            panic!("no status: {line}")
        };
        let mut headers = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&wire.line().await?).into_owned();
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                panic!("not a header: {line}")
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self {
            version,
            status,
            headers,
        })
    }

    /// Reads the body that this head announces (never that of a HEAD).
    ///
    /// # Errors
    /// The ending, where it does not come whole.
    pub async fn body(self, wire: &mut Wire) -> Result<Answer, Ending> {
        let mut body = Vec::new();
        if find(&self.headers, "transfer-encoding").is_some_and(|v| v.contains("chunked")) {
            while let Some(chunk) = chunk(wire).await? {
                body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = find(&self.headers, "content-length") {
            let Ok(length) = length.parse() else {
                panic!("content-length: {length}")
            };
            body = wire.take(length).await?;
        } else if self.status >= 200 && self.status != 204 && self.status != 304 {
            let (bytes, ending) = wire.rest().await;
            if ending == Ending::Reset {
                return Err(ending);
            }
            body = bytes;
        }
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body,
        })
    }
}

/// Reads one chunk of a chunked body; none at its end.
///
/// # Errors
/// The ending, where no whole chunk comes.
///
/// # Panics
/// Where it is not a chunk.
pub async fn chunk(wire: &mut Wire) -> Result<Option<Vec<u8>>, Ending> {
    let line = String::from_utf8_lossy(&wire.line().await?).into_owned();
    let Ok(length) = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16) else {
        panic!("not a chunk size: {line:?}")
    };
    let bytes = wire.take(length).await?;
    assert_eq!(wire.line().await?, b"", "a chunk's end");
    Ok((length > 0).then_some(bytes))
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {} {}", self.status, self.text()),
        }
    }

    /// The `id` of a publish that was kept.
    ///
    /// # Panics
    /// Where it was not.
    pub fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        match self.json()["id"].as_str() {
            Some(id) => id.to_owned(),
            None => panic!("no id: {}", self.text()),
        }
    }

    /// Checks that this is the refusal of that status and code, of the form
    /// that section 8 gives, with a sentence.
    ///
    /// # Panics
    /// Where it is anything else.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{text}"
        );
        let value = self.json();
        assert_eq!(value["code"], code, "{text}");
        assert_eq!(value["status"], status, "{text}");
        assert_eq!(value["type"], "about:blank", "{text}");
        assert!(
            value["title"].as_str().is_some_and(|s| !s.is_empty()),
            "{text}"
        );
        assert!(
            value["detail"].as_str().is_some_and(|s| s.len() > 8),
            "{text}"
        );
        value
    }
}

impl Http {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Self {
        Self {
            wire: Wire::connect(to).await,
            host: to.to_string(),
        }
    }

    /// Connects, and speaks HTTP/2 over a bridge.
    pub async fn connect2(to: SocketAddr) -> Self {
        Self::over(crate::http2::connect(to).await, to)
    }

    /// Takes over a connection.
    pub fn over(wire: Wire, to: SocketAddr) -> Self {
        Self {
            wire,
            host: to.to_string(),
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        match self.try_ask(method, target, headers, body).await {
            Ok(answer) => answer,
            Err(ending) => panic!("{method} {target}: the answer ended early: {ending:?}"),
        }
    }

    /// The same, where the connection may break.
    ///
    /// # Errors
    /// How it broke.
    pub async fn try_ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Ending> {
        let mut all: Vec<(&str, &[u8])> = Vec::new();
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            all.push(("Host", self.host.as_bytes()));
        }
        all.extend(
            headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes())),
        );
        // The answer may come, and the connection go, before all is sent.
        let _ = self.wire.send(&request(method, target, &all, body)).await;
        self.answer().await
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// The ending, where it does not come whole.
    pub async fn answer(&mut self) -> Result<Answer, Ending> {
        let head = Head::read(&mut self.wire).await?;
        head.body(&mut self.wire).await
    }
}

/// One GET on a connection of its own.
pub async fn get(to: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    Http::connect(to)
        .await
        .ask("GET", target, headers, b"")
        .await
}

/// One POST on a connection of its own.
pub async fn post(to: SocketAddr, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Http::connect(to)
        .await
        .ask("POST", target, headers, body)
        .await
}

/// One request of raw bytes on a connection of its own; `Err` is the ending.
///
/// # Errors
/// Where no whole answer came.
pub async fn raw(to: SocketAddr, bytes: &[u8]) -> Result<Answer, Ending> {
    let mut http = Http::connect(to).await;
    let _ = http.wire.send(bytes).await;
    http.answer().await
}
