//! A [`Session`] on a socket.

use std::time::Duration;

use bytes::Bytes;
use fanwire_proto::native::poll;
use fanwire_proto::ws::handshake;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Response, header};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::Error;
use crate::net::http::{self, Connection};
use crate::net::sse::{self, EventStream};
use crate::net::ws::{self, Socket};
use crate::net::{jitter, random};
use crate::options::{SubscribeOptions, Transport};
use crate::session::target::{self, Base};
use crate::session::{End, Event, Request, Session};

/// A subscription that reconnects and resumes by itself.
#[derive(Debug)]
pub struct Subscriber {
    session: Session,
    base: Base,
    options: SubscribeOptions,
    link: Link,
    /// No attempt before this.
    not_before: Option<Instant>,
}

/// The connection, as far as there is one.
#[derive(Debug)]
enum Link {
    None,
    Ws(Socket),
    Sse(EventStream),
    /// Kept alive between two polls.
    Idle(Connection),
}

impl Subscriber {
    /// A subscription; the first [`next`](Self::next) connects.
    ///
    /// # Errors
    /// `Config` where the options cannot be used.
    pub fn connect(options: SubscribeOptions) -> Result<Self, Error> {
        target::check_api_key(options.api_key.as_deref())?;
        Ok(Self {
            session: Session::new(&options)?,
            base: Base::parse(&options.base_url)?,
            options,
            link: Link::None,
            not_before: None,
        })
    }

    /// Where to start again ([`Start::After`](crate::Start::After)) once every
    /// event that [`next`](Self::next) gave has been dealt with. None until the
    /// server has named a place.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.session.cursor()
    }

    /// The next event. Connects, waits and reconnects as needed; a lost
    /// connection is an event, not an error. May be dropped while it waits
    /// (`select!`): nothing is lost.
    ///
    /// # Errors
    /// Where coming back as it is would not help. The subscription is over.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.session.poll_event() {
                return Ok(event);
            }
            if let Some(at) = self.not_before {
                sleep_until(at).await;
                self.not_before = None;
            }
            if let Err(end) = self.step().await {
                self.link = Link::None;
                let wait = self.session.handle_end(end, jitter())?;
                self.not_before = Some(Instant::now() + wait);
            }
        }
    }

    /// Connects where there is no connection, else reads what comes next.
    async fn step(&mut self) -> Result<(), End> {
        let silence = self.options.read_timeout;
        match &mut self.link {
            Link::None | Link::Idle(_) => self.request().await,
            Link::Ws(socket) => {
                match timeout(silence, socket.next())
                    .await
                    .map_err(|_| silent(silence))??
                {
                    ws::Item::Object(object) => self.session.handle_incoming(object),
                    ws::Item::Alive => {}
                }
                Ok(())
            }
            Link::Sse(stream) => {
                match timeout(silence, stream.next())
                    .await
                    .map_err(|_| silent(silence))??
                {
                    sse::Item::Object(object) => self.session.handle_incoming(object),
                    sse::Item::Retry(ms) => self.session.handle_retry(ms),
                    sse::Item::Alive => {}
                }
                Ok(())
            }
        }
    }

    async fn request(&mut self) -> Result<(), End> {
        let request = self.session.request();
        let limit = self.options.connect_timeout;
        match self.session.transport() {
            Transport::Ws => {
                let open = timeout(limit, self.open_ws(&request)).await;
                self.link = Link::Ws(open.map_err(|_| silent(limit))??);
            }
            Transport::Sse => {
                let open = timeout(limit, self.open_sse(&request)).await;
                self.link = Link::Sse(open.map_err(|_| silent(limit))??);
            }
            Transport::Poll => {
                let limit = self.options.read_timeout.max(limit) + request.wait;
                timeout(limit, self.poll(&request))
                    .await
                    .map_err(|_| silent(limit))??;
            }
        }
        Ok(())
    }

    async fn open_ws(&self, request: &Request) -> Result<Socket, End> {
        let nonce: [u8; 16] = random();
        let head = self
            .head(request)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, handshake::client_key(nonce))
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        // Its driver is what hands the stream over: it lives until then.
        let (_connection, response) = self.exchange(None, head).await?;
        if response.status() != 101 {
            return Err(refused(response).await);
        }
        let headers = response
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()));
        let chosen = handshake::check_response(nonce, &[SUBPROTOCOL], 101, headers)
            .map_err(|e| End::Unusable(e.to_string()))?;
        if chosen.is_none() {
            return Err(End::Unusable(
                "the server does not speak the envelope form".to_owned(),
            ));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(lost)?;
        Socket::new(upgraded, self.options.max_message)
            .ok_or_else(|| End::Unusable("not a plain connection".to_owned()))
    }

    async fn open_sse(&self, request: &Request) -> Result<EventStream, End> {
        let (connection, response) = self.exchange(None, self.head(request)).await?;
        if response.status() != 200 {
            return Err(refused(response).await);
        }
        expect(&response, "text/event-stream")?;
        Ok(EventStream::new(
            connection,
            response.into_body(),
            self.options.max_message,
        ))
    }

    async fn poll(&mut self, request: &Request) -> Result<(), End> {
        let kept = match std::mem::replace(&mut self.link, Link::None) {
            Link::Idle(connection) => Some(connection),
            _ => None,
        };
        let (connection, response) = self.exchange(kept, self.head(request)).await?;
        if response.status() != 200 {
            return Err(refused(response).await);
        }
        expect(&response, "application/json")?;
        let body = http::body(response.into_body(), self.options.max_message)
            .await
            .map_err(ended)?;
        let answer = poll::read(&body).map_err(|e| End::Unusable(e.to_string()))?;
        self.session.handle_poll(answer);
        self.link = Link::Idle(connection);
        Ok(())
    }

    async fn exchange(
        &self,
        kept: Option<Connection>,
        head: hyper::http::request::Builder,
    ) -> Result<(Connection, Response<Incoming>), End> {
        let request = head
            .body(Full::new(Bytes::new()))
            .map_err(|e| End::Unusable(format!("a request that cannot be made: {e}")))?;
        http::exchange(&self.base, kept, request)
            .await
            .map_err(ended)
    }

    fn head(&self, request: &Request) -> hyper::http::request::Builder {
        let mut head = hyper::Request::builder()
            .method(Method::GET)
            .uri(format!("{}{}", self.base.prefix, request.target))
            .header(header::HOST, &self.base.authority);
        if let Some(key) = &self.options.api_key {
            head = head.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        for (name, value) in &request.headers {
            head = head.header(*name, value);
        }
        head
    }
}

/// The envelope form's name as a WebSocket subprotocol.
const SUBPROTOCOL: &str = "fanwire.envelope";

async fn refused(response: Response<Incoming>) -> End {
    let retry_after = http::retry_after(response.headers());
    End::Refused {
        refusal: http::refusal(response).await,
        retry_after,
    }
}

/// Refuses a 200 of another kind: a page of some other server, say.
fn expect(response: &Response<Incoming>, kind: &str) -> Result<(), End> {
    let found = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    if !found.is_some_and(|found| found.starts_with(kind)) {
        let found = found.unwrap_or("no type at all");
        return Err(End::Unusable(format!("expected {kind}, got {found}")));
    }
    Ok(())
}

fn lost(error: impl std::fmt::Display) -> End {
    End::Lost(error.to_string())
}

fn ended(error: Error) -> End {
    match error {
        Error::Protocol(why) => End::Unusable(why),
        Error::Connection(why) => End::Lost(why),
        other => lost(other),
    }
}

fn silent(after: Duration) -> End {
    End::Lost(format!("nothing came for {} s", after.as_secs()))
}
