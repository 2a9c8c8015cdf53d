#![allow(clippy::unwrap_used)]
use super::super::token_key::Alg;
use fanwire_core::key::Key;
use fanwire_core::policy::Right;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

/// Seconds; `NOW` is the same.
const T: u64 = 1_800_000_000;
const NOW: Now = Now {
    wall_ms: T * 1000,
    hub: Instant::from_secs(5),
};
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

// Made for these tests; they protect nothing.
const RSA: &[u8] = include_bytes!("test_keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("test_keys/rsa.pub");
const WEAK_PUBLIC: &[u8] = include_bytes!("test_keys/weak.pub");
const P256: &[u8] = include_bytes!("test_keys/p256.pem");
const P256_PUBLIC: &[u8] = include_bytes!("test_keys/p256.pub");
const P384: &[u8] = include_bytes!("test_keys/p384.pem");
const P384_PUBLIC: &[u8] = include_bytes!("test_keys/p384.pub");
const ED: &[u8] = include_bytes!("test_keys/ed.pem");
const ED_PUBLIC: &[u8] = include_bytes!("test_keys/ed.pub");

fn issuer(keys: Vec<TokenKey>) -> Issuer {
    Issuer {
        name: None,
        audience: Vec::new(),
        require_exp: true,
        leeway: Duration::from_secs(30),
        keys,
        published: None,
    }
}

fn tokens(keys: Vec<TokenKey>) -> Tokens {
    Tokens::new(vec![issuer(keys)])
}

fn by_secret() -> Tokens {
    tokens(vec![TokenKey::secret(None, SECRET).unwrap()])
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    Tokens::new(Vec::new());
    encode(&Header::new(algorithm), claims, key).unwrap()
}

/// A token of HS256 with any head and claims, also such as no library writes.
fn raw(head: &str, claims: &str) -> String {
    Tokens::new(Vec::new());
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

fn ask(claims: &Value) -> Result<Arc<User>, Bad> {
    by_secret().verify(&raw(r#"{"alg":"HS256"}"#, &claims.to_string()), NOW)
}

fn good() -> Value {
    json!({"sub": "ada", "exp": T + 60})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

#[test]
fn every_algorithm_verifies_with_its_own_kind_of_key() {
    let secret = || TokenKey::secret(None, SECRET).unwrap();
    let public = |pem| TokenKey::pem(None, pem).unwrap();
    let rsa = || EncodingKey::from_rsa_pem(RSA).unwrap();
    for (algorithm, key, public) in [
        (Algorithm::HS256, EncodingKey::from_secret(SECRET), secret()),
        (Algorithm::HS384, EncodingKey::from_secret(SECRET), secret()),
        (Algorithm::HS512, EncodingKey::from_secret(SECRET), secret()),
        (Algorithm::RS256, rsa(), public(RSA_PUBLIC)),
        (Algorithm::RS384, rsa(), public(RSA_PUBLIC)),
        (Algorithm::RS512, rsa(), public(RSA_PUBLIC)),
        (Algorithm::PS256, rsa(), public(RSA_PUBLIC)),
        (Algorithm::PS384, rsa(), public(RSA_PUBLIC)),
        (Algorithm::PS512, rsa(), public(RSA_PUBLIC)),
        (
            Algorithm::ES256,
            EncodingKey::from_ec_pem(P256).unwrap(),
            public(P256_PUBLIC),
        ),
        (
            Algorithm::ES384,
            EncodingKey::from_ec_pem(P384).unwrap(),
            public(P384_PUBLIC),
        ),
        (
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(ED).unwrap(),
            public(ED_PUBLIC),
        ),
    ] {
        let token = signed(algorithm, &key, &good());
        let verifier = tokens(vec![public]);
        assert_eq!(
            &*verifier.verify(&token, NOW).unwrap().id,
            "ada",
            "{algorithm:?}"
        );
        // One bit of the signature.
        let mut changed = token.into_bytes();
        let at = changed.len() - 5;
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(
            verifier.verify(&changed, NOW),
            Err(Bad::Signature),
            "{algorithm:?}"
        );
    }
}

#[test]
fn es512_verifies_with_p521_as_pem_and_as_jwk_and_no_other_key() {
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    // SubjectPublicKeyInfo of id-ecPublicKey and secp521r1 (RFC 5480, 2).
    let mut spki = b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00".to_vec();
    spki.extend_from_slice(point);
    let spki = base64::engine::general_purpose::STANDARD.encode(spki);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
    let (x, y) = point[1..].split_at(66);
    let jwk = |extra: Value| {
        let mut jwk = json!({
            "kty": "EC",
            "crv": "P-521",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        });
        jwk.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        TokenKey::jwk(&serde_json::from_value(jwk).unwrap())
    };
    let text = format!("{}.{}", part(&json!({"alg": "ES512"})), part(&good()));
    let random = aws_lc_rs::rand::SystemRandom::new();
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    let keys = [
        TokenKey::pem(None, pem.as_bytes()).unwrap(),
        jwk(json!({})).unwrap(),
        jwk(json!({"alg": "ES512", "use": "sig"})).unwrap(),
    ];
    for key in keys {
        let verifier = tokens(vec![key]);
        assert!(verifier.verify(&token, NOW).is_ok());
        let mut other = signature.as_ref().to_vec();
        other[70] ^= 1;
        let other = format!("{text}.{}", URL_SAFE_NO_PAD.encode(other));
        assert_eq!(verifier.verify(&other, NOW), Err(Bad::Signature));
        // r = s = 0 fits nothing.
        let zero = format!("{text}.{}", URL_SAFE_NO_PAD.encode([0; 132]));
        assert_eq!(verifier.verify(&zero, NOW), Err(Bad::Signature));
    }
    assert!(jwk(json!({"alg": "ES256"})).is_none());
    assert!(jwk(json!({"use": "enc"})).is_none());
    let p256 = tokens(vec![TokenKey::pem(None, P256_PUBLIC).unwrap()]);
    assert_eq!(p256.verify(&token, NOW), Err(Bad::Key));
    assert_eq!(by_secret().verify(&token, NOW), Err(Bad::Key));
}

#[test]
fn a1_no_algorithm_in_any_spelling_is_refused() {
    for name in [
        "none", "None", "nOnE", "NONE", "", "hs256", "HS257", "HS256 ", "ES521", "es512",
    ] {
        let head = json!({"alg": name}).to_string();
        assert_eq!(
            by_secret().verify(&raw(&head, &good().to_string()), NOW),
            Err(Bad::Algorithm),
            "{name:?}"
        );
        // And without a signature, as those mean it.
        let bare = format!("{}.{}.", part(&json!({"alg": name})), part(&good()));
        assert_eq!(by_secret().verify(&bare, NOW), Err(Bad::Algorithm));
    }
    let bare = format!("{}.{}.", part(&json!({"alg": "HS256"})), part(&good()));
    assert_eq!(by_secret().verify(&bare, NOW), Err(Bad::Signature));
}

#[test]
fn a2_a_public_key_is_no_secret_in_any_form() {
    let verifier = tokens(vec![TokenKey::pem(None, RSA_PUBLIC).unwrap()]);
    let text = std::str::from_utf8(RSA_PUBLIC).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(&body)
        .unwrap();
    for secret in [RSA_PUBLIC, text.trim().as_bytes(), body.as_bytes(), &der] {
        let token = signed(Algorithm::HS256, &EncodingKey::from_secret(secret), &good());
        assert_eq!(verifier.verify(&token, NOW), Err(Bad::Key));
    }
    // Nor is a key for one family one for another.
    let token = signed(
        Algorithm::ES256,
        &EncodingKey::from_ec_pem(P256).unwrap(),
        &good(),
    );
    assert_eq!(verifier.verify(&token, NOW), Err(Bad::Key));
}

#[test]
fn a2_a_key_of_a_jwks_is_no_secret_in_any_form() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
    let text = jwk.to_string();
    let key = TokenKey::jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
    let verifier = tokens(vec![key]);
    let point = URL_SAFE_NO_PAD.decode(x).unwrap();
    for secret in [text.as_bytes(), x.as_bytes(), &point] {
        let token = signed(Algorithm::HS256, &EncodingKey::from_secret(secret), &good());
        assert_eq!(verifier.verify(&token, NOW), Err(Bad::Key));
    }
}

#[test]
fn a3_times_are_held_with_the_leeway_both_ways_and_no_further() {
    let last = ask(&with("exp", json!(T - 29))).unwrap();
    assert_eq!(last.expires, Some(NOW.hub + Duration::from_secs(1)));
    assert_eq!(ask(&with("exp", json!(T - 30))), Err(Bad::Expired));
    for name in ["nbf", "iat"] {
        assert!(ask(&with(name, json!(T + 30))).is_ok(), "{name}");
        assert_eq!(ask(&with(name, json!(T + 31))), Err(Bad::Early), "{name}");
        assert!(ask(&with(name, json!(T - 100))).is_ok(), "{name}");
    }
}

#[test]
fn a4_audience_and_issuer_are_exact() {
    let key = || TokenKey::secret(None, SECRET).unwrap();
    let strict = Tokens::new(vec![Issuer {
        name: Some("https://id.example".into()),
        audience: vec!["fanwire".into(), "other".into()],
        ..issuer(vec![key()])
    }]);
    let ask = |aud: Value, iss: Value| {
        let mut claims = good();
        claims["iss"] = iss;
        if !aud.is_null() {
            claims["aud"] = aud;
        }
        strict
            .verify(&raw(r#"{"alg":"HS256"}"#, &claims.to_string()), NOW)
            .map(drop)
    };
    let us = json!("https://id.example");
    assert_eq!(ask(json!("fanwire"), us.clone()), Ok(()));
    assert_eq!(ask(json!(["x", "other"]), us.clone()), Ok(()));
    for wrong in [
        json!("Fanwire"),
        json!([]),
        json!(["fanwire2"]),
        json!(""),
        Value::Null,
    ] {
        assert_eq!(
            ask(wrong.clone(), us.clone()),
            Err(Bad::Audience),
            "{wrong}"
        );
    }
    for wrong in [json!(5), json!([5]), json!({"a": 1}), json!([["fanwire"]])] {
        assert_eq!(ask(wrong.clone(), us.clone()), Err(Bad::Claims), "{wrong}");
    }
    for wrong in [
        "https://id.example/",
        "https://ID.example",
        "https://evil.example",
    ] {
        assert_eq!(
            ask(json!("fanwire"), json!(wrong)),
            Err(Bad::Issuer),
            "{wrong}"
        );
    }
    assert_eq!(ask(json!("fanwire"), Value::Null), Err(Bad::Claims));
    // Without a configured audience a token must not be meant for somebody.
    let open = by_secret();
    let token = raw(
        r#"{"alg":"HS256"}"#,
        &with("aud", json!("elsewhere")).to_string(),
    );
    assert_eq!(open.verify(&token, NOW), Err(Bad::Audience));
}

#[test]
fn a5_a_time_of_another_type_is_refused_and_never_taken_for_none() {
    for wrong in [
        json!("1900000000"),
        json!(1.9e9),
        json!(-1),
        json!(null),
        json!([1]),
        json!(u64::MAX),
        json!(true),
    ] {
        for name in ["exp", "nbf", "iat"] {
            assert_eq!(
                ask(&with(name, wrong.clone())),
                Err(Bad::Claims),
                "{name} {wrong}"
            );
        }
    }
    let over = raw(r#"{"alg":"HS256"}"#, r#"{"sub":"a","exp":1e400}"#);
    assert_eq!(by_secret().verify(&over, NOW), Err(Bad::Claims));
    assert_eq!(ask(&json!({"sub": "ada"})), Err(Bad::Endless));
    let endless = Tokens::new(vec![Issuer {
        require_exp: false,
        ..issuer(vec![TokenKey::secret(None, SECRET).unwrap()])
    }]);
    let token = raw(r#"{"alg":"HS256"}"#, r#"{"sub":"ada"}"#);
    assert!(endless.verify(&token, NOW).is_ok());
}

#[test]
fn a6_a_key_name_is_a_name_and_nothing_else() {
    let verifier = tokens(vec![TokenKey::secret(Some("k1"), SECRET).unwrap()]);
    let ask = |kid: Value| {
        let head = json!({"alg": "HS256", "kid": kid}).to_string();
        verifier
            .verify(&raw(&head, &good().to_string()), NOW)
            .map(drop)
    };
    assert_eq!(ask(json!("k1")), Ok(()));
    for other in ["../../etc/passwd", "' OR 1=1 --", "K1", "k1 ", ""] {
        assert_eq!(ask(json!(other)), Err(Bad::Key), "{other}");
    }
    for wrong in [json!(1), json!(null), json!(["k1"])] {
        assert_eq!(ask(wrong), Err(Bad::Head));
    }
    assert_eq!(ask(json!("k".repeat(1 << 20))), Err(Bad::Form));
    // None named: every key for the algorithm is tried.
    assert!(
        verifier
            .verify(&raw(r#"{"alg":"HS256"}"#, &good().to_string()), NOW)
            .is_ok()
    );
}

#[test]
fn a7_keys_that_a_token_brings_along_are_left_alone() {
    let own = b"ffffffffffffffffffffffffffffffff";
    let head = json!({"alg": "HS256", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/",
        "jwk": {"kty": "oct", "k": URL_SAFE_NO_PAD.encode(own)}});
    let text = format!("{}.{}", part(&head), part(&good()));
    Tokens::new(Vec::new());
    let key = EncodingKey::from_secret(own);
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    let token = format!("{text}.{signature}");
    assert_eq!(by_secret().verify(&token, NOW), Err(Bad::Signature));
    // What must be understood and is not.
    for head in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ] {
        assert_eq!(
            by_secret().verify(&raw(head, &good().to_string()), NOW),
            Err(Bad::Head)
        );
    }
}

#[test]
fn a10_the_same_key_name_of_two_issuers_is_two_keys() {
    let other = b"abcdefghijklmnopqrstuvwxyz012345";
    let one = |name: &str, secret: &[u8]| Issuer {
        name: Some(name.into()),
        ..issuer(vec![TokenKey::secret(Some("k"), secret).unwrap()])
    };
    let verifier = Tokens::new(vec![one("a", SECRET), one("b", other)]);
    let ask = |iss: &str| {
        let claims = with("iss", json!(iss)).to_string();
        verifier.verify(&raw(r#"{"alg":"HS256","kid":"k"}"#, &claims), NOW)
    };
    assert_eq!(ask("a").unwrap().issuer.as_deref(), Some("a"));
    assert_eq!(ask("b"), Err(Bad::Signature));
    assert_eq!(ask("c"), Err(Bad::Issuer));
}

#[test]
fn a11_weak_keys_and_empty_signatures_verify_nothing() {
    // RS256 with 512 bits, signed properly.
    let token = include_str!("test_keys/weak.token").trim();
    let verifier = tokens(vec![TokenKey::pem(None, WEAK_PUBLIC).unwrap()]);
    assert_eq!(verifier.verify(token, NOW), Err(Bad::Signature));
    assert!(TokenKey::secret(None, &SECRET[1..]).is_err());
    // ECDSA's r = s = 0, and EdDSA's zero point.
    for (name, pem, bytes) in [
        ("ES256", P256_PUBLIC, 64),
        ("EdDSA", ED_PUBLIC, 64),
        ("ES384", P384_PUBLIC, 96),
    ] {
        let verifier = tokens(vec![TokenKey::pem(None, pem).unwrap()]);
        let zero = URL_SAFE_NO_PAD.encode(vec![0u8; bytes]);
        let token = format!("{}.{}.{zero}", part(&json!({"alg": name})), part(&good()));
        assert_eq!(verifier.verify(&token, NOW), Err(Bad::Signature), "{name}");
    }
}

#[test]
fn a11_a_key_of_small_order_which_signs_everything_is_refused() {
    let identity: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
    let token = |r: &[u8; 32]| {
        let zero = URL_SAFE_NO_PAD.encode([&r[..], &[0; 32]].concat());
        format!(
            "{}.{}.{zero}",
            part(&json!({"alg": "EdDSA"})),
            part(&good())
        )
    };
    Tokens::new(Vec::new());
    let jwk = |point: &[u8; 32]| -> jsonwebtoken::jwk::Jwk {
        let x = URL_SAFE_NO_PAD.encode(point);
        serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": x})).unwrap()
    };
    // What such a key would let in: nobody signed this.
    let forged = token(&identity);
    let (text, signature) = forged.rsplit_once('.').unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk(&identity)).unwrap();
    let fits = jsonwebtoken::crypto::verify(signature, text.as_bytes(), &key, Algorithm::EdDSA);
    assert!(fits.unwrap());
    let with = |point: [u8; 32], last: u8| {
        let mut point = point;
        point[31] |= last;
        point
    };
    let p = |first: u8| -> [u8; 32] {
        std::array::from_fn(|at| match at {
            0 => first,
            31 => 0x7f,
            _ => 0xff,
        })
    };
    for point in [[0; 32], identity, p(0xec), p(0xed), p(0xee)] {
        for sign in [0, 0x80] {
            assert!(
                TokenKey::jwk(&jwk(&with(point, sign))).is_none(),
                "{point:?}"
            );
        }
    }
    // And as the first half of a signature by a good key they fit nothing.
    let good = tokens(vec![TokenKey::pem(None, ED_PUBLIC).unwrap()]);
    for point in [[0; 32], identity, p(0xec)] {
        assert_eq!(good.verify(&token(&point), NOW), Err(Bad::Signature));
    }
}

#[test]
fn j3_a_claim_that_stands_twice_is_refused() {
    let token = raw(
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"a","sub":"b","exp":1900000000}"#,
    );
    assert_eq!(by_secret().verify(&token, NOW), Err(Bad::Claims));
}

#[test]
fn what_is_not_a_token_is_refused_without_a_panic() {
    for wrong in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "eyJ.e30.",
        "é.é.é",
        "e30.e30.e30",
    ] {
        assert!(by_secret().verify(wrong, NOW).is_err(), "{wrong}");
    }
    // Padding, and what follows the signature.
    let token = raw(r#"{"alg":"HS256"}"#, &good().to_string());
    for wrong in [
        format!("{token}="),
        format!("{token}."),
        format!("{token}.x"),
        format!(" {token}"),
    ] {
        assert!(by_secret().verify(&wrong, NOW).is_err(), "{wrong}");
    }
    assert!(looks_like_one(token.as_bytes()));
    assert!(!looks_like_one(b"s3cret") && !looks_like_one(b"a.b.c"));
}

#[test]
fn claims_grant_rights_and_who_may_listen_may_come_back() {
    let user = ask(&with(
        "fanwire",
        json!({"subscribe": ["news-*"], "publish": ["box"]}),
    ))
    .unwrap();
    let may = |right, key: &str| {
        user.grants
            .allow(right, &Key::parse(key.as_bytes()).unwrap())
    };
    assert!(may(Right::Subscribe, "news-a") && may(Right::History, "news-a"));
    assert!(may(Right::Publish, "box") && !may(Right::Publish, "news-a"));
    let live = ask(&with("fanwire", json!({"subscribe": ["a"], "history": []}))).unwrap();
    assert!(
        !live
            .grants
            .allow(Right::History, &Key::parse(b"a").unwrap())
    );
    for wrong in [
        json!("news"),
        json!({"subscribe": "news"}),
        json!({"subscribe": ["a*b"]}),
        json!(null),
    ] {
        assert_eq!(
            ask(&with("fanwire", wrong.clone())),
            Err(Bad::Claims),
            "{wrong}"
        );
    }
    for wrong in [json!(5), json!(""), json!("a\nb"), json!("x".repeat(256))] {
        assert_eq!(
            ask(&with("sub", wrong.clone())),
            Err(Bad::Claims),
            "{wrong}"
        );
    }
    assert_eq!(ask(&json!({"exp": T + 60})), Err(Bad::Subject));
}

#[test]
fn keys_of_a_jwks_are_taken_for_what_they_are() {
    let jwk = |value: Value| TokenKey::jwk(&serde_json::from_value(value).unwrap());
    let ed = json!({"kty":"OKP","crv":"Ed25519","kid":"e","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let key = jwk(ed.clone()).unwrap();
    assert!(key.is_for(Alg::Known(Algorithm::EdDSA)) && key.kid() == Some("e"));
    let mut for_encryption = ed.clone();
    for_encryption["use"] = json!("enc");
    assert!(jwk(for_encryption).is_none());
    let mut signs_only = ed;
    signs_only["key_ops"] = json!(["sign"]);
    assert!(jwk(signs_only).is_none());
    // A secret in public, and a curve that is not known here.
    assert!(jwk(json!({"kty":"oct","k":URL_SAFE_NO_PAD.encode(SECRET)})).is_none());
    assert!(jwk(json!({"kty":"EC","crv":"P-521","x":"AA","y":"AA"})).is_none());
}

#[test]
fn no_debug_text_shows_a_key() {
    let text = format!("{:?}", by_secret());
    assert!(
        !text.contains("0123456789") && text.contains("HS256"),
        "{text}"
    );
    assert!(
        TokenKey::pem(None, RSA).is_err(),
        "a private key is refused"
    );
}
