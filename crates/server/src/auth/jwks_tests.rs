#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn jwks(kids: &[&str]) -> String {
    let key = |kid: &&str| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X});
    json!({"keys": kids.iter().map(key).collect::<Vec<Value>>()}).to_string()
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A server that gives what the watch holds, whatever it is asked, and counts.
/// An empty text is never answered.
struct Issuer {
    url: Uri,
    says: watch::Sender<String>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(first: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (says, heard) = watch::channel(first.to_owned());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (heard, count) = (heard.clone(), count.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let text = heard.borrow().clone();
                    if text.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self {
            url: url.parse().unwrap(),
            says,
            asked,
        }
    }

    fn says(&self, text: impl Into<String>) {
        self.says.send_replace(text.into());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A set that refreshes by itself never, and on request when `every` has passed.
    fn set(&self, every: Duration) -> Arc<KeySet> {
        let pace = Pace {
            refresh: Duration::from_secs(3600),
            at_most_every: every,
            timeout: Duration::from_secs(10),
        };
        let set = KeySet::new(self.url.clone(), pace, Arc::default());
        tokio::spawn(set.clone().run());
        set
    }
}

async fn fetched(set: &KeySet, times: u64) {
    let mut seen = set.known.subscribe();
    seen.wait_for(|known| known.fetches >= times).await.unwrap();
}

fn kids(set: &KeySet) -> Vec<String> {
    let keys = set.keys();
    keys.iter()
        .filter_map(|key| key.kid().map(str::to_owned))
        .collect()
}

const SOON: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a9_a_rotated_key_is_found_when_a_token_names_it() {
    let issuer = Issuer::start(&ok(&jwks(&["old"]))).await;
    let set = issuer.set(SOON);
    fetched(&set, 1).await;
    assert_eq!(kids(&set), ["old"]);
    issuer.says(ok(&jwks(&["old", "new"])));
    while set.newer().await != Asked::Fetched {
        tokio::task::yield_now().await;
    }
    assert_eq!(kids(&set), ["old", "new"]);
}

#[tokio::test]
async fn a6_a_thousand_unknown_key_names_are_one_fetch() {
    let issuer = Issuer::start(&ok(&jwks(&["k"]))).await;
    let set = issuer.set(Duration::from_secs(3600));
    fetched(&set, 1).await;
    for _ in 0..1000 {
        assert_eq!(set.newer().await, Asked::TooSoon);
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a6_those_who_ask_at_once_wait_for_one_fetch() {
    let issuer = Issuer::start("").await;
    let set = issuer.set(Duration::from_secs(3600));
    // The first fetch hangs; all of these come while it does.
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let set = set.clone();
            tokio::spawn(async move { set.newer().await })
        })
        .collect();
    while issuer.asked() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(asking.iter().all(|one| !one.is_finished()));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a8_known_keys_serve_on_whatever_the_issuer_answers() {
    let issuer = Issuer::start(&ok(&jwks(&["k"]))).await;
    let set = issuer.set(SOON);
    fetched(&set, 1).await;
    let large = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}",
        " ".repeat(300_000)
    );
    for bad in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        large,
        ok("not json"),
        ok("{}"),
        ok(&jwks(&[])),
        ok(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"},5,{"kty":"what"}]}"#),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        issuer.says(bad.clone());
        let before = set.known.borrow().fetches;
        while set.known.borrow().fetches == before {
            assert_ne!(set.newer().await, Asked::Fetched, "{}", &bad[..16]);
        }
        assert_eq!(kids(&set), ["k"]);
    }
    issuer.says(ok(&jwks(&["k2"])));
    while set.newer().await != Asked::Fetched {
        tokio::task::yield_now().await;
    }
    assert_eq!(kids(&set), ["k2"]);
}

#[tokio::test]
async fn a8_an_issuer_that_hangs_is_given_up_after_the_time_out() {
    let issuer = Issuer::start("").await;
    let why = fetch::get(&issuer.url, Duration::from_millis(20), &Trust::default())
        .await
        .unwrap_err();
    assert!(why.to_string().contains("no answer within"), "{why}");
}

/// A configuration whose issuers publish their keys there.
fn config(issuers: &[(&str, &Issuer)]) -> crate::config::Config {
    let mut config = crate::config::Config::default();
    for (name, issuer) in issuers {
        let entry = crate::config::TokenIssuer {
            issuer: Some((*name).to_owned()),
            jwks: Some(issuer.url.to_string()),
            ..Default::default()
        };
        config.issuers.by_name.insert((*name).to_owned(), entry);
    }
    config
}

#[tokio::test]
async fn a8_a_reload_forgets_no_keys_of_an_issuer_that_is_as_it_was() {
    use crate::auth::published::{Fetching, Published};
    let (one, other, third) = (
        Issuer::start(&ok(&jwks(&["a"]))).await,
        Issuer::start(&ok(&jwks(&["b"]))).await,
        Issuer::start(&ok(&jwks(&["c"]))).await,
    );
    let mut fetching = Fetching::default();
    let first = config(&[("one", &one), ("other", &other)]);
    let before = Published::after(&Published::default(), &first).unwrap();
    fetching.follow(&before);
    let (kept, gone) = (before.of("one").unwrap(), before.of("other").unwrap());
    fetched(&kept, 1).await;
    fetched(&gone, 1).await;

    // The one is down now; the other publishes elsewhere; something else changed.
    one.says("");
    let mut second = config(&[("one", &one), ("other", &third)]);
    let entry = second.issuers.by_name.get_mut("one").unwrap();
    entry.audience = vec!["fanwire".to_owned()];
    let after = Published::after(&before, &second).unwrap();
    fetching.follow(&after);
    assert!(Arc::ptr_eq(&kept, &after.of("one").unwrap()));
    assert_eq!(kids(&kept), ["a"]);
    let moved = after.of("other").unwrap();
    fetched(&moved, 1).await;
    assert_eq!(kids(&moved), ["c"]);
    // Nothing was asked twice, and whoever is gone is asked no more.
    assert_eq!((one.asked(), other.asked(), third.asked()), (1, 1, 1));
    let driven = Arc::strong_count(&gone);
    drop(before);
    assert_eq!((driven, Arc::strong_count(&gone)), (2, 1));

    // Another pace is another way of fetching.
    second.tokens.jwks_timeout = Duration::from_secs(1);
    let paced = Published::after(&after, &second).unwrap();
    assert!(!Arc::ptr_eq(&kept, &paced.of("one").unwrap()));
}

/// A key named `k` as it is published, and a token of `ada` that it signed for issuer `us`.
fn signed() -> (String, String) {
    use crate::tokens::{KeyPair, Kind, SigningKey, Token};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let pair = KeyPair::new(Kind::Ed25519).unwrap();
    let body: String = pair
        .public
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    // The point stands at the end (RFC 8410, section 4).
    let der = STANDARD.decode(body).unwrap();
    let x = URL_SAFE_NO_PAD.encode(&der[der.len() - 32..]);
    let published = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
    let claims = json!({"sub": "ada", "iss": "us", "exp": 4_102_444_800_u64});
    let token = Token {
        kid: Some("k".to_owned()),
        claims: claims.as_object().unwrap().clone(),
    };
    let key = SigningKey::pem(pair.private.as_bytes()).unwrap();
    let token = key.sign(key.usual(), &token).unwrap();
    (published.to_string(), token)
}

#[tokio::test]
async fn a_token_is_judged_by_keys_that_are_fetched_for_it() {
    use crate::tokens::{Verdict, judge};
    let (published, token) = signed();
    let issuer = Issuer::start(&ok(&published)).await;
    let mut config = config(&[("us", &issuer)]);
    let taken = judge(&config, &token, &[]).await.unwrap();
    assert!(matches!(taken, Verdict::Taken(_)), "{taken:?}");
    assert_eq!(issuer.asked(), 1);
    // Where they cannot be had, that is what is told.
    issuer.says("");
    config.tokens.jwks_timeout = Duration::from_millis(20);
    match judge(&config, &token, &[]).await.unwrap() {
        Verdict::Refused { code, .. } => assert_eq!(code, "unavailable"),
        taken => panic!("{taken:?}"),
    }
}

#[tokio::test]
async fn a_token_that_was_taken_is_refused_once_its_key_is_withdrawn() {
    use super::super::token::{Bad, Now, Tokens};
    let (published, token) = signed();
    let issuer = Issuer::start(&ok(&published)).await;
    let set = issuer.set(SOON);
    fetched(&set, 1).await;
    let tokens = Tokens::new(vec![super::super::token::Issuer {
        name: Some("us".to_owned()),
        audience: Vec::new(),
        require_exp: true,
        leeway: Duration::ZERO,
        keys: Vec::new(),
        published: Some(set.clone()),
    }]);
    let at = |wall_ms| Now {
        wall_ms,
        hub: fanwire_core::clock::Instant::ZERO,
    };
    for _ in 0..3 {
        assert!(tokens.verify(&token, at(1_000)).is_ok());
    }
    // What it says is looked at each time.
    let late = tokens.verify(&token, at(4_102_444_800_000));
    assert_eq!(late.unwrap_err(), Bad::Expired);
    issuer.says(ok(&jwks(&["k"])));
    while set.newer().await != Asked::Fetched {
        tokio::task::yield_now().await;
    }
    let withdrawn = tokens.verify(&token, at(1_000));
    assert_eq!(withdrawn.unwrap_err(), Bad::Signature);
}
