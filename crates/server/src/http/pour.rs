//! What a route answers over HTTP/1.1: whole, or poured out by a task of its own,
//! which sees at once when its reader goes. hyper would see that with the next bytes
//! that it writes, and a quiet stream would be kept for nobody.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanwire_core::error::{Code, Refusal};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, Version, response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;

use super::routes::{Own, bare};
use crate::answer::{Answer, head_alone, problem};
use crate::app::{App, Peer};
use crate::shutdown::Stage;
use crate::transport::{Stream, linger, with_scratch};

/// An answer of a known length up to this goes out by hyper, and its connection
/// goes on.
const WHOLE: u64 = 1024 * 1024;

/// Bytes written at once; each such piece is taken within `limits.write_progress`.
const PIECE: usize = 16 * 1024;

/// Bytes that a reader may send meanwhile; they are dropped.
const JUNK: usize = 64 * 1024;

/// What is sent how.
pub(super) enum Sends {
    /// By hyper.
    Whole(Answer),
    /// By a task.
    Pours(Box<Pouring>),
}

/// An answer that is poured out.
pub(super) struct Pouring {
    head: response::Parts,
    body: Own,
    chunked: bool,
}

/// How `answer` is sent to a request of this method and version.
pub(super) async fn sends(answer: Response<Own>, method: &Method, version: Version) -> Sends {
    if method == Method::HEAD {
        return Sends::Whole(Response::from_parts(bare(answer), Full::default()));
    }
    let (mut head, body) = answer.into_parts();
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length <= WHOLE) {
        let whole = match body.collect().await {
            Ok(body) => Response::from_parts(head, Full::new(body.to_bytes())),
            Err(_) => problem(&Refusal::new(Code::Internal, "a fault of the server")),
        };
        return Sends::Whole(whole);
    }
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    let chunked = version == Version::HTTP_11 && !headers.contains_key(CONTENT_LENGTH);
    if chunked {
        let chunked = HeaderValue::from_static("chunked");
        headers.insert(TRANSFER_ENCODING, chunked);
    }
    Sends::Pours(Box::new(Pouring {
        head,
        body,
        chunked,
    }))
}

/// Pours it out in a task of its own, then closes.
pub(super) fn pour(app: Arc<App>, peer: Arc<Peer>, mut stream: Stream, pouring: Pouring) {
    tokio::spawn(async move {
        if poured(&app, &mut stream, pouring).await.is_ok() {
            linger(stream, app.config.ws.close_wait).await;
        }
        drop(peer);
    });
}

async fn poured(app: &Arc<App>, stream: &mut Stream, pouring: Pouring) -> io::Result<()> {
    let Pouring {
        head,
        mut body,
        chunked,
    } = pouring;
    write(app, stream, &head_alone(&head)).await?;
    let mut over = pin!(app.reached(Stage::Over));
    let mut junk = 0;
    loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(gone) = poll_gone(cx, stream, &mut junk) {
                return Poll::Ready(Err(gone));
            }
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Pin::new(&mut body).poll_frame(cx).map(Ok)
        });
        let data = match next.await? {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            // Its reader sees that it is not whole.
            Some(Err(error)) => return Err(io::Error::other(error)),
        };
        if !data.is_empty() {
            write(app, stream, &framed(data, chunked)).await?;
        }
    }
    match chunked {
        true => write(app, stream, b"0\r\n\r\n").await,
        false => Ok(()),
    }
}

fn framed(data: Bytes, chunked: bool) -> Bytes {
    if !chunked {
        return data;
    }
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(&data);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

async fn write(app: &App, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    let time = app.config.limits.write_progress;
    for piece in bytes.chunks(PIECE) {
        tokio::time::timeout(time, stream.write_all(piece)).await??;
    }
    Ok(())
}

/// Ready once the reader is gone, or talks too much.
fn poll_gone(cx: &mut Context<'_>, stream: &mut Stream, junk: &mut usize) -> Poll<io::Error> {
    loop {
        let read = with_scratch(|buffer| stream.poll_read(cx, buffer));
        match std::task::ready!(read) {
            Ok(count) if count > 0 && *junk < JUNK => *junk += count,
            Ok(_) => return Poll::Ready(io::ErrorKind::ConnectionReset.into()),
            Err(error) => return Poll::Ready(error),
        }
    }
}
