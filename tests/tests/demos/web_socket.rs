//! The plain WebSocket.

use fanwire_tests::http;
use fanwire_tests::said::{Kind, Said};
use fanwire_tests::wait::within;
use fanwire_tests::ws::Ws;

use crate::demos::{Demos, SOON};

const TARGET: &str = "/";

/// The next frame: its kind and its bytes.
async fn next(ws: &mut Ws) -> (Kind, Vec<u8>) {
    match within("a frame", ws.next()).await {
        Said::Heard(heard) => (heard.kind, heard.data),
        other => panic!("no frame: {other:?}"),
    }
}

/// Comes in, and hears so.
async fn come(demos: &Demos) -> Ws {
    let mut ws = Ws::open(demos.addr, TARGET, &[]).await;
    let greeting = (Kind::Raw, b"Connected to server!".to_vec());
    assert_eq!(next(&mut ws).await, greeting);
    ws
}

#[tokio::test]
async fn what_one_sends_all_receive_as_it_was_and_in_one_order() {
    let demos = Demos::start(|_| {}).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(come(&demos).await);
    }
    for n in 0..10 {
        all[0].text(&format!("{{\"n\": {n}}} ü")).await;
        all[1].binary(&[0, n, 0xff]).await;
    }
    let mut orders = Vec::new();
    for ws in &mut all {
        let mut order = Vec::new();
        for _ in 0..20 {
            order.push(next(ws).await);
        }
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    for n in 0..10 {
        let text = (Kind::Raw, format!("{{\"n\": {n}}} ü").into_bytes());
        assert!(orders[0].contains(&text));
        assert!(orders[0].contains(&(Kind::Frame, vec![0, n, 0xff])));
    }
    drop(all);
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn the_page_at_the_same_path_stays_and_the_channels_own_url_is_the_same() {
    let demos = Demos::start(|_| {}).await;
    let page = http::get(demos.addr, "/", &[]).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let mut one = come(&demos).await;
    let mut other = Ws::open(demos.addr, "/c/wall:all", &[]).await;
    assert_eq!(next(&mut other).await.1, b"Connected to server!");
    other.text("from there").await;
    assert_eq!(next(&mut one).await.1, b"from there");
    demos.stop().await;
}

#[tokio::test]
async fn files_of_eight_megabytes_reach_all_byte_for_byte() {
    let demos = Demos::start(|_| {}).await;
    let (mut one, mut two) = (come(&demos).await, come(&demos).await);
    let files = [1, 2].map(|seed| -> Vec<u8> {
        let bytes =
            (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761 + seed).to_le_bytes());
        bytes.collect()
    });
    // More than an outbox holds, and another one behind it.
    let sends = async {
        for file in &files {
            one.binary(file).await;
        }
        one
    };
    let reads = async {
        for file in &files {
            let (kind, bytes) = next(&mut two).await;
            assert!(
                kind == Kind::Frame && bytes == *file,
                "a file that is another"
            );
        }
    };
    let (mut one, ()) = tokio::join!(sends, reads);
    for file in &files {
        assert!(
            next(&mut one).await.1 == *file,
            "the sender's own is another"
        );
    }
    demos.stop().await;
}

#[tokio::test]
async fn w7_a_frame_that_is_too_large_ends_its_sender_alone() {
    let demos = Demos::start(|_| {}).await;
    let (mut one, mut two) = (come(&demos).await, come(&demos).await);
    // The head of a frame of 17 MB is enough to know.
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&17_000_000_u64.to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    one.send(&head).await;
    let (code, _) = within("the end", one.closed()).await;
    assert_eq!(code, 1009);
    two.text("still here").await;
    assert_eq!(next(&mut two).await.1, b"still here");
    demos.stop().await;
}

#[tokio::test]
async fn who_is_silent_is_pinged_and_cut_and_who_answers_stays() {
    let demos = Demos::start(|timings| timings.ping = SOON * 50).await;
    let mut silent = come(&demos).await;
    let mut answers = come(&demos).await;
    let cut = async {
        loop {
            match within("the end", silent.frame()).await {
                Ok(frame) if frame.opcode == 8 => return true,
                Ok(frame) => assert_eq!(frame.opcode, 9),
                Err(_) => return false,
            }
        }
    };
    // Answers pings while it waits.
    let stays = async {
        let said = next(&mut answers).await;
        assert!(answers.pings > 0);
        said
    };
    let after = async {
        cut.await;
        let mut other = come(&demos).await;
        other.text("after").await;
        other
    };
    let (said, _) = tokio::join!(stays, after);
    assert_eq!(said.1, b"after");
    demos.stop().await;
}
