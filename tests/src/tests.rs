//! The clients against peers that say fixed bytes.
#![allow(clippy::unwrap_used)]

use crate::http;
use crate::poll;
use crate::proxy::Proxy;
use crate::said::{Kind, Said};
use crate::script::peer;
use crate::sse::Sse;
use crate::wire::Ending;
use crate::ws::{ACCEPT, Ws};

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunked(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[tokio::test]
async fn an_answer_is_read_by_length_by_chunks_and_to_the_end() {
    let forms = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
    ];
    for form in forms {
        // Byte by byte: no boundary matters.
        let addr = peer(form.bytes().map(|b| vec![b]).collect()).await;
        let answer = http::get(addr, "/", &[]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
}

#[tokio::test]
async fn an_answer_cut_short_is_not_an_answer() {
    let addr = peer(vec![
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel".to_vec(),
    ])
    .await;
    let answer = http::raw(addr, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer.unwrap_err(), Ending::Fin);
}

#[tokio::test]
async fn sse_events_are_read_whatever_ends_their_lines() {
    let body = [
        chunked(
            "\nretry: 2100\r\nid: e-1\r\nevent: $ready\r\ndata: {\"cursor\":\"e-1\",\"channels\":[\"a\"],\"conn\":\"c\"}\r\n\r\n",
        ),
        chunked(": hi\n\nid: e-2\rdata: one\rdata:two\rdata\r\r"),
        chunked("id: e-3\ndata: never whole\n"),
        b"0\r\n\r\n".to_vec(),
    ];
    let addr = peer(vec![[STREAM, &body.concat()].concat()]).await;
    let mut sse = Sse::open(addr, "/c/a", &[]).await;
    let Said::Ready(ready) = sse.next().await else {
        panic!("no $ready")
    };
    assert_eq!(
        (ready.id.as_deref(), ready.retry),
        (Some("e-1"), Some(2100))
    );
    let Said::Heard(heard) = sse.next().await else {
        panic!("no message")
    };
    assert_eq!(heard.data, b"one\ntwo\n");
    assert_eq!(sse.next().await, Said::Ended);
    assert_eq!((sse.last_id.as_deref(), sse.comments), (Some("e-2"), 1));
}

#[tokio::test]
async fn envelopes_keep_the_text_of_their_data() {
    let said = crate::said::envelope(
        br#"{"id":"e-7","channel":"n","event":"x","data":{"a":1e400,"b":"\ud83d"},"ts":5}"#,
    );
    let Said::Heard(heard) = said else {
        panic!("{said:?}")
    };
    assert_eq!(heard.text(), r#"{"a":1e400,"b":"\ud83d"}"#);
    assert_eq!(heard.kind, Kind::Json);
    assert_eq!(heard.members, ["id", "channel", "event", "data", "ts"]);
    assert_eq!(heard.seq(), 7);
}

#[tokio::test]
async fn poll_answers_hold_messages_gaps_and_a_cursor() {
    let body = r#"{"messages":[{"event":"$gap","channel":"n","data":{"channel":"n","reason":"empty","lost_through":null,"cursor":"e-1"}},{"id":"e-2","channel":"n","event":"message","data":"hi","ts":1,"kind":"text"}],"cursor":"e-2"}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let addr = peer(vec![head.into_bytes(), body.into()]).await;
    let (said, cursor) = poll::read(&http::get(addr, "/c/n", &[]).await);
    assert!(
        matches!(&said[0], Said::Gap(gap) if gap.reason == "empty" && gap.lost_through.is_none())
    );
    assert!(matches!(&said[1], Said::Heard(heard) if heard.plain() == "hi"));
    assert_eq!(cursor, "e-2");
}

#[tokio::test]
async fn frames_are_read_split_and_joined() {
    let mut bytes = format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(b"\x01\x02he\x89\x00\x80\x03llo\x82\x01\xff\x88\x06\x0b\xc2e-12");
    let addr = peer(bytes.into_iter().map(|b| vec![b]).collect()).await;
    let mut ws = Ws::open(addr, "/c/a", &[]).await;
    let Said::Heard(text) = ws.next().await else {
        panic!("no text")
    };
    assert_eq!((text.kind, text.data), (Kind::Raw, b"hello".to_vec()));
    let Said::Heard(binary) = ws.next().await else {
        panic!("no binary")
    };
    assert_eq!((binary.kind, binary.data), (Kind::Frame, vec![255]));
    assert_eq!(ws.closed().await, (3010, "e-12".into()));
    assert_eq!(ws.pings, 1);
}

#[tokio::test]
async fn the_proxy_cuts_with_a_reset_at_the_byte() {
    let addr = peer(vec![
        STREAM.to_vec(),
        chunked("data: a\n\n"),
        chunked("data: b\n\n"),
    ])
    .await;
    let proxy = Proxy::start(addr).await;
    let first = STREAM.len() + chunked("data: a\n\n").len();
    proxy.cut_at(Some(first as u64 + 3));
    let mut sse = Sse::open(proxy.addr, "/", &[]).await;
    assert!(matches!(sse.next().await, Said::Heard(_)));
    assert_eq!(sse.next().await, Said::Cut);
    assert_eq!(proxy.passed(), first as u64 + 3);
    assert_eq!(
        sse.wire.fill().await,
        Err(Ending::Fin),
        "a reset is told once"
    );
}

#[test]
fn base64_is_that_of_the_rfc() {
    let vectors = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
    ];
    for (plain, coded) in vectors {
        assert_eq!(crate::base64::encode(plain.as_bytes()), coded);
    }
}
