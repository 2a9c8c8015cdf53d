//! A token on the WebSocket itself: in the first frame, and in a later one.

use std::time::Duration;

use fanwire_tests::said::Said;
use fanwire_tests::server::{TestServer, Variant};
use fanwire_tests::token::{self, bearer};
use fanwire_tests::wait::until;
use fanwire_tests::ws::{Ws, deflate, frame, upgrade};
use serde_json::{Value, json};

use crate::table::modes;

modes!(
    a_first_frame_shows_who_it_is_and_the_stream_opens_as_usual,
    what_comes_in_the_packet_of_the_first_frame_is_not_lost,
    a19_a_wrong_first_frame_opens_nothing_and_closes_with_3500,
    h14_without_a_token_in_time_it_is_closed_with_3502,
    h14_what_comes_before_the_token_is_bounded_and_not_inflated,
    a_server_that_stops_does_not_wait_for_a_token,
    a13_a_later_token_of_the_same_user_prolongs_the_connection,
    a13_a_token_of_another_user_ends_the_connection,
    a13_a_later_token_grants_no_less_than_the_stream_needs,
);

async fn server(variant: Variant, auth_timeout: Duration) -> TestServer {
    TestServer::with(variant, |config| {
        token::configure(config);
        config.ws.auth_timeout = auth_timeout;
        config.ws.deflate = true;
    })
    .await
}

const LONG: Duration = Duration::from_secs(60);

fn granted() -> Value {
    json!({"subscribe": ["news"], "publish": ["news"]})
}

fn auth(token: &str) -> String {
    json!({ "auth": token }).to_string()
}

async fn open(server: &TestServer) -> Ws {
    Ws::envelope(server.addr, "/c/news").await
}

async fn open_by(server: &TestServer, token: &str) -> Ws {
    let shown = bearer(token);
    let headers = [
        ("Sec-WebSocket-Protocol", &b"fanwire.envelope"[..]),
        ("Authorization", shown.as_bytes()),
    ];
    let mut ws = Ws::open(server.addr, "/c/news", &headers)
        .await
        .enveloped(true);
    assert!(matches!(ws.next().await, Said::Ready(_)));
    ws
}

async fn a_first_frame_shows_who_it_is_and_the_stream_opens_as_usual(variant: Variant) {
    let server = server(variant, LONG).await;
    let mut ws = open(&server).await;
    // Nothing is opened yet.
    ws.send(&frame(0x89, b"there?")).await;
    while ws.pongs.is_empty() {
        let pong = ws.frame().await.unwrap();
        assert_eq!((pong.opcode, &pong.payload[..]), (10, &b"there?"[..]));
        ws.pongs.push(pong.payload);
    }
    assert_eq!((server.keys(), server.stats().subscribers), (0, 0));
    ws.text(&auth(&token::of("ada", 600, granted()))).await;
    let Said::Ready(ready) = ws.next().await else {
        panic!("no $ready")
    };
    assert_eq!(ready.channels, ["news"]);
    ws.text(r#"{"data":"hi","ref":1}"#).await;
    let (mut heard, mut acked) = (false, false);
    while !(heard && acked) {
        match ws.next().await {
            Said::Heard(message) => {
                assert_eq!(message.from.as_deref(), Some("ada"));
                heard = true;
            }
            Said::Reply(reply) => acked = reply["event"] == "$ack",
            other => panic!("{other:?}"),
        }
    }
}

async fn what_comes_in_the_packet_of_the_first_frame_is_not_lost(variant: Variant) {
    let server = server(variant, LONG).await;
    let protocol = [("Sec-WebSocket-Protocol", &b"fanwire.envelope"[..])];
    let token = auth(&token::of("ada", 600, granted()));
    let bytes = [
        upgrade(server.addr, "/c/news", &protocol),
        frame(0x81, token.as_bytes()),
        frame(0x81, br#"{"data":1}"#),
        frame(0x81, br#"{"data":2}"#),
    ];
    let mut ws = Ws::try_send(server.addr, &bytes.concat())
        .await
        .unwrap()
        .unwrap()
        .enveloped(true);
    let mut texts = Vec::new();
    while texts.len() < 2 {
        match ws.next().await {
            Said::Heard(heard) => texts.push(heard.text()),
            Said::Ready(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(texts, ["1", "2"]);
}

async fn a19_a_wrong_first_frame_opens_nothing_and_closes_with_3500(variant: Variant) {
    let server = server(variant, LONG).await;
    let claims = json!({"sub": "ada", "exp": token::now() + 60, "fanwire": granted()});
    let late = json!({"sub": "ada", "exp": token::now(), "fanwire": granted()});
    for (first, code) in [
        (auth(&token::signed(&[b'x'; 32], &claims)), 3500),
        (auth(&token::signed(token::SECRET.as_bytes(), &late)), 3005),
        (
            auth(&token::of("ada", 600, json!({"subscribe": ["x"]}))),
            3507,
        ),
        (auth(""), 3500),
        (r#"{"auth":null}"#.into(), 3500),
        (r#"{"data":"hi"}"#.into(), 3500),
        ("not JSON".into(), 3500),
        (
            format!(
                r#"{{"auth":"{}","data":1}}"#,
                token::of("ada", 600, granted())
            ),
            3500,
        ),
    ] {
        let mut ws = open(&server).await;
        ws.text(&first).await;
        let (told, reason) = ws.closed().await;
        assert_eq!(told, code, "{first}: {reason}");
        assert!(!reason.contains("eyJ"), "{reason}");
    }
    let mut ws = open(&server).await;
    ws.binary(b"x").await;
    assert_eq!(ws.closed().await.0, 1003);
    assert_eq!((server.keys(), server.stats().subscribers), (0, 0));
}

async fn h14_without_a_token_in_time_it_is_closed_with_3502(variant: Variant) {
    let server = server(variant, Duration::from_millis(50)).await;
    let mut ws = open(&server).await;
    assert_eq!(ws.closed().await.0, 3502);
    // Nor does half of one, or anything but one, hold it open.
    let mut ws = open(&server).await;
    ws.send(&frame(0x81, auth("eyJ").as_bytes())[..4]).await;
    assert_eq!(ws.closed().await.0, 3502);
    until("the connections to be let go", || {
        (server.connections() == 0).then_some(())
    })
    .await;
}

async fn h14_what_comes_before_the_token_is_bounded_and_not_inflated(variant: Variant) {
    let server = server(variant, LONG).await;
    let long = auth(&"x".repeat(64 * 1024));
    let mut ws = open(&server).await;
    ws.text(&long).await;
    assert_eq!(ws.closed().await.0, 1009);
    let mut ws = open(&server).await;
    for _ in 0..1000 {
        ws.send(&frame(0x8a, &[0; 100])).await;
    }
    assert_eq!(ws.closed().await.0, 1008);
    // Compression is not agreed on before it is known with whom.
    let offer = [
        ("Sec-WebSocket-Protocol", &b"fanwire.envelope"[..]),
        ("Sec-WebSocket-Extensions", b"permessage-deflate"),
    ];
    let mut ws = Ws::open(server.addr, "/c/news", &offer).await;
    assert_eq!(ws.head.header("sec-websocket-extensions"), None);
    let small = deflate(auth(&token::of("ada", 600, granted())).as_bytes());
    ws.send(&frame(0xc1, &small)).await;
    assert_eq!(ws.closed().await.0, 1002);
}

async fn a_server_that_stops_does_not_wait_for_a_token(variant: Variant) {
    let server = server(variant, LONG).await;
    let mut ws = open(&server).await;
    let (stopped, told) = tokio::join!(server.stop(), ws.closed());
    assert_eq!((stopped.cut, told.0), (0, 1012));
}

async fn a13_a_later_token_of_the_same_user_prolongs_the_connection(variant: Variant) {
    let server = server(variant, LONG).await;
    let mut short = open_by(&server, &token::of("ada", 3, granted())).await;
    let mut prolonged = open_by(&server, &token::of("ada", 3, granted())).await;
    let more = token::of("ada", 600, granted());
    prolonged
        .text(&json!({"auth": more, "ref": "again"}).to_string())
        .await;
    let Said::Reply(reply) = prolonged.next().await else {
        panic!("no $ack")
    };
    assert_eq!(
        (reply["event"].as_str(), reply["ref"].as_str()),
        (Some("$ack"), Some("again"))
    );
    // When the first one's time is up, the other one's was, too.
    assert_eq!(short.closed().await.0, 3005);
    prolonged.text(r#"{"data":"still here"}"#).await;
    let Said::Heard(heard) = prolonged.next().await else {
        panic!("it ended")
    };
    assert_eq!(heard.text(), r#""still here""#);
}

async fn a13_a_token_of_another_user_ends_the_connection(variant: Variant) {
    let server = server(variant, LONG).await;
    for other in [
        token::of("bob", 600, granted()),
        token::of("Ada", 600, granted()),
        token::signed(
            token::SECRET.as_bytes(),
            &json!({"sub": "ada", "iss": "https://other", "exp": token::now() + 60, "fanwire": granted()}),
        ),
        "no token".to_owned(),
    ] {
        let mut ws = open_by(&server, &token::of("ada", 600, granted())).await;
        ws.text(&auth(&other)).await;
        assert_eq!(ws.closed().await.0, 3500, "{other}");
    }
}

async fn a13_a_later_token_grants_no_less_than_the_stream_needs(variant: Variant) {
    let server = server(variant, LONG).await;
    let mut ws = open_by(&server, &token::of("ada", 600, granted())).await;
    let less = token::of("ada", 600, json!({"subscribe": ["other"]}));
    ws.text(&auth(&less)).await;
    assert_eq!(ws.closed().await.0, 3507);
}
