//! One HTTP/1.1 connection.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use fanwire_proto::native::answer::Problem;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::io::Io;
use super::stream::Stream;
use super::tls::Tls;
use crate::error::{Error, Refusal};
use crate::session::target::Base;

/// Largest error document that is read.
const PROBLEM_BYTES: usize = 64 * 1024;
/// Longest head of an answer.
const HEAD_BYTES: usize = 64 * 1024;

/// A connection and the task that drives it; both end when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A failure of the network, in words.
pub(crate) fn lost(error: impl Display) -> Error {
    Error::Connection(error.to_string())
}

impl Connection {
    async fn open(base: &Base, tls: Option<&Tls>) -> Result<Self, Error> {
        let stream = TcpStream::connect((base.host.as_str(), base.port))
            .await
            .map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let stream = match tls {
            Some(tls) => Stream::Tls(Box::new(tls.shake(stream).await?)),
            None => Stream::Plain(stream),
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .handshake(Io(stream))
            .await
            .map_err(lost)?;
        let driver = tokio::spawn(async move {
            // Its error reaches whoever waits for the answer, too.
            let _ = driver.with_upgrades().await;
        });
        Ok(Self { sender, driver })
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        self.sender.ready().await.map_err(|e| Failed {
            unsent: true,
            error: lost(e),
        })?;
        let answer = self.sender.send_request(request).await;
        answer.map_err(|e| Failed {
            unsent: e.is_canceled(),
            error: lost(e),
        })
    }
}

struct Failed {
    /// No byte of the request was written: it may be sent again, whatever it does.
    unsent: bool,
    error: Error,
}

/// Sends a request over the connection kept from before, or over a new one
/// where there is none or the server has closed it meanwhile, and waits for the
/// head of the answer. The caller bounds the time.
///
/// # Errors
/// `Connection` where none can be made, or it ended before the answer.
pub(crate) async fn exchange(
    base: &Base,
    tls: Option<&Tls>,
    kept: Option<Connection>,
    request: Request<Full<Bytes>>,
) -> Result<(Connection, Response<Incoming>), Error> {
    if let Some(mut connection) = kept.filter(|kept| !kept.sender.is_closed()) {
        match connection.send(request.clone()).await {
            Ok(response) => return Ok((connection, response)),
            Err(failed) if failed.unsent => {}
            Err(failed) => return Err(failed.error),
        }
    }
    let mut connection = Connection::open(base, tls).await?;
    match connection.send(request).await {
        Ok(response) => Ok((connection, response)),
        Err(failed) => Err(failed.error),
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// `Protocol` for a longer one, `Connection` where it breaks off.
pub(crate) async fn body(body: Incoming, limit: usize) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(Error::Protocol(format!(
            "an answer of more than {limit} bytes"
        ))),
        Err(e) => Err(lost(e)),
    }
}

/// Reads an answer that is not the one asked for.
pub(crate) async fn refusal(response: Response<Incoming>) -> Refusal {
    let status = response.status().as_u16();
    let text = body(response.into_body(), PROBLEM_BYTES)
        .await
        .unwrap_or_default();
    match serde_json::from_slice::<Problem>(&text) {
        Ok(Problem {
            code,
            detail,
            channel,
            ..
        }) => Refusal {
            status,
            code,
            detail,
            channel,
        },
        Err(_) => Refusal {
            status,
            code: String::new(),
            detail: String::new(),
            channel: None,
        },
    }
}

/// `Retry-After` in seconds; its date form is not used by the server.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(hyper::header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(value.trim().parse().ok()?))
}
