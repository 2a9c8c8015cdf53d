//! The JSON shapes, written and read back, and what hostile JSON gets.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::DecodeError;

fn envelope(body: Body<'_>) -> Envelope<'_> {
    Envelope {
        id: Some("e-7"),
        channel: Some("news"),
        event: "message",
        body,
        ts: 1790,
        from: None,
        key: None,
    }
}

fn text(envelope: Envelope<'_>) -> String {
    let mut out = Vec::new();
    envelope.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn command(text: &str) -> Result<Command, CommandError> {
    Command::parse(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn an_envelope_has_its_members_in_the_documented_order() {
    assert_eq!(
        text(envelope(Body::Json(b"{\"a\":1}"))),
        r#"{"id":"e-7","channel":"news","event":"message","data":{"a":1},"ts":1790}"#
    );
    let full = Envelope {
        id: None,
        from: Some("ann"),
        key: Some("k\"1"),
        ..envelope(Body::Text(b"hi"))
    };
    assert_eq!(
        text(full),
        r#"{"channel":"news","event":"message","data":"hi","ts":1790,"from":"ann","key":"k\"1","kind":"text"}"#
    );
    assert!(
        text(envelope(Body::Binary(b"\x00\xFF")))
            .ends_with(r#""data":"AP8=","ts":1790,"kind":"binary"}"#)
    );
    let attachments = [Bytes::from_static(b"abc")];
    let args = Body::Args {
        json: br#"[1,{"_placeholder":true,"num":0}]"#,
        attachments: &attachments,
    };
    assert!(text(envelope(args)).ends_with(r#""data":[1,{"$bin":"YWJj"}],"ts":1790,"args":2}"#));
}

#[test]
fn j2_numbers_pass_as_they_were_written() {
    let digits = "9".repeat(400);
    for raw in ["1e400", "-0", "9007199254740993", "1.0", digits.as_str()] {
        assert!(json::check(raw.as_bytes()).is_ok(), "{raw}");
        assert!(text(envelope(Body::Json(raw.as_bytes()))).contains(&format!("\"data\":{raw},")));
        let command = command(&format!("{{\"data\":{raw}}}")).unwrap();
        assert_eq!(
            command.payload,
            Payload::Json(Bytes::copy_from_slice(raw.as_bytes()))
        );
    }
}

#[test]
fn j4_lone_surrogates_and_nul_escapes_pass_in_a_payload_and_not_in_a_name() {
    for raw in [r#""\ud800""#, r#""\u0000""#, r#"{"\udfff":"\ud800x"}"#] {
        assert!(json::check(raw.as_bytes()).is_ok(), "{raw}");
        let parsed = command(&format!("{{\"data\":{raw}}}")).unwrap();
        assert_eq!(
            parsed.payload,
            Payload::Json(Bytes::copy_from_slice(raw.as_bytes()))
        );
    }
    assert!(command(r#"{"data":1,"event":"\ud800"}"#).is_err());
    assert!(command(r#"{"data":"\ud800","kind":"text"}"#).is_err());
}

#[test]
fn an_envelope_is_one_line_even_for_pretty_json() {
    let line = text(envelope(Body::Json(b"{\r\n  \"a\": \"b\\n\"\n}")));
    assert!(line.contains("\"data\":{    \"a\": \"b\\n\" },"), "{line}");
}

#[test]
fn j1_nesting_is_bounded_also_where_json_passes_through_raw() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(json::check(nested(128).as_bytes()), Ok(()));
    let over = Err(DecodeError::TooLarge {
        limit: 128,
        got: 129,
    });
    assert_eq!(json::check(nested(129).as_bytes()), over);
    assert_eq!(json::check("[".repeat(1_000_000).as_bytes()), over);
    assert_eq!(json::check("{\"a\":".repeat(100_000).as_bytes()), over);
    let deep = format!("{{\"data\":{}}}", nested(100_000));
    assert_eq!(
        command(&deep).unwrap_err().error,
        DecodeError::TooLarge {
            limit: 128,
            got: 129
        }
    );
    assert!(command(&format!("{{\"data\":{}}}", nested(127))).is_ok());
    assert!(
        command(&format!("{{\"x\":{}}}", nested(128))).is_err(),
        "unknown members are bounded too"
    );
    assert!(
        json::check(format!("\"{}\"", "[".repeat(1000)).as_bytes()).is_ok(),
        "not in a string"
    );
    assert!(json::check(br#"["\"[[[[", "\\"]"#).is_ok());
    let incoming = format!(
        "{{\"event\":\"x\",\"channel\":\"a\",\"data\":{}}}",
        nested(100_000)
    );
    assert!(read::read(incoming.as_bytes()).is_err());
}

#[test]
fn j3_a_known_member_given_twice_is_refused() {
    for name in ["data", "event", "key", "kind", "ref"] {
        let twice = format!("{{\"data\":1,\"{name}\":\"text\",\"{name}\":\"text\"}}");
        assert!(command(&twice).is_err(), "{twice}");
    }
    assert!(
        command(r#"{"data":1,"d\u0061ta":2}"#).is_err(),
        "an escape does not hide a name"
    );
    assert!(
        command(r#"{"data":{"a":1,"a":2}}"#).is_ok(),
        "a payload is its sender's business"
    );
}

#[test]
fn j5_what_is_not_json_is_refused() {
    for bad in [
        "",
        " ",
        "{}x",
        "{\"data\":1} {}",
        "\u{FEFF}{\"data\":1}",
        "{\"data\":NaN}",
        "{\"data\":1,}",
        "{\"data\":1}//",
        "/* */{\"data\":1}",
        "{data:1}",
        "{'data':1}",
        "{\"data\":01}",
        "{\"data\":\"\n\"}",
        "[]",
        "null",
        "1",
        "\"data\"",
        "{\"data\":Infinity}",
        "{\"data\":+1}",
        "{\"data\":.5}",
        "{\"data\":\"\\x\"}",
    ] {
        assert!(command(bad).is_err(), "{bad:?}");
    }
    assert!(Command::parse(&Bytes::from_static(b"{\"data\":\"\xFF\"}")).is_err());
    for bad in ["", "nul", "[1,]", "1 2", "\u{FEFF}1", "NaN", "// x\n1"] {
        assert!(json::check(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(json::check(b"\"\xED\xA0\x80\"").is_err());
}

#[test]
fn j6_a_long_string_or_much_white_space_is_read_in_one_pass() {
    let spaces = format!("{{\"data\":{}1}}", " ".repeat(10_000_000));
    assert_eq!(
        command(&spaces).unwrap().payload,
        Payload::Json(Bytes::from_static(b"1"))
    );
    let string = format!("\"{}\"", "\\\\".repeat(5_000_000));
    assert!(json::check(string.as_bytes()).is_ok());
}

#[test]
fn j9_unknown_members_are_ignored_and_wrong_types_refused() {
    let parsed =
        command(r#"{"data":1,"later":{"x":[1]},"event":"e","key":"k","ref":"r"}"#).unwrap();
    assert_eq!(parsed.event.as_deref(), Some("e"));
    assert_eq!(parsed.key.as_deref(), Some("k"));
    assert_eq!(parsed.reference, Some(Ref::Text("r".to_owned())));
    for bad in [
        r#"{"ref":7,"event":"e"}"#,
        r#"{"ref":7,"data":1,"event":1}"#,
        r#"{"ref":7,"data":1,"event":null}"#,
        r#"{"ref":7,"data":1,"key":[]}"#,
        r#"{"ref":7,"data":1,"kind":true}"#,
        r#"{"ref":7,"data":1,"kind":"json5"}"#,
        r#"{"ref":7,"data":1,"kind":"text"}"#,
        r#"{"ref":7,"data":"?","kind":"binary"}"#,
    ] {
        let refused = command(bad).unwrap_err();
        assert_eq!(
            refused.reference,
            Some(Ref::Number(7)),
            "{bad} keeps its ref"
        );
    }
}

#[test]
fn j2_a_ref_is_an_exact_integer_or_a_short_string() {
    let with = |reference: &str| command(&format!("{{\"data\":1,\"ref\":{reference}}}"));
    assert_eq!(
        with("9007199254740991").unwrap().reference,
        Some(Ref::Number(9_007_199_254_740_991))
    );
    assert_eq!(with("0").unwrap().reference, Some(Ref::Number(0)));
    let long = format!("\"{}\"", "x".repeat(64));
    assert!(with(&long).is_ok());
    let longer = format!("\"{}\"", "x".repeat(65));
    for bad in [
        "9007199254740992",
        "-1",
        "1.5",
        "1.0",
        "1e400",
        "null",
        "true",
        "[]",
        "{}",
        longer.as_str(),
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_command_carries_every_kind() {
    let text = command(r#"{"data":"a\nb","kind":"text"}"#).unwrap();
    assert_eq!(text.payload, Payload::Text(Bytes::from_static(b"a\nb")));
    let binary = command(r#"{"data":"AP8=","kind":"binary"}"#).unwrap();
    assert_eq!(
        binary.payload,
        Payload::Binary(Bytes::from_static(b"\x00\xFF"))
    );
    let raw = Bytes::from_static(br#"{"data": {"a" : 1} }"#);
    let Payload::Json(data) = Command::parse(&raw).unwrap().payload else {
        panic!("Json")
    };
    assert_eq!(data, &br#"{"a" : 1}"#[..]);
    assert!(
        raw.as_ptr_range().contains(&data.as_ptr()),
        "a slice, not a copy"
    );
    assert_eq!(
        command(r#"{"data":null}"#).unwrap().payload,
        Payload::Json(Bytes::from_static(b"null"))
    );
}

#[test]
fn system_events_read_back() {
    let reference = Ref::Number(3);
    for (event, expected) in [
        (
            System::Ready {
                cursor: "e-1",
                channels: &["a", ":b:c"],
                conn: "x",
            },
            json!({"event":"$ready","data":{"cursor":"e-1","channels":["a",":b:c"],"conn":"x"}}),
        ),
        (
            System::Cursor { cursor: "e-1" },
            json!({"event":"$cursor","data":{"cursor":"e-1"}}),
        ),
        (
            System::Gap {
                channel: "a",
                reason: "trimmed",
                lost_through: None,
                cursor: "e-2",
            },
            json!({"event":"$gap","channel":"a","data":
                {"channel":"a","reason":"trimmed","lost_through":null,"cursor":"e-2"}}),
        ),
        (
            System::Ack {
                reference: &reference,
                id: Some("e-9"),
            },
            json!({"event":"$ack","data":{"ref":3,"id":"e-9"}}),
        ),
        (
            System::Error {
                retry_in: None,
                reference: None,
                code: "forbidden",
                message: "no",
                at: None,
            },
            json!({"event":"$error","data":{"code":"forbidden","message":"no"}}),
        ),
        (
            System::Error {
                retry_in: Some(7),
                reference: Some(&reference),
                code: "forbidden",
                message: "no",
                at: Some("args[0]"),
            },
            json!({"event":"$error","data":
                {"ref":3,"code":"forbidden","message":"no","retry_in":7,"at":"args[0]"}}),
        ),
    ] {
        let mut object = Vec::new();
        event.write(&mut object);
        assert_eq!(serde_json::from_slice::<Value>(&object).unwrap(), expected);
        let mut data = Vec::new();
        event.write_data(&mut data);
        let apart = read::system(event.name(), std::str::from_utf8(&data).unwrap()).unwrap();
        let together = read::read(&object).unwrap();
        assert_eq!(format!("{apart:?}"), format!("{together:?}"));
        match (event, together) {
            (System::Ready { .. }, Incoming::Ready { channels, .. }) => {
                assert_eq!(channels, ["a", ":b:c"])
            }
            (System::Cursor { .. }, Incoming::Cursor { cursor }) => assert_eq!(cursor, "e-1"),
            (System::Gap { .. }, Incoming::Gap { lost_through, .. }) => {
                assert_eq!(lost_through, None)
            }
            (System::Ack { .. }, Incoming::Ack { id, .. }) => {
                assert_eq!(id.as_deref(), Some("e-9"))
            }
            (System::Error { .. }, Incoming::Error { code, .. }) => assert_eq!(code, "forbidden"),
            (_, other) => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        read::read(br#"{"event":"$later","data":1}"#),
        Ok(Incoming::Unknown(_))
    ));
    assert!(read::read(br#"{"event":"$gap","data":{}}"#).is_err());
}

#[test]
fn a_message_whose_body_is_null_is_not_one_without_a_body() {
    let Ok(Incoming::Message(message)) = read::read(text(envelope(Body::Json(b"null"))).as_bytes())
    else {
        panic!("a message")
    };
    assert!(matches!(message.body, MessageBody::Json(raw) if raw.get() == "null"));
    assert!(read::read(br#"{"event":"x","channel":"a"}"#).is_err());
}

#[test]
fn a_poll_answer_reads_back() {
    let mut writer = PollWriter::new();
    assert!(writer.is_empty());
    writer.push(|out| System::Cursor { cursor: "e-1" }.write(out));
    writer.push(|out| envelope(Body::Text("é\r\n".as_bytes())).write(out));
    let body = writer.finish("e-7");
    let answer = poll::read(&body).unwrap();
    assert_eq!(answer.cursor, "e-7");
    let [Incoming::Cursor { .. }, Incoming::Message(message)] = &answer.messages[..] else {
        panic!("{answer:?}")
    };
    assert_eq!(message.body, MessageBody::Text("é\r\n".to_owned()));
    assert_eq!(
        PollWriter::new().finish("e-0"),
        br#"{"messages":[],"cursor":"e-0"}"#
    );
    for bad in [
        &b"{}"[..],
        b"[]",
        br#"{"messages":[1],"cursor":"x"}"#,
        br#"{"messages":[]}"#,
        b"\xFF",
    ] {
        assert!(poll::read(bad).is_err());
    }
}

#[test]
fn answers_have_the_documented_form() {
    use answer::{Problem, Published};
    let published = |id: Option<&str>, duplicate| {
        String::from_utf8(
            Published {
                id: id.map(str::to_owned),
                duplicate,
            }
            .to_json(),
        )
        .unwrap()
    };
    assert_eq!(published(Some("e-1"), false), r#"{"id":"e-1"}"#);
    assert_eq!(
        published(Some("e-1"), true),
        r#"{"id":"e-1","duplicate":true}"#
    );
    assert_eq!(published(None, false), r#"{"id":null}"#);
    let problem = Problem::new(403, "Forbidden", "forbidden", "ask");
    assert_eq!(
        String::from_utf8(problem.to_json()).unwrap(),
        r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"forbidden","detail":"ask"}"#
    );
    assert_eq!(
        serde_json::from_slice::<Problem>(&problem.to_json()).unwrap(),
        problem
    );
}

#[test]
fn binary_inside_arguments_goes_out_and_comes_back() {
    let surface = br#" [ "{", {"$bin" : "YWJj" } , {"a":[{"$bin":""}]}, 1e400, {"b":"$bin"} ] "#;
    let (text, attachments) = args::parse_surface(surface).unwrap();
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        r#" [ "{", {"_placeholder":true,"num":0} , {"a":[{"_placeholder":true,"num":1}]}, 1e400, {"b":"$bin"} ] "#
    );
    assert_eq!(attachments, [Bytes::from_static(b"abc"), Bytes::new()]);
    let mut back = Vec::new();
    args::write_surface(&mut back, &text, &attachments);
    assert_eq!(
        std::str::from_utf8(&back).unwrap(),
        r#" [ "{", {"$bin":"YWJj"} , {"a":[{"$bin":""}]}, 1e400, {"b":"$bin"} ] "#
    );
    assert_eq!(args::count(&text), 5);
}

#[test]
fn placeholders_are_known_in_any_spelling_and_only_if_exact() {
    let attachments = [Bytes::from_static(b"abc")];
    let surface = |text: &str| {
        let mut out = Vec::new();
        args::write_surface(&mut out, text.as_bytes(), &attachments);
        String::from_utf8(out).unwrap()
    };
    for exact in [
        r#"[{"_placeholder":true,"num":0}]"#,
        r#"[{"num":0,"_placeholder":true}]"#,
        "[{ \"num\" : 0 ,\n\"_placeholder\" : true }]",
        r#"[{"_placeh\u006flder":true,"num":0}]"#,
    ] {
        assert_eq!(surface(exact), r#"[{"$bin":"YWJj"}]"#, "{exact}");
    }
    for other in [
        r#"[{"_placeholder":true,"num":1}]"#,
        r#"[{"_placeholder":false,"num":0}]"#,
        r#"[{"_placeholder":true}]"#,
        r#"[{"_placeholder":true,"num":0,"x":1}]"#,
        r#"[{"_placeholder":true,"num":99999999999999999999999}]"#,
        r#"[{"_placeholder":true,"num":-0}]"#,
        r#"["{\"_placeholder\":true,\"num\":0}"]"#,
    ] {
        assert_eq!(surface(other), other);
    }
}

#[test]
fn surface_arguments_that_could_be_mistaken_are_refused() {
    for bad in [
        "{}",
        "1",
        "",
        "[",
        "[1]x",
        r#"[{"$bin":1}]"#,
        r#"[{"$bin":"?"}]"#,
        r#"[{"$bin":"YWJ"}]"#,
        r#"[{"$bin":"","x":1}]"#,
        r#"[{"x":1,"$bin":""}]"#,
        r#"[{"_placeholder":true,"num":0}]"#,
        r#"[{"x":{"_placehold\u0065r":1}}]"#,
    ] {
        assert!(args::parse_surface(bad.as_bytes()).is_err(), "{bad}");
    }
    let many = |n| format!("[{}]", vec![r#"{"$bin":""}"#; n].join(","));
    assert!(args::parse_surface(many(64).as_bytes()).is_ok());
    assert!(args::parse_surface(many(65).as_bytes()).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é😀\n\r\"\\\\{}\\[\\]]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\"{]{0,4}", inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_message_reads_back(
        kind in 0..3,
        value in any_json(),
        string in "\\PC{0,20}",
        id in prop::option::of("[a-z0-9-]{1,10}"),
        from in prop::option::of("\\PC{1,10}"),
    ) {
        let json = value.to_string();
        let body = match kind {
            0 => Body::Json(json.as_bytes()),
            1 => Body::Text(string.as_bytes()),
            _ => Body::Binary(string.as_bytes()),
        };
        let written = text(Envelope {
            id: id.as_deref(), channel: Some(&string), event: "e", body, ts: 5, from: from.as_deref(), key: Some(&json),
        });
        prop_assert!(!written.contains(['\r', '\n']));
        let Incoming::Message(message) = read::read(written.as_bytes()).unwrap() else { panic!() };
        prop_assert_eq!((message.id, message.from, message.channel), (id, from, string.clone()));
        prop_assert_eq!(message.key.as_deref(), Some(json.as_str()));
        match message.body {
            MessageBody::Json(raw) => prop_assert_eq!(raw.get(), &json),
            MessageBody::Text(got) => prop_assert_eq!(got, string),
            MessageBody::Binary(got) => prop_assert_eq!(&got[..], string.as_bytes()),
            MessageBody::Args(_) => panic!(),
        }
    }

    #[test]
    fn arguments_survive_both_directions(
        values in prop::collection::vec(any_json(), 0..4),
        binary in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
    ) {
        let mut all = values.clone();
        for bytes in &binary {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            all.push(json!({"deep": [{"$bin": text}]}));
        }
        let surface = Value::from(all.clone()).to_string();
        let (stored, attachments) = args::parse_surface(surface.as_bytes()).unwrap();
        prop_assert_eq!(&attachments, &binary);
        prop_assert_eq!(args::count(&stored), all.len());
        let mut back = Vec::new();
        args::write_surface(&mut back, &stored, &attachments);
        prop_assert_eq!(String::from_utf8(back).unwrap(), surface);
    }

    #[test]
    fn readers_are_total(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\u0dt_$ \n".to_vec())], 0..60)
    ) {
        let _ = json::check(&bytes);
        let _ = args::parse_surface(&bytes);
        let _ = args::count(&bytes);
        let _ = Command::parse(&Bytes::copy_from_slice(&bytes));
        let _ = read::read(&bytes);
        let _ = poll::read(&bytes);
        let mut out = Vec::new();
        args::write_surface(&mut out, &bytes, &[Bytes::new()]);
        envelope(Body::Json(&bytes)).write(&mut out);
        envelope(Body::Text(&bytes)).write(&mut out);
    }

    #[test]
    fn checking_agrees_with_a_full_parse(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:1e-a \n".to_vec()), 0..16)
    ) {
        // On ASCII without escapes a full parse has nothing more to refuse,
        // but numbers that do not fit.
        let full = serde_json::from_slice::<Value>(&bytes);
        match full {
            Ok(_) => prop_assert_eq!(json::check(&bytes), Ok(())),
            Err(e) if e.to_string().starts_with("number out of range") => {}
            Err(_) => prop_assert!(json::check(&bytes).is_err()),
        }
    }

    #[test]
    fn pieces_of_real_commands_never_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let whole = br#"{"data":{"a":["\u00e9",{"$bin":"AA=="}]},"event":"e","ref":12,"kind":"text"}"#;
        let at = at.index(whole.len());
        let _ = Command::parse(&Bytes::copy_from_slice(&whole[..at]));
        let mut changed = whole.to_vec();
        changed[at] = byte;
        let _ = Command::parse(&Bytes::from(changed));
    }
}
