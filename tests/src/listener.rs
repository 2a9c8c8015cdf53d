//! One listener for all transports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::http::{Answer, Head, Http, request};
use crate::http2;
use crate::poll::Poller;
use crate::said::{Gap, Heard, Ready, Said};
use crate::sse::Sse;
use crate::wire::{Ending, Wire};
use crate::ws::{Ws, upgrade};

/// How a listener hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Event stream; with one channel, raw.
    SseRaw,
    /// Event stream in the envelope.
    SseEnvelope,
    /// Long poll.
    Poll,
    /// WebSocket in the envelope.
    WsEnvelope,
    /// WebSocket, data only; one channel.
    WsRaw,
    /// Event stream over HTTP/2; with one channel, raw.
    SseHttp2,
    /// Long poll over HTTP/2.
    PollHttp2,
    /// WebSocket over HTTP/2, in the envelope.
    WsHttp2,
}

/// A listener.
#[derive(Debug)]
pub enum Listener {
    /// On an event stream.
    Sse(Sse),
    /// On long polls.
    Poll(Poller),
    /// On a WebSocket.
    Ws(Ws),
}

impl Transport {
    /// Those that carry cursors, each once.
    pub const RESUMING: [Self; 4] = [
        Self::SseRaw,
        Self::SseEnvelope,
        Self::Poll,
        Self::WsEnvelope,
    ];

    /// Whether it is a long poll.
    pub fn is_poll(self) -> bool {
        matches!(self, Self::Poll | Self::PollHttp2)
    }

    /// Whether it is an event stream.
    pub fn is_sse(self) -> bool {
        matches!(self, Self::SseRaw | Self::SseEnvelope | Self::SseHttp2)
    }

    fn is_http2(self) -> bool {
        matches!(self, Self::SseHttp2 | Self::PollHttp2 | Self::WsHttp2)
    }

    /// Whether messages come with ids.
    pub fn has_ids(self) -> bool {
        self != Self::WsRaw
    }

    /// The channels of `list` this transport can hear at once.
    pub fn channels<'a>(self, list: &[&'a str]) -> Vec<&'a str> {
        let count = if self == Self::WsRaw { 1 } else { list.len() };
        list[..count].to_vec()
    }
}

impl Listener {
    /// Listens to `list` with these query parameters (`""`: from now). When this
    /// returns, the server has answered: what is published next is heard.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn open(transport: Transport, to: SocketAddr, list: &str, query: &str) -> Self {
        match Self::try_open(transport, to, list, query, &[]).await {
            Ok(listener) => listener,
            Err(said) => panic!("{transport:?} {list} {query}: {said:?}"),
        }
    }

    /// A stream from now whose socket takes few bytes until it is read: it can
    /// be made to fall behind.
    ///
    /// # Panics
    /// On a poll, or where it is refused.
    pub async fn lazy(transport: Transport, to: SocketAddr, channel: &str) -> Self {
        let mut wire = if transport.is_http2() {
            http2::connect_lazy(to).await
        } else {
            Wire::connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST), to, 4096).await
        };
        let host = to.to_string();
        let target = format!("/c/{channel}");
        let asked = match transport {
            Transport::SseRaw | Transport::SseHttp2 => format!("{target}?format=sse"),
            Transport::SseEnvelope => format!("{target}?format=sse,envelope"),
            Transport::WsEnvelope | Transport::WsHttp2 => format!("{target}?format=envelope"),
            _ => target,
        };
        let bytes = match transport {
            Transport::SseRaw | Transport::SseEnvelope | Transport::SseHttp2 => {
                request("GET", &asked, &[("Host", host.as_bytes())], b"")
            }
            Transport::WsRaw | Transport::WsEnvelope | Transport::WsHttp2 => {
                upgrade(to, &asked, &[])
            }
            Transport::Poll | Transport::PollHttp2 => panic!("a poll does not fall behind"),
        };
        let _ = wire.send(&bytes).await;
        let head = match Head::read(&mut wire).await {
            Ok(head) => head,
            Err(ending) => panic!("{asked}: {ending:?}"),
        };
        match (transport, head.status) {
            (Transport::SseRaw | Transport::SseHttp2, 200) => Self::Sse(Sse::over(wire, head)),
            (Transport::SseEnvelope, 200) => Self::Sse(Sse::over(wire, head).enveloped(true)),
            (Transport::WsRaw, 101) => Self::Ws(Ws::over(wire, head)),
            (_, 101) => Self::Ws(Ws::over(wire, head).enveloped(true)),
            _ => panic!("{asked}: {head:?}"),
        }
    }

    /// Comes back with a cursor, in the transport's own way: an event stream
    /// with `Last-Event-ID`, the others with `after=`.
    pub async fn resume(transport: Transport, to: SocketAddr, list: &str, cursor: &str) -> Self {
        match Self::try_resume(transport, to, list, cursor).await {
            Ok(listener) => listener,
            Err(said) => panic!("{transport:?} {list} after {cursor}: {said:?}"),
        }
    }

    /// The same, where the connection may break.
    ///
    /// # Errors
    /// [`Said::Cut`] where it broke before the answer.
    pub async fn try_resume(
        transport: Transport,
        to: SocketAddr,
        list: &str,
        cursor: &str,
    ) -> Result<Self, Said> {
        match transport {
            transport if transport.is_sse() => {
                let headers: [(&str, &[u8]); 1] = [("Last-Event-ID", cursor.as_bytes())];
                Self::try_open(transport, to, list, "", &headers).await
            }
            _ => Self::try_open(transport, to, list, &format!("after={cursor}"), &[]).await,
        }
    }

    /// Listens, with more headers, where the connection may break.
    ///
    /// # Errors
    /// [`Said::Cut`] where it broke before the answer.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn try_open(
        transport: Transport,
        to: SocketAddr,
        list: &str,
        query: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Self, Said> {
        match Self::ask(transport, to, list, query, headers).await {
            Ok(Ok(listener)) => Ok(listener),
            Ok(Err(answer)) => panic!("{list} {query}: {} {}", answer.status, answer.text()),
            Err(_) => Err(Said::Cut),
        }
    }

    /// The same, where it may be refused (`Ok(Err)`). A poll shows who it is every
    /// time; its other headers go with the first request.
    ///
    /// # Errors
    /// How the connection ended before the answer was whole.
    pub async fn ask(
        transport: Transport,
        to: SocketAddr,
        list: &str,
        query: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Result<Self, Answer>, Ending> {
        let mark = if query.is_empty() { "" } else { "?" };
        let target = format!("/c/{list}{mark}{query}");
        match transport {
            Transport::SseRaw | Transport::SseEnvelope | Transport::SseHttp2 => {
                let enveloped = transport == Transport::SseEnvelope;
                let mark = if query.is_empty() { "?" } else { "&" };
                let form = if enveloped {
                    "format=sse,envelope"
                } else {
                    "format=sse"
                };
                let target = format!("{target}{mark}{form}");
                let http = if transport.is_http2() {
                    Http::connect2(to).await
                } else {
                    Http::connect(to).await
                };
                let opened = Sse::try_open_over(http, to, &target, headers).await?;
                Ok(opened.map(|sse| Self::Sse(sse.enveloped(enveloped || list.contains(',')))))
            }
            Transport::Poll | Transport::PollHttp2 => {
                let mut poller =
                    Poller::new(to, &format!("/c/{list}"), query).over_http2(transport.is_http2());
                for (name, value) in headers {
                    poller = match *name {
                        "Authorization" | "Cookie" => poller.header(name, value),
                        _ => poller.first_header(name, value),
                    };
                }
                Ok(poller.try_anchor().await?.map(|()| Self::Poll(poller)))
            }
            Transport::WsEnvelope | Transport::WsRaw | Transport::WsHttp2 => {
                let enveloped = transport != Transport::WsRaw;
                let mut all = headers.to_vec();
                if enveloped {
                    all.push(("Sec-WebSocket-Protocol", b"fanwire.envelope"));
                }
                let bytes = upgrade(to, &target, &all);
                let wire = if transport.is_http2() {
                    http2::connect(to).await
                } else {
                    Wire::connect(to).await
                };
                let opened = Ws::try_send_over(wire, &bytes).await?;
                Ok(opened.map(|ws| Self::Ws(ws.enveloped(enveloped || list.contains(',')))))
            }
        }
    }

    /// The next thing said.
    pub async fn next(&mut self) -> Said {
        match self {
            Self::Sse(sse) => sse.next().await,
            Self::Poll(poller) => poller.next().await,
            Self::Ws(ws) => ws.next().await,
        }
    }

    /// The cursor to come back with: what the transport's clients remember.
    pub fn last(&self) -> Option<String> {
        match self {
            Self::Sse(sse) => sse.last_id.clone(),
            Self::Poll(poller) => poller.last_id.clone(),
            Self::Ws(ws) => ws.last_id.clone(),
        }
    }

    /// The next message; `$ready` and `$cursor` are passed over.
    ///
    /// # Panics
    /// Where something else comes.
    pub async fn message(&mut self) -> Heard {
        loop {
            match self.next().await {
                Said::Heard(heard) => return heard,
                Said::Ready(_) | Said::Cursor(_) => {}
                other => panic!("a message was due: {other:?}"),
            }
        }
    }

    /// The texts of the next `count` messages.
    pub async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.message().await.plain());
        }
        texts
    }

    /// The texts of all messages up to and without the one that is `last`.
    pub async fn texts_until(&mut self, last: &str) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let text = self.message().await.plain();
            if text == last {
                return texts;
            }
            texts.push(text);
        }
    }

    /// What `$ready` says, which comes next.
    ///
    /// # Panics
    /// Where something else comes.
    pub async fn ready(&mut self) -> Ready {
        match self.next().await {
            Said::Ready(ready) => ready,
            other => panic!("$ready was due: {other:?}"),
        }
    }

    /// The gap that comes next. On a poll, which has no `$ready`, an answer's
    /// end is passed over.
    ///
    /// # Panics
    /// Where something else comes.
    pub async fn gap(&mut self) -> Gap {
        match self.next().await {
            Said::Gap(gap) => gap,
            other => panic!("$gap was due: {other:?}"),
        }
    }

    /// Everything up to the end, which comes last.
    pub async fn rest(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            let said = self.next().await;
            let ended = matches!(said, Said::Cut | Said::Ended | Said::Closed(..));
            all.push(said);
            if ended {
                return all;
            }
        }
    }
}
