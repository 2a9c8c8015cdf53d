//! What is written, attachments, and any text at all.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::native::Body;

#[test]
fn a_client_is_connected_refused_and_disconnected() {
    let connected = |namespace, pid| {
        unit(|wire, out| {
            Connected {
                namespace,
                sid: "oSO0OpakMV",
                pid,
            }
            .write(wire, out);
        })
    };
    assert_eq!(connected("/", None), [r#"0{"sid":"oSO0OpakMV"}"#]);
    assert_eq!(
        connected("/admin", Some("p1")),
        [r#"0/admin,{"sid":"oSO0OpakMV","pid":"p1"}"#]
    );
    let error = |message, data| {
        unit(|wire, out| {
            ConnectError {
                namespace: "/random",
                message,
                data,
            }
            .write(wire, out);
        })
    };
    assert_eq!(
        error(ConnectError::INVALID_NAMESPACE, None),
        [r#"4/random,{"message":"Invalid namespace"}"#]
    );
    assert_eq!(
        error("no \"x\"", Some(r#"{"code":7}"#)),
        [r#"4/random,{"message":"no \"x\"","data":{"code":7}}"#]
    );
    let disconnect = |namespace| unit(|wire, out| Disconnect { namespace }.write(wire, out));
    assert_eq!(disconnect("/"), ["1"]);
    assert_eq!(disconnect("/admin"), ["1/admin,"]);
    let mut out = Vec::new();
    Connect {
        namespace: "/admin",
        auth: Some(r#"{"token":"x"}"#),
    }
    .write_text(&mut out);
    assert_eq!(out, br#"0/admin,{"token":"x"}"#);
}

fn written(body: Body<'_>, id: Option<u64>, offset: Option<&str>) -> Vec<String> {
    unit(|wire, out| {
        Event {
            namespace: "/chat",
            id,
            name: "m",
            body,
            offset,
        }
        .write(wire, out);
    })
}

#[test]
fn every_kind_of_body_is_an_event() {
    let two = [
        Bytes::from_static(&[1, 2, 3]),
        Bytes::from_static(&[4, 5, 6]),
    ];
    let args = |json, attachments| Body::Args { json, attachments };
    let p0 = r#"{"_placeholder":true,"num":0}"#;
    let p1 = r#"{"_placeholder":true,"num":1}"#;
    let both = format!("[{p0}, {p1} ]");
    assert_eq!(
        written(Body::Json(br#"{"a":1}"#), None, None),
        [r#"2/chat,["m",{"a":1}]"#]
    );
    assert_eq!(
        written(Body::Text(b"say \"hi\"\x1e"), Some(7), None),
        [r#"2/chat,7["m","say \"hi\"\u001e"]"#]
    );
    assert_eq!(
        written(Body::Binary(&[1, 2, 3]), None, None),
        [format!(r#"51-/chat,["m",{p0}]"#), "[1, 2, 3]".into()]
    );
    assert_eq!(
        written(args(both.as_bytes(), &two), Some(u64::MAX), None),
        [
            format!(r#"52-/chat,18446744073709551615["m",{p0}, {p1}]"#),
            "[1, 2, 3]".into(),
            "[4, 5, 6]".into()
        ]
    );
    assert_eq!(
        written(args(b"[1,\"2\"]", &[]), None, None),
        [r#"2/chat,["m",1,"2"]"#]
    );
    assert_eq!(written(args(b"[ ]", &[]), None, None), [r#"2/chat,["m"]"#]);
    // The offset comes last, whatever the body is.
    assert_eq!(
        written(Body::Json(b"1"), None, Some("@e-1")),
        [r#"2/chat,["m",1,"@e-1"]"#]
    );
    assert_eq!(
        written(args(b"[]", &[]), None, Some("@e-1")),
        [r#"2/chat,["m","@e-1"]"#]
    );
    assert_eq!(
        written(Body::Binary(&[]), None, Some("@e-1"))[0],
        format!(r#"51-/chat,["m",{p0},"@e-1"]"#)
    );
}

#[test]
fn every_kind_of_body_is_an_ack() {
    let ack = |namespace, body| {
        unit(|wire, out| {
            Ack {
                namespace,
                id: 789,
                body,
            }
            .write(wire, out)
        })
    };
    let one = [Bytes::from_static(&[1])];
    let p0 = r#"{"_placeholder":true,"num":0}"#;
    let args = |json, attachments| Body::Args { json, attachments };
    assert_eq!(ack("/", args(b"[]", &[])), ["3789[]"]);
    assert_eq!(
        ack("/", args(br#"[1,"2",{"3":[false]}]"#, &[])),
        [r#"3789[1,"2",{"3":[false]}]"#]
    );
    assert_eq!(ack("/a", Body::Text(b"ok")), [r#"3/a,789["ok"]"#]);
    assert_eq!(ack("/a", Body::Json(b"{}")), ["3/a,789[{}]"]);
    let expected = [format!("61-/a,789[{p0}]"), "[1]".into()];
    assert_eq!(ack("/a", Body::Binary(&[1])), expected);
    assert_eq!(
        ack("/a", args(format!("[{p0}]").as_bytes(), &one)),
        expected
    );
}

fn reassembler(packet_bytes: usize) -> Reassembler {
    Reassembler::new(Limits {
        packet_bytes,
        ..Limits::default()
    })
}

const HEADER: &str = r#"52-789["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;

#[test]
fn attachments_complete_their_packet() {
    let mut state = reassembler(1000);
    for _ in 0..2 {
        assert_eq!(state.text(HEADER), Ok(None));
        assert!(state.is_waiting());
        assert!(
            state
                .binary(Bytes::from_static(&[1, 2, 3]))
                .unwrap()
                .is_none()
        );
        assert_eq!(state.held_bytes(), HEADER.len() + 3);
        let whole = state.binary(Bytes::from_static(&[4])).unwrap().unwrap();
        assert_eq!(whole.packet(), decode(HEADER).unwrap());
        assert_eq!(whole.packet().event().unwrap().0, "m");
        assert_eq!(whole.attachments, [&[1, 2, 3][..], &[4]]);
        assert_eq!((state.is_waiting(), state.held_bytes()), (false, 0));
        // A packet without any is whole at once.
        assert_eq!(
            state.text("2[\"a\"]"),
            Ok(Some(decode("2[\"a\"]").unwrap()))
        );
    }
}

#[test]
fn e11_text_among_attachments_and_attachments_of_nothing_are_refused() {
    let mut state = reassembler(1000);
    assert!(matches!(
        state.binary(Bytes::new()),
        Err(DecodeError::Malformed { .. })
    ));
    for text in ["2[\"a\"]", "1", HEADER, "rubbish"] {
        assert_eq!(state.text(HEADER), Ok(None));
        assert!(matches!(
            state.text(text),
            Err(DecodeError::Malformed { .. })
        ));
        assert_eq!(
            state.held_bytes(),
            0,
            "nothing stays of what was half there"
        );
        assert!(state.binary(Bytes::new()).is_err());
    }
    assert_eq!(state.text(HEADER), Ok(None));
    state.clear();
    assert!(!state.is_waiting());
    assert!(state.binary(Bytes::new()).is_err());
}

#[test]
fn a_packet_and_its_attachments_are_bounded_together() {
    let mut state = reassembler(HEADER.len() + 10);
    assert_eq!(state.text(HEADER), Ok(None));
    assert!(state.binary(Bytes::from_static(&[0; 4])).unwrap().is_none());
    assert!(state.binary(Bytes::from_static(&[0; 6])).unwrap().is_some());
    assert_eq!(state.text(HEADER), Ok(None));
    assert!(state.binary(Bytes::from_static(&[0; 4])).unwrap().is_none());
    let read = state.binary(Bytes::from_static(&[0; 7]));
    assert!(matches!(read, Err(DecodeError::TooLarge { .. })));
    assert_eq!(state.held_bytes(), 0);
    let mut state = reassembler(HEADER.len() - 1);
    assert!(matches!(
        state.text(HEADER),
        Err(DecodeError::TooLarge { .. })
    ));
    assert!(!state.is_waiting());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[0-6]{0,2}(-)?(/[a-z]{0,3},?)?[0-9]{0,3}.{0,60}") {
        if let Ok(packet) = decode(&text) {
            let _ = (packet.event(), packet.ack(), packet.namespace());
        }
    }

    #[test]
    fn what_is_written_reads_back(
        name in any::<String>().prop_filter("not reserved", |n| !RESERVED.contains(&&**n)),
        text in any::<String>(),
        id in any::<Option<u64>>(),
        namespace in "/[a-z./-]{0,20}",
    ) {
        let written = unit(|wire, out| {
            let body = Body::Text(text.as_bytes());
            Event { namespace: &namespace, id, name: &name, body, offset: Some("@x-1") }
                .write(wire, out);
        });
        let packet = decode(&written[0]).unwrap();
        prop_assert_eq!(packet.namespace(), namespace);
        prop_assert_eq!(packet.id(), id);
        let (read, args) = packet.event().unwrap();
        prop_assert_eq!(&*read, &name);
        let args: Vec<String> = args.map(|arg| serde_json::from_str(arg).unwrap()).collect();
        prop_assert_eq!(args, [text, "@x-1".to_owned()]);
    }
}
