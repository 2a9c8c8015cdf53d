//! Requests behind a request, read without hyper, are judged as under hyper.

use super::*;

/// A poll that is answered at once, of a channel that has a message.
const TOLD: &str = "/c/told?after=earliest&wait=9";

/// A whole answer, without its date; what was read before the end is said.
async fn answer(client: &mut DuplexStream) -> String {
    let head = until(client, "\r\n\r\n").await;
    let line = |name: &str| {
        let mut lines = head.lines().map(str::to_ascii_lowercase);
        lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    let length = line("content-length: ").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.unwrap();
    let date = line("date: ").unwrap();
    let head = head.to_ascii_lowercase().replace(&date, "");
    head + &String::from_utf8(body).unwrap()
}

/// A world with a message in `told`, and two connections: one that has asked for
/// nothing yet, and one whose poll was answered.
async fn two_ways() -> (World, DuplexStream, DuplexStream) {
    let world = World::new(|config| config.http.header_count = 20);
    let keys = Keys::from_iter([Key::channel("told").unwrap()]);
    let nobody = Subject::Anonymous([127, 0, 0, 1].into());
    let permit = world.app.door.admit(nobody, Verb::Publish, keys).unwrap();
    let draft = Draft::new(Body::Text("hi".into()));
    world.app.hub.publish(&permit, draft).await.unwrap();
    let fresh = world.connect(1 << 20, false);
    let mut polled = world.connect(1 << 20, false);
    polled.write_all(get(TOLD).as_bytes()).await.unwrap();
    assert!(answer(&mut polled).await.contains("\"data\":\"hi\""));
    (world, fresh, polled)
}

/// Requests in which a reading of our own could differ from hyper's.
fn requests() -> Vec<String> {
    let with = |headers: &str| get(TOLD).replacen("\r\n\r\n", &format!("\r\n{headers}\r\n\r\n"), 1);
    let long = "x".repeat(40_000);
    vec![
        get(TOLD),
        get("/c/told?after=nonsense&wait=1"),
        get("/c/told?after=%zz&wait"),
        get("/c/told,other?wait=3&after=earliest&limit=1"),
        get("/c/told?wait=x"),
        get("/c/told?wait=1&wait=1"),
        get("/c/@no?wait=1"),
        get("/c/told?wait=0&after=earliest"),
        get("/c/told?limit=1"),
        get("/healthz"),
        get("/no/wait"),
        get(&format!("/c/told?wait=1&{long}")),
        get(TOLD).replace("Host: localhost", "Host: evil.example"),
        get(TOLD).replace("Host: localhost\r\n", ""),
        get(TOLD).replace("HTTP/1.1", "HTTP/1.0"),
        get(TOLD).replacen("GET", "DELETE", 1),
        get(TOLD).replacen("GET", "\r\nGET", 1),
        get(TOLD).replacen("/c", "http://localhost/c", 1),
        get(TOLD).replacen(' ', "  ", 1),
        with("Origin: http://localhost:99"),
        with("Origin: https://evil.example"),
        with("Last-Event-ID: 1-1\r\nLast-Event-ID: 1-2"),
        with("Connection: close"),
        with("Connection: keep-alive"),
        with("Content-Length: 0"),
        with("Content-Length: 2") + "hi",
        with("Expect: 100-continue"),
        with("Host: localhost"),
        with("X-Broken : 1"),
        with("X-Folded: 1\r\n 2"),
        with("X-Control: \u{1}"),
        with(&format!("X-Long: {long}")),
        with(&["X-Many: 1"; 19].join("\r\n")),
        with(&["X-Many: 1"; 20].join("\r\n")),
    ]
}

#[tokio::test]
async fn a_poll_behind_a_poll_is_judged_as_under_hyper() {
    for request in requests() {
        let (_world, mut fresh, mut polled) = two_ways().await;
        let mut answers = Vec::new();
        for client in [&mut fresh, &mut polled] {
            client.write_all(request.as_bytes()).await.unwrap();
            answers.push(answer(client).await);
        }
        assert_eq!(answers[0], answers[1], "{request}");
    }
}

/// Messages, and what goes wrong with them.
fn messages() -> Vec<String> {
    let post = |target: &str, headers: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
    };
    let plain = post("/c/told", "", "hi");
    vec![
        plain.clone(),
        post("/c/told", "", ""),
        post("/c/told?volatile=1&event=x", "", "hi"),
        post("/c/told", "Content-Type: application/json\r\n", "{\"a\":1}"),
        post("/c/told", "Content-Type: application/json\r\n", "{"),
        post(
            "/c/told",
            "Content-Type: application/octet-stream\r\n",
            "\u{1}",
        ),
        post("/c/told?event=$x", "", "hi"),
        post("/c/told,n:other", "", "hi"),
        post("/c/@no", "", "hi"),
        post("/no/c", "", "hi"),
        post("/healthz", "", "hi"),
        post("/c/told", "", &"x".repeat(10_000)),
        post("/c/told", "", &"x".repeat(70_000)),
        post("/c/told", "Authorization: Bearer nobody\r\n", "hi"),
        post("/c/told", "Origin: https://evil.example\r\n", "hi"),
        post("/c/told", "Origin: http://localhost:99\r\n", "hi"),
        post("/c/told", "Idempotency-Key: \r\n", "hi"),
        post("/c/told", "Connection: close\r\n", "hi"),
        post("/c/told", "Connection: keep-alive\r\n", "hi"),
        post(
            "/c/told",
            "Upgrade: websocket\r\nConnection: Upgrade\r\n",
            "hi",
        ),
        plain
            .replace("Content-Length: 2", "Transfer-Encoding: chunked")
            .replace("hi", "2\r\nhi\r\n0\r\n\r\n"),
        plain.replace(
            "Content-Length: 2",
            "Content-Length: 2\r\nContent-Length: 2",
        ),
        plain.replace("Content-Length: 2", "Content-Length: +2"),
        plain
            .replace("Content-Length: 2", "X-A: 2")
            .replace("\r\n\r\nhi", "\r\n\r\n"),
        plain.replace("HTTP/1.1", "HTTP/1.0"),
        plain.replace("POST", "PUT"),
        plain.replace("Host: localhost", "Host: evil.example"),
    ]
}

/// The answer's lines in order of the alphabet, without the id of the message
/// and its length, which are others each time.
fn without_id(answer: &str) -> Vec<String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
    match body.strip_prefix("{\"id\":\"") {
        Some(rest) => {
            lines.retain(|line| !line.starts_with("content-length: "));
            lines.push(rest.trim_start_matches(|c| c != '}').to_owned());
        }
        None => lines.push(body.to_owned()),
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn a_message_behind_a_poll_or_a_message_is_judged_as_under_hyper() {
    for request in messages() {
        let (_world, mut fresh, mut polled) = two_ways().await;
        let (_second, mut published, _) = two_ways().await;
        let first = b"POST /c/first HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
        published.write_all(first).await.unwrap();
        answer(&mut published).await;
        let mut answers = Vec::new();
        for client in [&mut fresh, &mut polled, &mut published] {
            client.write_all(request.as_bytes()).await.unwrap();
            answers.push(without_id(&answer(client).await));
        }
        assert_eq!(answers[0], answers[1], "{request}");
        assert_eq!(answers[0], answers[2], "{request}");
    }
}

#[tokio::test]
async fn messages_in_rows_and_in_pieces_are_published_once_each_and_in_order() {
    let (_world, mut client, mut listener) = two_ways().await;
    let post = |n: usize| {
        let body = format!("m{n:02}");
        format!("POST /c/row HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n{body}")
    };
    // Whole ones in one write, then one cut at every place, then whole ones again.
    let row: String = (0..5).map(post).collect();
    client.write_all(row.as_bytes()).await.unwrap();
    for _ in 0..5 {
        assert!(answer(&mut client).await.contains("200 ok"));
    }
    let one = post(5);
    for byte in one.as_bytes() {
        client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(answer(&mut client).await.contains("200 ok"));
    client
        .write_all((post(6) + &post(7)).as_bytes())
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(answer(&mut client).await.contains("200 ok"));
    }
    let read = get("/c/row?after=earliest&limit=100");
    listener.write_all(read.as_bytes()).await.unwrap();
    let history = answer(&mut listener).await;
    let heard: Vec<&str> = history
        .match_indices("\"m")
        .map(|(at, _)| &history[at + 1..at + 4])
        .filter(|m| m[1..].parse::<u8>().is_ok())
        .collect();
    assert_eq!(
        heard,
        ["m00", "m01", "m02", "m03", "m04", "m05", "m06", "m07"]
    );
}

#[tokio::test]
async fn polls_in_pieces_and_in_rows_are_answered_alike_both_ways() {
    let one = get(TOLD);
    let (_world, mut fresh, mut polled) = two_ways().await;
    for client in [&mut fresh, &mut polled] {
        let row = one.repeat(3) + &get("/healthz") + &one + &one[..one.len() - 1];
        client.write_all(row.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(answer(client).await);
        }
        client.write_all(b"\n").await.unwrap();
        answers.push(answer(client).await);
        assert!(answers[3].ends_with("\r\n\r\nok"), "{}", answers[3]);
        answers.remove(3);
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
    for at in 1..one.len() {
        polled.write_all(&one.as_bytes()[..at]).await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        polled.write_all(&one.as_bytes()[at..]).await.unwrap();
        assert!(
            answer(&mut polled).await.contains("\"data\":\"hi\""),
            "{at}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_polled_may_be_idle_as_long_as_any() {
    let (world, _, mut polled) = two_ways().await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(74)).await;
        polled.write_all(get(TOLD).as_bytes()).await.unwrap();
        answer(&mut polled).await;
    }
    let begun = Instant::now();
    assert_eq!(rest(&mut polled).await, "");
    assert_eq!(begun.elapsed().as_secs(), 75);
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn x1_a_slow_head_behind_a_poll_is_408() {
    let (_world, _, mut polled) = two_ways().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    polled.write_all(b"GET /c/told?wait").await.unwrap();
    let begun = Instant::now();
    assert!(rest(&mut polled).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_connection_between_two_polls_ends_when_the_server_stops() {
    let (world, fresh, mut polled) = two_ways().await;
    drop(fresh);
    // So that it rests.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    world.stop.send(Stage::Closing).unwrap();
    assert_eq!(rest(&mut polled).await, "");
    assert!(begun.elapsed() <= world.app.config.listen.shutdown_grace);
    drop(polled);
    world.counts.none_left().await;
}

#[tokio::test]
async fn a_plain_poll_behind_a_poll_needs_no_hyper_and_no_other_request_is_taken() {
    let (world, ..) = two_ways().await;
    let slot = world.counts.take([127, 0, 0, 1].into()).0;
    let peer = Arc::new(Peer::new([127, 0, 0, 1].into(), true, false, slot));
    let taken: Vec<bool> = requests()
        .into_iter()
        .map(|request| {
            (super::super::next::BACK.next)(&world.app, &peer, &request.into()).is_some()
        })
        .collect();
    assert!(taken[..4].iter().all(|taken| *taken), "{taken:?}");
    assert!(!taken[4..19].contains(&true), "{taken:?}");
}
