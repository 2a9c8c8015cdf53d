//! HTTP/2 for the clients of HTTP/1.1: a bridge between a socket of this
//! process and one connection of HTTP/2 to the server. What the raw clients say
//! goes out as frames of the `h2` crate, what comes back as chunks.
//!
//! It holds back what its reader does not take: the windows stay shut. A stream
//! that is reset, or a connection that breaks, resets the reader's socket; only
//! the end of a stream ends the body.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::secure::{is_secured, shake};
use crate::wait::within;
use crate::wire::Wire;

/// Bytes of every buffer and window on the way to a lazy reader.
const LAZY: u32 = 8 * 1024;

/// What the raw client expects for the one key that it sends; HTTP/2 has neither.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A connection that speaks HTTP/1.1 here and HTTP/2 to the server, one request
/// after the other.
///
/// # Panics
/// Where the server cannot be reached.
pub async fn connect(to: SocketAddr) -> Wire {
    match within("a TCP connection", bridge(to, false)).await {
        Ok(wire) => wire,
        Err(error) => panic!("connect to {to}: {error}"),
    }
}

/// The same, where little is taken from the server until it is read here.
///
/// # Panics
/// Where the server cannot be reached.
pub async fn connect_lazy(to: SocketAddr) -> Wire {
    match within("a TCP connection", bridge(to, true)).await {
        Ok(wire) => wire,
        Err(error) => panic!("connect to {to}: {error}"),
    }
}

async fn bridge(to: SocketAddr, lazy: bool) -> io::Result<Wire> {
    let remote = TcpStream::connect(to).await?;
    remote.set_nodelay(true)?;
    let (near, far) = (TcpSocket::new_v4()?, TcpSocket::new_v4()?);
    if lazy {
        far.set_send_buffer_size(LAZY)?;
        near.set_recv_buffer_size(LAZY)?;
    }
    far.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = far.listen(1)?;
    let (near, far) = tokio::join!(near.connect(listener.local_addr()?), listener.accept());
    let (near, mut far) = (near?, far?.0);
    far.set_nodelay(true)?;
    tokio::spawn(async move {
        let passed = match is_secured(to) {
            false => pass(&mut far, remote, lazy).await,
            true => match shake(remote, &[b"h2"]).await {
                Ok(remote) => pass(&mut far, remote, lazy).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(Broken(why)) = passed {
            // Seen in the output of a test that fails.
            println!("bridge: {why}");
            let _ = far.set_zero_linger();
        }
    });
    Ok(Wire::over(near))
}

/// Why the bridge broke.
struct Broken(String);

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

async fn pass<T>(near: &mut TcpStream, remote: T, lazy: bool) -> Result<(), Broken>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    builder.enable_push(false);
    if lazy {
        builder.initial_window_size(LAZY);
    }
    let (mut client, connection) = builder.handshake::<_, Bytes>(remote).await?;
    // Lives as long as its requests do.
    let connection = tokio::spawn(connection);
    let mut read = Vec::new();
    let result = async {
        while let Some(request) = request(near, &mut read).await? {
            client = client.ready().await?;
            if request.headers().contains_key("upgrade") {
                return tunnel(near, std::mem::take(&mut read), client, request).await;
            }
            one(near, &mut read, &mut client, request).await?;
        }
        Ok(())
    }
    .await;
    connection.abort();
    result
}

/// One request, and its answer on `near`.
async fn one(
    near: &mut TcpStream,
    read: &mut Vec<u8>,
    client: &mut SendRequest<Bytes>,
    request: Request<Bytes>,
) -> Result<(), Broken> {
    let (head, body) = request.into_parts();
    let (response, mut sending) =
        client.send_request(Request::from_parts(head, ()), body.is_empty())?;
    if !body.is_empty() {
        sending.send_data(body, true)?;
    }
    let response = tokio::select! {
        response = response => response?,
        gone = gone(near, read) => return Err(gone),
    };
    let (head, mut body) = response.into_parts();
    near.write_all(&written(&Response::from_parts(head.clone(), ())))
        .await?;
    let chunked = is_chunked(&head);
    loop {
        let data = tokio::select! {
            data = body.data() => data,
            gone = gone(near, read) => return Err(gone),
        };
        let Some(data) = data else { break };
        let data = data?;
        if chunked && !data.is_empty() {
            near.write_all(format!("{:x}\r\n", data.len()).as_bytes())
                .await?;
        }
        near.write_all(&data).await?;
        if chunked && !data.is_empty() {
            near.write_all(b"\r\n").await?;
        }
        body.flow_control().release_capacity(data.len())?;
    }
    if chunked {
        near.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// A WebSocket (RFC 8441): its handshake as HTTP/2 has it, then bytes both ways.
async fn tunnel(
    near: &mut TcpStream,
    read: Vec<u8>,
    mut client: SendRequest<Bytes>,
    request: Request<Bytes>,
) -> Result<(), Broken> {
    while !client.is_extended_connect_protocol_enabled() {
        // The server's settings are on their way, or the connection has broken.
        client = client.ready().await?;
        tokio::task::yield_now().await;
    }
    let (mut head, _) = request.into_parts();
    head.method = http::Method::CONNECT;
    for name in ["upgrade", "connection", "sec-websocket-key"] {
        head.headers.remove(name);
    }
    head.extensions
        .insert(h2::ext::Protocol::from_static("websocket"));
    let (response, mut sending) = client.send_request(Request::from_parts(head, ()), false)?;
    let (mut head, mut body) = response.await?.into_parts();
    if head.status != 200 {
        near.write_all(&written(&Response::from_parts(head.clone(), ())))
            .await?;
        let chunked = is_chunked(&head);
        assert!(!chunked, "a refusal has a length: {head:?}");
        while let Some(data) = body.data().await {
            near.write_all(&data?).await?;
        }
        return Ok(());
    }
    assert!(
        !head.headers.contains_key("sec-websocket-accept"),
        "{head:?}"
    );
    head.status = http::StatusCode::SWITCHING_PROTOCOLS;
    // So that nothing is said of chunks.
    head.headers.insert("content-length", 0.into());
    let mut words = written(&Response::from_parts(head, ()));
    words.truncate(words.len() - 2);
    words.extend_from_slice(
        format!(
            "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n"
        )
        .as_bytes(),
    );
    near.write_all(&words).await?;
    let (mut reading, mut writing) = near.split();
    let down = async {
        while let Some(data) = body.data().await {
            let data = data?;
            writing.write_all(&data).await?;
            body.flow_control().release_capacity(data.len())?;
        }
        writing.shutdown().await?;
        Ok(())
    };
    let up = async {
        let mut buffer = read;
        loop {
            if !buffer.is_empty() {
                sending.send_data(std::mem::take(&mut buffer).into(), false)?;
            }
            match reading.read_buf(&mut buffer).await {
                Ok(0) => {
                    sending.send_data(Bytes::new(), true)?;
                    return std::future::pending().await;
                }
                Ok(_) => {}
                Err(error) => {
                    sending.send_reset(h2::Reason::CANCEL);
                    return Err(error.into());
                }
            }
        }
    };
    tokio::select! {
        result = down => result,
        result = up => result,
    }
}

/// Ready when the reader has hung up; what it sends meanwhile is kept.
async fn gone(near: &mut TcpStream, read: &mut Vec<u8>) -> Broken {
    loop {
        match near.read_buf(read).await {
            Ok(0) | Err(_) => return Broken("the reader has gone".into()),
            Ok(_) => {}
        }
    }
}

fn is_chunked(head: &http::response::Parts) -> bool {
    head.status != 204 && !head.headers.contains_key("content-length")
}

fn written(response: &Response<()>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} Bridged\r\n", response.status().as_u16()).into_bytes();
    for (name, value) in response.headers() {
        let of_connections = ["connection", "keep-alive", "transfer-encoding", "upgrade"];
        assert!(
            !of_connections.contains(&name.as_str()),
            "{name} in an answer of HTTP/2 (RFC 9113, 8.2.2)"
        );
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let (head, ()) = response.clone().into_parts();
    if is_chunked(&head) {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The next request; none where the reader has closed its side.
async fn request(
    near: &mut TcpStream,
    read: &mut Vec<u8>,
) -> Result<Option<Request<Bytes>>, Broken> {
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if near.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = read.drain(..end + 4).take(end).collect();
    let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next());
    let mut builder = Request::builder().method(method);
    let (mut host, mut length) = (String::new(), 0);
    for line in lines {
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"host") {
            host = String::from_utf8_lossy(value).into_owned();
        } else if name.eq_ignore_ascii_case(b"content-length") {
            length = String::from_utf8_lossy(value).parse().unwrap_or(0);
            builder = builder.header(name, value);
        } else {
            builder = builder.header(name, value);
        }
    }
    while read.len() < length {
        if near.read_buf(read).await? == 0 {
            return Err(Broken("the reader has gone in mid-request".into()));
        }
    }
    let body: Bytes = read.drain(..length).collect::<Vec<u8>>().into();
    let target = target.unwrap_or_default();
    match builder.uri(format!("http://{host}{target}")).body(body) {
        Ok(request) => Ok(Some(request)),
        Err(error) => Err(Broken(format!("{first}: {error}"))),
    }
}
