#![allow(clippy::unwrap_used)]
use serde_json::{Map, Value, json};

use super::*;
use crate::config::{Config, Secret, TokenIssuer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn config() -> Config {
    let mut config = Config::default();
    let issuer = TokenIssuer {
        issuer: Some("us".into()),
        audience: vec!["fanwire".into()],
        secret: Some(Secret::new(SECRET)),
        ..TokenIssuer::default()
    };
    config.issuers.by_name.insert("us".into(), issuer);
    config
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn good() -> Map<String, Value> {
    claims(json!({
        "sub": "ada", "iss": "us", "aud": "fanwire", "iat": now(), "exp": now() + 600,
        "fanwire": {"subscribe": ["news-*", "box"], "publish": ["box"]},
    }))
}

fn by_secret(claims: Map<String, Value>) -> String {
    let key = SigningKey::secret(SECRET.as_bytes()).unwrap();
    let token = Token { kid: None, claims };
    key.sign(key.usual(), &token).unwrap()
}

async fn verdict(config: &Config, token: &str) -> Verdict {
    judge(config, token, &[]).await.unwrap()
}

fn note<'a>(all: &'a [Said], name: &str) -> &'a Said {
    all.iter().find(|said| said.name == name).unwrap()
}

#[tokio::test]
async fn what_is_made_is_taken_and_its_rights_are_told() {
    let channels = ["box", "news-a", "other"].map(str::to_owned);
    let token = by_secret(good());
    let Verdict::Taken(taken) = judge(&config(), &token, &channels).await.unwrap() else {
        panic!("refused");
    };
    assert_eq!(
        (taken.sub.as_str(), taken.iss.as_deref()),
        ("ada", Some("us"))
    );
    let may: Vec<_> = taken
        .asked
        .iter()
        .map(|asked| {
            (
                asked.subscribe.is_ok(),
                asked.history.is_ok(),
                asked.publish.is_ok(),
            )
        })
        .collect();
    assert_eq!(
        may,
        [
            (true, true, true),
            (true, true, false),
            (false, false, false)
        ]
    );
}

#[tokio::test]
async fn a_refusal_is_the_doors_own() {
    let mut other = config();
    other.issuers.by_name.get_mut("us").unwrap().secret = Some(Secret::new(SECRET.to_uppercase()));
    let mut expired = good();
    expired.insert("exp".into(), (now() - 600).into());
    let mut audience = good();
    audience.insert("aud".into(), "else".into());
    for (config, claims, code, part) in [
        (&other, good(), "unauthorized", "signature"),
        (&config(), expired, "token_expired", "expired"),
        (&config(), audience, "unauthorized", "audience"),
        (&Config::default(), good(), "unauthorized", "not known"),
    ] {
        match verdict(config, &by_secret(claims)).await {
            Verdict::Refused { code: told, why } => {
                assert_eq!(told, code);
                assert!(why.contains(part), "{why}");
            }
            taken => panic!("{taken:?}"),
        }
    }
}

#[tokio::test]
async fn a_generated_pair_signs_what_its_public_half_verifies_and_no_other_does() {
    let kinds = [
        (Kind::Ed25519, &["EdDSA"][..]),
        (Kind::P256, &["ES256"]),
        (Kind::P384, &["ES384"]),
        (Kind::Rsa, &["RS256", "RS512", "PS256", "PS384"]),
    ];
    let folder = std::env::temp_dir().join(format!("fanwire-pairs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (kind, algs) in kinds {
        let (pair, stranger) = (KeyPair::new(kind).unwrap(), KeyPair::new(kind).unwrap());
        let file = folder.join("public.pem");
        std::fs::write(&file, &pair.public).unwrap();
        let mut config = config();
        let issuer = config.issuers.by_name.get_mut("us").unwrap();
        issuer.public_keys = vec![format!("main={}", file.display())];
        let token = Token {
            kid: Some("main".into()),
            claims: good(),
        };
        for alg in algs {
            let alg: Alg = alg.parse().unwrap();
            let sign = |pair: &KeyPair| {
                let key = SigningKey::pem(pair.private.as_bytes()).unwrap();
                key.sign(alg, &token).unwrap()
            };
            let taken = verdict(&config, &sign(&pair)).await;
            assert!(matches!(taken, Verdict::Taken(_)), "{alg} {taken:?}");
            let refused = verdict(&config, &sign(&stranger)).await;
            assert!(matches!(refused, Verdict::Refused { .. }), "{alg}");
        }
        let key = SigningKey::pem(pair.private.as_bytes()).unwrap();
        assert_eq!(key.usual().to_string(), algs[0]);
        assert!(key.sign("HS256".parse().unwrap(), &token).is_err());
        // The public half signs nothing, the private one is no server's.
        assert!(SigningKey::pem(pair.public.as_bytes()).is_err());
        std::fs::write(&file, &pair.private).unwrap();
        let wrong = judge(&config, &by_secret(good()), &[]).await.unwrap_err();
        assert!(wrong.to_string().contains("private key"), "{wrong}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn nothing_is_signed_that_no_server_would_take() {
    let key = SigningKey::secret(SECRET.as_bytes()).unwrap();
    let sign = |claims: Value| {
        let claims = self::claims(claims);
        key.sign(key.usual(), &Token { kid: None, claims })
    };
    assert!(sign(json!({"sub": "ada"})).is_ok());
    for wrong in [
        json!({"sub": 5}),
        json!({"sub": ""}),
        json!({"exp": "soon"}),
        json!({"exp": 1.5}),
        json!({"fanwire": {"subscribe": ["a*b"]}}),
        json!({"fanwire": {"subscribe": "news"}}),
        json!({"x": "y".repeat(9000)}),
    ] {
        assert!(sign(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(SigningKey::secret(b"too short").is_err());
    assert!("none".parse::<Alg>().is_err());
}

#[test]
fn every_claim_is_told_with_what_it_means() {
    let mut all = good();
    all.insert("nbf".into(), (now() + 3600).into());
    all.insert("subscribe".into(), json!(["news"]));
    let told = explain(&by_secret(all), now()).unwrap();
    assert!(note(&told.claims, "exp").note.contains("in 10 min"));
    assert!(note(&told.claims, "nbf").note.contains("60 min ahead"));
    assert!(note(&told.claims, "nbf").wrong);
    let slip = note(&told.claims, "subscribe");
    assert!(slip.note.contains("`fanwire`"));
    let grants: Vec<_> = told
        .grants
        .iter()
        .map(|one| (one.pattern.as_str(), one.rights.join(" ")))
        .collect();
    assert_eq!(
        grants,
        [
            ("box", "publish subscribe history".to_owned()),
            ("news-*", "subscribe history".to_owned()),
        ]
    );
    assert!(told.missing.is_empty(), "{:?}", told.missing);
}

#[test]
fn what_is_missing_or_wrong_is_told() {
    let told = explain(&by_secret(claims(json!({"x": 1}))), now()).unwrap();
    let names: Vec<_> = told.missing.iter().map(|said| said.name.as_str()).collect();
    assert_eq!(names, ["sub", "exp", "iat", "fanwire"]);
    assert!(told.missing[0].wrong && !told.missing[1].wrong && told.is_wrong());

    let raw = |head: &str, claims: &str| {
        use base64::Engine as _;
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        explain(&format!("{}.{}.c2ln", part(head), part(claims)), now())
    };
    let told = raw(
        r#"{"alg":"none","jku":"https://evil.example","crit":["x"]}"#,
        r#"{"sub":"a","exp":"tomorrow","fanwire":{"subscripe":["news"]}}"#,
    )
    .unwrap();
    for name in ["alg", "crit"] {
        assert!(note(&told.head, name).wrong, "{name}");
    }
    assert!(!note(&told.head, "jku").wrong);
    for name in ["exp", "fanwire"] {
        assert!(note(&told.claims, name).wrong, "{name}");
    }
    assert!(note(&told.claims, "fanwire").note.contains("subscripe"));
    // Each of the two is well alone.
    let twice = raw(
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"a","sub":"b","exp":99999999999}"#,
    )
    .unwrap();
    assert!(twice.is_wrong(), "{twice:?}");
    let expired = raw(r#"{"alg":"HS256"}"#, r#"{"sub":"a","exp":5}"#).unwrap();
    assert!(note(&expired.claims, "exp").wrong);
    for none in [
        "",
        "a.b",
        "a.b.c.d",
        "e30.e30.!",
        "e30.W10.c2ln",
        "e30=.e30.c2ln",
    ] {
        assert!(explain(none, now()).is_err(), "{none}");
    }
}

#[test]
fn a17_neither_the_signature_nor_a_trick_on_the_terminal_is_repeated() {
    let mut all = good();
    all.insert("sub".into(), "a\u{202e}b\u{7f}".into());
    all.insert("x".into(), "\u{1b}[2J".into());
    // Such a `sub` is refused, so it is signed by hand.
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &all, &key).unwrap();
    let told = format!("{:?}", explain(&token, now()).unwrap());
    assert!(!told.contains(token.rsplit('.').next().unwrap()));
    let shown = explain(&token, now()).unwrap();
    for said in shown.claims.iter().chain(&shown.head) {
        let text = format!("{}{}{}", said.name, said.value, said.note);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7f}']), "{text:?}");
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, text) in [
        (0, "1970-01-01 00:00:00 UTC"),
        (951_782_399, "2000-02-28 23:59:59 UTC"),
        (951_782_400, "2000-02-29 00:00:00 UTC"),
        (4_107_542_399, "2100-02-28 23:59:59 UTC"),
        (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        (1_800_000_000, "2027-01-15 08:00:00 UTC"),
        (253_402_300_800, "10000-01-01 00:00:00 UTC"),
    ] {
        assert_eq!(utc(seconds), text);
    }
    // No number is too large.
    utc(u64::MAX);
}

#[test]
fn a_new_api_key_can_be_sent_and_its_hash_configured() {
    let key = api_key().unwrap();
    assert_eq!(Secret::new(&key).api_key_fault(), None);
    assert_eq!(Secret::new(hashed(&key)).api_key_fault(), None);
    assert_ne!(key, api_key().unwrap());
    assert!(secret().unwrap().len() >= 64);
}

#[test]
fn a_token_that_was_changed_anywhere_is_explained_or_refused_without_a_panic() {
    let token = by_secret(good());
    let others = ['A', 'z', '9', '_', '.', '=', '\u{e9}'];
    for (at, c) in token.char_indices() {
        for other in others {
            let changed = format!("{}{other}{}", &token[..at], &token[at + c.len_utf8()..]);
            let _ = explain(&changed, now());
        }
        let _ = explain(&token[..at], now());
    }
    // Any JSON in any place.
    let values = [
        json!(null),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!("\u{0}"),
    ];
    let names = [
        "sub", "iss", "aud", "exp", "nbf", "iat", "jti", "fanwire", "x",
    ];
    use base64::Engine as _;
    let part =
        |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    for name in names {
        for value in &values {
            for now in [0, now(), u64::MAX] {
                let (head, claims) = (json!({ name: value }), json!({ name: value }));
                let told = explain(&format!("{}.{}.", part(&head), part(&claims)), now);
                assert!(told.unwrap().is_wrong(), "{name} {value}");
            }
        }
    }
}
