//! Making a session's request: a connection, the head of the answer, and what
//! the answer turns into.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanwire_proto::native::poll;
use fanwire_proto::ws::handshake;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Response, header};
use tokio::time::timeout;

use super::http::{self, Connection};
use super::random;
use super::sse::EventStream;
use super::tls::Tls;
use super::ws::Socket;
use crate::error::Error;
use crate::options::{SubscribeOptions, Transport};
use crate::proof::Proof;
use crate::session::target::Base;
use crate::session::{End, Request};

/// The envelope form's name as a WebSocket subprotocol.
const SUBPROTOCOL: &str = "fanwire.envelope";

/// What a request led to.
#[derive(Debug)]
pub(crate) enum Opened {
    Ws(Socket),
    Sse(EventStream),
    /// A whole answer, and the connection for the next one.
    Poll(Connection, poll::Poll),
}

/// All that requests of one subscription have in common.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) base: Base,
    pub(crate) proof: Proof,
    pub(crate) tls: Option<Tls>,
    pub(crate) options: SubscribeOptions,
}

impl Dialer {
    /// Makes a request, over `kept` where that still stands. It owns what it
    /// needs, so that a caller can keep it and look at it again and again.
    pub(crate) async fn open(
        self: Arc<Self>,
        transport: Transport,
        request: Request,
        kept: Option<Connection>,
    ) -> Result<Opened, End> {
        let Self { options, .. } = &*self;
        let limit = match transport {
            Transport::Ws | Transport::Sse => options.connect_timeout,
            Transport::Poll => options.read_timeout.max(options.connect_timeout) + request.wait,
        };
        let open = async {
            match transport {
                Transport::Ws => self.ws(&request).await.map(Opened::Ws),
                Transport::Sse => self.sse(&request).await.map(Opened::Sse),
                Transport::Poll => self.poll(&request, kept).await,
            }
        };
        timeout(limit, open).await.map_err(|_| silent(limit))?
    }

    async fn ws(&self, request: &Request) -> Result<Socket, End> {
        let nonce: [u8; 16] = random();
        let head = self
            .head(request)
            .await?
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, handshake::client_key(nonce))
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        // The connection's driver is what hands the stream over: it lives
        // until then.
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
        let upgraded = hyper::upgrade::on(response)
            .await
            .map_err(|e| End::Lost(e.to_string()))?;
        Socket::new(upgraded, self.options.max_message)
            .ok_or_else(|| End::Unusable("not a plain connection".to_owned()))
    }

    async fn sse(&self, request: &Request) -> Result<EventStream, End> {
        let (connection, response) = self.exchange(None, self.head(request).await?).await?;
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

    async fn poll(&self, request: &Request, kept: Option<Connection>) -> Result<Opened, End> {
        let (connection, response) = self.exchange(kept, self.head(request).await?).await?;
        if response.status() != 200 {
            return Err(refused(response).await);
        }
        expect(&response, "application/json")?;
        let body = http::body(response.into_body(), self.options.max_message)
            .await
            .map_err(ended)?;
        let answer = poll::read(&body).map_err(|e| End::Unusable(e.to_string()))?;
        Ok(Opened::Poll(connection, answer))
    }

    async fn exchange(
        &self,
        kept: Option<Connection>,
        head: hyper::http::request::Builder,
    ) -> Result<(Connection, Response<Incoming>), End> {
        let request = head
            .body(Full::new(Bytes::new()))
            .map_err(|e| End::Unusable(format!("a request that cannot be made: {e}")))?;
        http::exchange(&self.base, self.tls.as_ref(), kept, request)
            .await
            .map_err(ended)
    }

    async fn head(&self, request: &Request) -> Result<hyper::http::request::Builder, End> {
        let mut head = hyper::Request::builder()
            .method(Method::GET)
            .uri(format!("{}{}", self.base.prefix, request.target))
            .header(header::HOST, &self.base.authority);
        if let Some(proof) = self.proof.header().await.map_err(ended)? {
            head = head.header(header::AUTHORIZATION, proof);
        }
        for (name, value) in &request.headers {
            head = head.header(*name, value);
        }
        Ok(head)
    }
}

/// The end of a connection on which nothing came for this long.
pub(crate) fn silent(after: Duration) -> End {
    End::Lost(format!("nothing came for {after:?}"))
}

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

fn ended(error: Error) -> End {
    match error {
        Error::Protocol(why) => End::Unusable(why),
        Error::Untrusted(why) => End::Untrusted(why),
        Error::Connection(why) => End::Lost(why),
        other => End::Lost(other.to_string()),
    }
}
