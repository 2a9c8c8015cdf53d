//! An SSE reader of our own. Like a browser, it adopts an id when the event's
//! empty line has come, not before.

use std::net::SocketAddr;

use crate::http::{Answer, Head, Http, request};
use crate::said::{Heard, Kind, Said, envelope, system};
use crate::wire::{Ending, Wire};

/// An event stream.
#[derive(Debug)]
pub struct Sse {
    /// The answer's head.
    pub head: Head,
    /// The connection itself.
    pub wire: Wire,
    /// What an `EventSource` would send as `Last-Event-ID`.
    pub last_id: Option<String>,
    /// The last `retry:`.
    pub retry: Option<u64>,
    /// Comments so far.
    pub comments: usize,
    enveloped: bool,
    text: Vec<u8>,
    /// Where in `text` the next line starts.
    at: usize,
    ended: Option<Said>,
    skip_feed: bool,
    chunk_left: usize,
    in_chunk: bool,
    event: Pending,
}

#[derive(Debug, Default)]
struct Pending {
    id: Option<String>,
    name: String,
    data: Vec<Vec<u8>>,
    /// A block counts if it had any field.
    fields: usize,
}

/// One block as it came: a browser dispatches it where it has data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its `id:`.
    pub id: Option<String>,
    /// Its `event:`, empty where there is none.
    pub name: String,
    /// Its `data:` lines.
    pub data: Vec<Vec<u8>>,
}

impl Sse {
    /// Opens a stream.
    ///
    /// # Panics
    /// Where the answer is anything but a 200 with the right type.
    pub async fn open(to: SocketAddr, target: &str, headers: &[(&str, &[u8])]) -> Self {
        match Self::try_open(to, target, headers).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(answer)) => panic!("{target}: {} {}", answer.status, answer.text()),
            Err(ending) => panic!("{target}: no answer: {ending:?}"),
        }
    }

    /// The same, where the answer may be a refusal (`Ok(Err)`) or none (`Err`).
    ///
    /// # Errors
    /// How the connection ended before the head was whole.
    pub async fn try_open(
        to: SocketAddr,
        target: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Result<Self, Answer>, Ending> {
        let http = Http::connect(to).await;
        Self::try_open_over(http, to, target, headers).await
    }

    /// The same, on a connection that is there already.
    ///
    /// # Errors
    /// How the connection ended before the head was whole.
    pub async fn try_open_over(
        mut http: Http,
        to: SocketAddr,
        target: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Result<Self, Answer>, Ending> {
        let host = to.to_string();
        let mut all: Vec<(&str, &[u8])> = Vec::new();
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            all.push(("Host", host.as_bytes()));
        }
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("accept"))
        {
            all.push(("Accept", b"text/event-stream"));
        }
        all.extend_from_slice(headers);
        let _ = http.wire.send(&request("GET", target, &all, b"")).await;
        let mut wire = http.wire;
        let head = Head::read(&mut wire).await?;
        if head.status != 200 {
            return Ok(Err(head.body(&mut wire).await?));
        }
        assert_eq!(
            head.header("content-type"),
            Some("text/event-stream; charset=utf-8"),
            "{head:?}"
        );
        Ok(Ok(Self::over(wire, head)))
    }

    /// Takes over a connection whose head was read.
    pub fn over(wire: Wire, head: Head) -> Self {
        Self {
            head,
            wire,
            last_id: None,
            retry: None,
            comments: 0,
            enveloped: false,
            text: Vec::new(),
            at: 0,
            ended: None,
            skip_feed: false,
            chunk_left: 0,
            in_chunk: false,
            event: Pending::default(),
        }
    }

    /// Says that the data of messages are envelopes.
    #[must_use]
    pub fn enveloped(mut self, yes: bool) -> Self {
        self.enveloped = yes;
        self
    }

    /// The next message, system event or end.
    ///
    /// # Panics
    /// Where something comes that the protocol does not know.
    pub async fn next(&mut self) -> Said {
        let block = match self.block().await {
            Ok(block) => block,
            Err(end) => return end,
        };
        let data = block.data.join(&b'\n');
        if let Some(said) = system(&block.name, &data, block.id.as_deref(), self.retry) {
            return said;
        }
        let mut heard = if self.enveloped {
            assert_eq!(block.name, "", "an event name in the envelope form");
            match envelope(&data) {
                Said::Heard(heard) => heard,
                other => panic!("{other:?} without its event name"),
            }
        } else {
            Heard {
                id: block.id.clone(),
                event: if block.name.is_empty() {
                    "message".into()
                } else {
                    block.name.clone()
                },
                kind: Kind::Raw,
                data,
                ..Heard::default()
            }
        };
        if self.enveloped {
            assert_eq!(
                heard.id, block.id,
                "the id of the event and of the envelope"
            );
        }
        heard.members.retain(|_| self.enveloped);
        Said::Heard(heard)
    }

    /// The next block that has data; `Err` is the end.
    ///
    /// # Errors
    /// [`Said::Ended`] or [`Said::Cut`].
    pub async fn block(&mut self) -> Result<Block, Said> {
        loop {
            let line = self.line().await?;
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            let event = std::mem::take(&mut self.event);
            if let Some(id) = &event.id {
                self.last_id = Some(id.clone());
            }
            if !event.data.is_empty() {
                return Ok(Block {
                    id: event.id,
                    name: event.name,
                    data: event.data,
                });
            }
            assert!(
                event.fields == 0 || event.id.is_none(),
                "an id without data"
            );
        }
    }

    fn field(&mut self, line: &[u8]) {
        if line[0] == b':' {
            self.comments += 1;
            return;
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, rest) = line.split_at(colon);
        let value = rest.strip_prefix(b":").unwrap_or(rest);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = String::from_utf8_lossy(value).into_owned();
        self.event.fields += 1;
        match name {
            b"id" => self.event.id = Some(text),
            b"event" => self.event.name = text,
            b"data" => self.event.data.push(value.to_vec()),
            b"retry" => self.retry = text.parse().ok(),
            other => panic!("field {:?}", String::from_utf8_lossy(other)),
        }
    }

    /// One line, whatever ends it. What stands after the last line end when the
    /// stream is over does not count.
    async fn line(&mut self) -> Result<Vec<u8>, Said> {
        let mut searched = self.at;
        loop {
            if self.skip_feed && searched == self.at && searched < self.text.len() {
                self.skip_feed = false;
                if self.text[self.at] == b'\n' {
                    self.at += 1;
                    searched += 1;
                }
            }
            let found = self.text[searched..]
                .iter()
                .position(|b| matches!(b, b'\r' | b'\n'));
            if let Some(found) = found {
                let end = searched + found;
                let line = self.text[self.at..end].to_vec();
                self.skip_feed = self.text[end] == b'\r';
                self.at = end + 1;
                return Ok(line);
            }
            searched = self.text.len();
            if self.at == self.text.len() {
                self.text.clear();
                (self.at, searched) = (0, 0);
            }
            self.more().await?;
        }
    }

    /// Reads more of the body. Of a chunk that is cut off, what came counts, as
    /// it does in browsers.
    async fn more(&mut self) -> Result<(), Said> {
        if let Some(end) = &self.ended {
            return Err(end.clone());
        }
        let read = if self.head.header("transfer-encoding").is_some() {
            self.piece().await
        } else {
            match self.wire.take_some().await {
                Err(Ending::Fin) => Ok(None),
                other => other.map(Some),
            }
        };
        let end = match read {
            Ok(Some(bytes)) => {
                self.text.extend_from_slice(&bytes);
                return Ok(());
            }
            Ok(None) => Said::Ended,
            Err(_) => Said::Cut,
        };
        self.ended = Some(end.clone());
        Err(end)
    }

    /// What is there of the present chunk; none at the end of the body.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, Ending> {
        if self.chunk_left == 0 {
            if self.in_chunk {
                assert_eq!(self.wire.line().await?, b"", "a chunk's end");
                self.in_chunk = false;
            }
            let size = String::from_utf8_lossy(&self.wire.line().await?).into_owned();
            let Ok(length) = usize::from_str_radix(&size, 16) else {
                panic!("not a chunk size: {size:?}")
            };
            if length == 0 {
                assert_eq!(self.wire.line().await?, b"", "the last chunk's end");
                return Ok(None);
            }
            self.chunk_left = length;
            self.in_chunk = true;
        }
        if self.wire.buffered().is_empty() {
            self.wire.fill().await?;
        }
        let count = self.chunk_left.min(self.wire.buffered().len());
        self.chunk_left -= count;
        self.wire.take(count).await.map(Some)
    }
}
