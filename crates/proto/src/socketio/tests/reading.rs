//! What is taken in, and what is not.

use super::*;
use crate::native::Body;

#[test]
fn every_kind_of_packet_is_taken_apart() {
    let none = String::new;
    let root = || "/".to_owned();
    assert_eq!(parts("0"), (Kind::Connect, root(), None, none()));
    assert_eq!(
        parts(r#"0{"token":"123"}"#),
        (Kind::Connect, root(), None, r#"{"token":"123"}"#.into())
    );
    assert_eq!(
        parts(r#"0/custom,{"token":"abc"}"#),
        (
            Kind::Connect,
            "/custom".into(),
            None,
            r#"{"token":"abc"}"#.into()
        )
    );
    assert_eq!(parts("1"), (Kind::Disconnect, root(), None, none()));
    assert_eq!(
        parts("1/admin,"),
        (Kind::Disconnect, "/admin".into(), None, none())
    );
    assert_eq!(
        parts(r#"2["message",1,"2",{"3":[true]}]"#),
        (
            Kind::Event,
            root(),
            None,
            r#"["message",1,"2",{"3":[true]}]"#.into()
        )
    );
    assert_eq!(
        parts(r#"2/admin,456["project:delete",123]"#),
        (
            Kind::Event,
            "/admin".into(),
            Some(456),
            r#"["project:delete",123]"#.into()
        )
    );
    assert_eq!(
        parts("3/admin,456[]"),
        (Kind::Ack, "/admin".into(), Some(456), "[]".into())
    );
    assert_eq!(
        parts(r#"4{"message":"Not authorized"}"#),
        (
            Kind::ConnectError,
            root(),
            None,
            r#"{"message":"Not authorized"}"#.into()
        )
    );
    let (kind, namespace, id, _) =
        parts(r#"51-/admin,456["project:delete",{"_placeholder":true,"num":0}]"#);
    assert_eq!(
        (kind, &*namespace, id),
        (Kind::BinaryEvent, "/admin", Some(456))
    );
    let (kind, namespace, id, _) = parts(r#"61-/admin,456[{"_placeholder":true,"num":0}]"#);
    assert_eq!(
        (kind, &*namespace, id),
        (Kind::BinaryAck, "/admin", Some(456))
    );
}

#[test]
fn e13_a_namespace_may_lack_its_comma_and_has_a_longest_length() {
    let namespace = |text| parts(text).1;
    assert_eq!(namespace("0/custom"), "/custom");
    assert_eq!(namespace("0/custom,"), "/custom");
    assert_eq!(namespace("0/,"), "/");
    assert_eq!(namespace("0/"), "/");
    assert_eq!(namespace("1/custom"), "/custom");
    // A query is not taken off, and what looks like a payload is the name.
    assert_eq!(namespace("0/a?b=c,{}"), "/a?b=c");
    assert_eq!(namespace(r#"0/custom{"a":1}"#), r#"/custom{"a":1}"#);
    assert_eq!(namespace("0/ünï,"), "/ünï");
    let longest = format!("0/{}", "x".repeat(254));
    assert_eq!(namespace(&longest).len(), 255);
    for end in ["x", "x,", "x,{}"] {
        let over = format!("{longest}{end}");
        let Err(DecodeError::TooLarge {
            limit: 255,
            got: 256,
        }) = decode(&over)
        else {
            panic!("{over}")
        };
    }
    let limits = Limits {
        namespace_bytes: 4,
        ..Limits::default()
    };
    assert!(Packet::decode("0/abc", &limits).is_ok());
    assert!(Packet::decode("0/abcd", &limits).is_err());
    // It would be written back into a poll.
    refused("0/a\x1e1");
    refused("0/a\n,");
    // Of an event without the comma the data is missing.
    refused(r#"2/custom["a"]"#);
}

#[test]
fn e12_ack_ids_are_whole_numbers_of_64_bits_kept_exactly() {
    for id in [0, 7, 456, 1 << 53, (1 << 53) + 1, u64::MAX] {
        assert_eq!(parts(&format!(r#"2{id}["a"]"#)).2, Some(id));
        let read = parts(&format!("3{id}[]")).2.unwrap();
        let written = unit(|wire, out| {
            let body = Body::Args {
                json: b"[]",
                attachments: &[],
            };
            Ack {
                namespace: "/",
                id: read,
                body,
            }
            .write(wire, out);
        });
        assert_eq!(written, [format!("3{id}[]")]);
    }
    for id in [
        "18446744073709551616",
        "99999999999999999999999",
        "-1",
        "1.5",
        "1e3",
        "01",
        "00",
        "+1",
        " 1",
        "abc",
        "0x1",
        "١",
    ] {
        refused(&format!(r#"2{id}["a"]"#));
        refused(&format!("3{id}[]"));
    }
    refused("3[]");
    // Only events and acks have one.
    refused("07{}");
    refused("07");
    refused("17");
    refused(r#"47{"message":""}"#);
}

#[test]
fn e11_attachments_are_counted_before_any_is_awaited() {
    let with = |count: &str| format!(r#"5{count}["a",{{"_placeholder":true,"num":0}}]"#);
    assert!(decode(&with("1-")).is_ok());
    assert!(decode(&with("10-")).is_ok());
    for count in [
        "11-",
        "64-",
        "255-",
        "256-",
        "257-",
        "18446744073709551615-",
    ] {
        let read = decode(&with(count)).map(|_| ());
        assert!(
            matches!(read, Err(DecodeError::TooLarge { limit: 10, .. })),
            "{count}"
        );
    }
    for count in [
        "0-",
        "",
        "-",
        "1",
        "01-",
        "1.0-",
        "-1-",
        "a-",
        "18446744073709551616-",
        "1 -",
        "1/",
    ] {
        refused(&with(count));
    }
    refused("5");
    refused("6");
    refused("51-");
    let limits = Limits {
        attachments: 1000,
        ..Limits::default()
    };
    assert!(Packet::decode(&with("64-"), &limits).is_ok());
    assert!(Packet::decode(&with("65-"), &limits).is_err());
}

#[test]
fn e11_placeholders_name_attachments_that_are_there() {
    let referenced = |text: &str| decode(text).unwrap().referenced();
    let p = |n: &str| format!(r#"{{"_placeholder":true,"num":{n}}}"#);
    assert_eq!(
        referenced(&format!(r#"53-["a",{},[{{"b":{}}}]]"#, p("2"), p("0"))),
        0b101
    );
    assert_eq!(referenced(r#"51-["a"]"#), 0);
    assert_eq!(
        referenced(r#"51-["a",{ "num" : 0 , "_placeholder" : true }]"#),
        1
    );
    assert_eq!(
        referenced(r#"51-["a",{"\u005fplaceholder":true,"num":0}]"#),
        1
    );
    assert_eq!(
        referenced(r#"51-["a","{\"_placeholder\":true,\"num\":9}"]"#),
        0
    );
    assert_eq!(referenced(&format!("61-7[{}]", p("0"))), 1);
    for num in [
        "1",
        "10",
        "-1",
        "0.5",
        "1e0",
        "\"0\"",
        "null",
        "99999999999999999999999",
    ] {
        refused(&format!(r#"51-["a",{}]"#, p(num)));
    }
    refused(r#"51-["a",{"_placeholder":true}]"#);
    refused(r#"51-["a",{"_placeholder":true,"num":0,"x":1}]"#);
    refused(r#"51-["a",{"_placeholder":false,"num":0}]"#);
    refused(r#"51-["a",{"_placeholder":true,"num":0,"num":0}]"#);
    // Where no attachment comes, it is an object like any other.
    assert_eq!(event(&format!(r#"2["a",{}]"#, p("5"))).1, [p("5")]);
}

#[test]
fn e15_reserved_names_are_refused_however_they_are_written() {
    for name in RESERVED {
        refused(&format!(r#"2["{name}"]"#));
        refused(&format!(r#"2["{name}",1]"#));
        refused(&format!(r#"51-["{name}",{{"_placeholder":true,"num":0}}]"#));
    }
    refused(r#"2["\u0063onnect"]"#);
    assert_eq!(event(r#"2["Connect"]"#).0, "Connect");
    assert_eq!(event(r#"2["error"]"#).0, "error");
    assert_eq!(event(r#"2[""]"#).0, "");
}

#[test]
fn e16_an_event_is_an_array_that_begins_with_a_string() {
    for text in [
        "2",
        "2{}",
        "2[]",
        "2[ ]",
        "2[1]",
        "2[null,1]",
        r#"2[["a"]]"#,
        r#"2[{"a":1}]"#,
        "2\"a\"",
        "2null",
        "21",
        r#"2abc["message"]"#,
        r#"2["a""#,
        r#"2["a",]"#,
        r#"2["a"]]"#,
        r#"2["a"]x"#,
        r#"2["a"] ["b"]"#,
        "2[true]",
    ] {
        refused(text);
    }
    assert_eq!(event(r#"2 [ "a" , 1 ] "#), ("a".into(), vec!["1".into()]));
    // Acks may be empty, and hold anything.
    assert_eq!(decode("37[]").unwrap().ack().unwrap().count(), 0);
    assert_eq!(decode("37[1,{}]").unwrap().ack().unwrap().count(), 2);
    for text in ["37", "37{}", "37null", "37\"a\"", "37[", "37[1,]"] {
        refused(text);
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    for text in [
        "",
        "7",
        "8[]",
        "9",
        "abc",
        "a",
        "-",
        " 0",
        "€",
        "\u{feff}0",
        "b",
        "/",
    ] {
        refused(text);
    }
    for text in [
        "0\"x\"",
        "0[]",
        "0null",
        "01",
        "0{",
        "0{}x",
        "0/a,\"x\"",
        "0/a,[]",
        "0 ",
    ] {
        refused(text);
    }
    for text in ["1{}", "1[]", "1\"x\"", "1/a,{}", "1 "] {
        refused(text);
    }
    for text in ["4", "4[]", "4null", "4{", "41"] {
        refused(text);
    }
}

#[test]
fn j1_deep_nesting_is_refused_without_recursion() {
    let nested = |depth| format!("2[\"a\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    assert!(decode(&nested(127)).is_ok());
    for depth in [128, 1000, 100_000] {
        let read = decode(&nested(depth)).map(|_| ());
        assert!(matches!(
            read,
            Err(DecodeError::TooLarge { limit: 128, .. })
        ));
    }
    let open = format!("2[\"a\",{}", "{\"a\":".repeat(100_000));
    assert!(decode(&open).is_err());
    let connect = format!("0{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(decode(&connect).is_err());
}

#[test]
fn j2_j4_numbers_and_escapes_pass_as_they_are_written() {
    let digits = "9".repeat(400);
    let args = [
        "1e400",
        "-0",
        "9007199254740993",
        &digits,
        "1.0",
        "1E+2",
        r#""\ud800""#,
        r#""\u0000""#,
        r#""\u001e""#,
        r#"{"a":1,"a":2}"#,
        "\"€\"",
        r#"[ 1 , 2 ]"#,
    ];
    let text = format!(r#"2["m",{}]"#, args.join(","));
    assert_eq!(event(&text).1, args);
    let spaced = format!("2[\"m\" ,\t{} ]", args.join("\r\n,\n"));
    assert_eq!(event(&spaced).1, args);
    // A name that is no text is none.
    refused(r#"2["\ud800"]"#);
}

#[test]
fn j5_what_only_resembles_json_is_refused() {
    for args in [
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        ".5",
        "0x1",
        "+1",
        "'a'",
        "undefined",
        "/**/1",
        "tru",
        "\"a",
        "\"\\x\"",
        "\"\t\"",
        "\"a\x1eb\"",
        "\"\n\"",
        "[1,]",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1,}",
        "\u{feff}1",
    ] {
        refused(&format!(r#"2["m",{args}]"#));
        refused(&format!("37[{args}]"));
        refused(&format!(r#"0{{"a":{args}}}"#));
    }
}

#[test]
fn names_are_read_whole_and_arguments_stay_raw() {
    assert_eq!(event(r#"2["a\"b\\\u20ac\n"]"#).0, "a\"b\\€\n");
    assert_eq!(
        event(r#"2["a,b",",",[","],{"]":"["}]"#),
        (
            "a,b".into(),
            vec!["\",\"".into(), "[\",\"]".into(), r#"{"]":"["}"#.into()]
        )
    );
    let packet = decode(r#"2["m", 1 , [2] ]"#).unwrap();
    let (_, args) = packet.event().unwrap();
    assert_eq!(args.as_str(), "1 , [2]");
    assert!(!args.is_empty());
    assert!(decode(r#"2["m"]"#).unwrap().event().unwrap().1.is_empty());
    assert_eq!(decode("37[]").unwrap().event(), None);
    assert_eq!(decode("0").unwrap().ack(), None);
}
