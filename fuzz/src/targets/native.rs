//! The JSON of the protocol.

use bytes::Bytes;
use fanwire_core::message::EventName;
use fanwire_proto::limits::{ATTACHMENTS, JSON_DEPTH, REF_BYTES, REF_MAX};
use fanwire_proto::native::{
    Body, Command, Envelope, Incoming, MessageBody, Payload, PollWriter, Ref, args, json, poll,
    read,
};

use crate::input::Input;

/// All of it is what a client sends.
pub(super) fn command(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    let read = Command::parse(&text);
    let reference = match &read {
        Ok(command) => &command.reference,
        Err(error) => &error.reference,
    };
    match reference {
        Some(Ref::Number(number)) => assert!(*number <= REF_MAX),
        Some(Ref::Text(text)) => assert!(text.len() <= REF_BYTES),
        None => {}
    }
    let Ok(command) = read else { return };
    match &command.payload {
        Payload::Json(payload) => {
            json::check(payload).expect("a payload that was taken is JSON");
            assert!(text.windows(payload.len()).any(|part| part == payload));
        }
        Payload::Text(text) => assert!(std::str::from_utf8(text).is_ok()),
        Payload::Binary(payload) => assert!(payload.len() < data.len()),
        Payload::Args { json, attachments } => {
            json::check(json).expect("arguments that were taken are JSON");
            let bytes: usize = attachments.iter().map(Bytes::len).sum();
            assert!(bytes < data.len());
        }
    }
    // Any other reader sees an object, too.
    let other: serde_json::Result<serde_json::Value> = serde_json::from_slice(data);
    assert!(other.is_err() || other.is_ok_and(|value| value.is_object()));
}

/// The first byte says as what the rest is read.
pub(super) fn incoming(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => {
            let _ = poll::read(input.rest());
        }
        1 => {
            let name = input.text();
            let data = String::from_utf8_lossy(input.rest()).into_owned();
            if let Ok(Incoming::Message(_)) = read::system(&name, &data) {
                panic!("no name makes a system event a message");
            }
        }
        _ => {
            let object = input.rest();
            let Ok(Incoming::Message(message)) = read::read(object) else {
                return;
            };
            if let MessageBody::Args(array) = &message.body {
                assert!(array.get().trim_start().starts_with('['));
            }
            // As an element of a poll it is the same.
            let mut writer = PollWriter::new();
            writer.push_raw(object);
            let read = poll::read(&writer.finish("a-1")).expect("a poll of one object");
            assert_eq!(read.cursor, "a-1");
            let [Incoming::Message(again)] = &read.messages[..] else {
                panic!("one message became {:?}", read.messages);
            };
            assert_eq!((&again.id, &again.body), (&message.id, &message.body));
        }
    }
}

/// Fields of a message, then its body.
pub(super) fn envelope(data: &[u8]) {
    let mut input = Input::new(data);
    let has = input.byte();
    let channel = input.text();
    let event = EventName::new(&input.text()).unwrap_or_default();
    let id = (has & 1 != 0).then(|| input.text());
    let from = (has & 2 != 0).then(|| input.text());
    let key = (has & 4 != 0).then(|| input.text());
    let ts = input.long();
    let content = input.rest();
    let surface = args::parse_surface(content);
    let body = match (has >> 3 & 3, &surface) {
        (0, _) if json::check(content).is_ok() => Body::Json(content),
        (1, _) => Body::Text(content),
        (2, Ok((json, attachments))) => Body::Args { json, attachments },
        _ => Body::Binary(content),
    };
    let mut out = Vec::new();
    let envelope = Envelope {
        id: id.as_deref(),
        channel: Some(&channel),
        event: event.as_str(),
        body,
        ts,
        from: from.as_deref(),
        key: key.as_deref(),
    };
    envelope.write(&mut out);
    assert!(!out.iter().any(|b| matches!(b, b'\r' | b'\n')), "one line");
    let message = match read::read(&out) {
        Ok(Incoming::Message(message)) => message,
        other => panic!("{:?} reads as {other:?}", String::from_utf8_lossy(&out)),
    };
    assert_eq!(message.channel, channel);
    assert_eq!(message.event, event.as_str());
    assert_eq!(
        (message.id, message.from, message.key, message.ts),
        (id, from, key, Some(ts))
    );
    match (body, message.body) {
        (Body::Json(sent), MessageBody::Json(read)) => {
            let line = one_line(sent);
            assert_eq!(read.get().as_bytes(), line.trim_ascii());
        }
        (Body::Text(sent), MessageBody::Text(read)) => {
            assert_eq!(String::from_utf8_lossy(sent), read);
        }
        (Body::Binary(sent), MessageBody::Binary(read)) => assert_eq!(sent, &read[..]),
        (Body::Args { json, attachments }, MessageBody::Args(read)) => {
            let again = args::parse_surface(read.get().as_bytes()).expect("what we wrote");
            assert_eq!(again.1, *attachments);
            assert_eq!(again.0.trim_ascii(), one_line(json).trim_ascii());
        }
        (sent, read) => panic!("{sent:?} became {read:?}"),
    }
}

fn one_line(text: &[u8]) -> Vec<u8> {
    let space = |b: &u8| match b {
        b'\r' | b'\n' => b' ',
        other => *other,
    };
    text.iter().map(space).collect()
}

/// All of it is an array of arguments.
pub(super) fn arguments(data: &[u8]) {
    let checked = json::check(data);
    let parsed = args::parse_surface(data);
    let Ok((inner, attachments)) = &parsed else {
        return;
    };
    checked.expect("arguments that are taken are JSON");
    assert!(attachments.len() <= ATTACHMENTS);
    json::check(inner).expect("with its placeholders it still is JSON");
    let value: serde_json::Result<Vec<serde_json::Value>> = serde_json::from_slice(data);
    if let Ok(value) = value {
        assert_eq!(args::count(data), value.len());
        assert_eq!(args::count(inner), value.len());
    }
    let mut surface = Vec::new();
    args::write_surface(&mut surface, inner, attachments);
    let again = args::parse_surface(&surface).expect("what we wrote");
    assert_eq!((&again.0, &again.1), (inner, attachments));
    json::check_depth(&surface).expect("no deeper than before");
    const { assert!(JSON_DEPTH <= 128, "serde_json reads so deep") };
}
