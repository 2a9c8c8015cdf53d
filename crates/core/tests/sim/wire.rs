//! Fake wire forms whose units are trivially told apart: one line of words, and
//! for a message its body after it, by length. Form 0 writes gaps, form 1 has no
//! place for them.

use std::time::Duration;

use bytes::Bytes;
use fanwire_core::cursor::{Cursor, CursorText};
use fanwire_core::hub::{Delivery, Encoder, End, Gap, GapForm, Ready};
use fanwire_core::message::Body;

use crate::events::{At, Heard, Rx, Told};

/// A form; `gaps`: it has a place for them.
pub struct Form {
    pub gaps: bool,
}

/// What a connection read.
#[derive(Clone, Debug)]
pub enum Unit {
    Rx(Rx),
    /// What came at attach goes out before everything else.
    Preface,
    KeepAlive,
    /// The server stops.
    Drain,
    /// A reply of the connection's own, by number; with how far it had been served.
    Reply(u64, Option<At>),
    /// The last words.
    End(String),
}

fn split(text: &str) -> At {
    let (epoch, seq) = text.split_once('-').unwrap_or(("?", "0"));
    (epoch.to_owned(), seq.parse().unwrap_or(0))
}

fn maybe(text: &str) -> Option<At> {
    (text != "-").then(|| split(text))
}

/// A cursor as core reads it.
pub fn cursor(text: &str) -> CursorText {
    Cursor::read(text.as_bytes())
}

fn or_dash(cursor: Option<Cursor>) -> String {
    cursor.map_or("-".to_owned(), |cursor| cursor.to_string())
}

impl Encoder for Form {
    fn message(&self, delivery: Delivery<'_>) -> Bytes {
        let Body::Text(body) = &delivery.message.body else {
            return Bytes::from_static(b"? not a text\n");
        };
        let word = if delivery.id.is_some() { 'M' } else { 'V' };
        let (at, channel) = (delivery.cursor, delivery.channel);
        let mut unit = format!("{word} {at} {channel} {}\n", body.len()).into_bytes();
        unit.extend_from_slice(body);
        unit.into()
    }

    fn gap(&self, gap: &Gap) -> GapForm {
        if !self.gaps {
            return GapForm::Ends;
        }
        let (lost, id) = (or_dash(gap.lost_through), or_dash(gap.id));
        let (channel, reason) = (&gap.channel, gap.reason.as_str());
        GapForm::Unit(format!("G {channel} {reason} {lost} {} {id}\n", gap.cursor).into())
    }

    fn ready(&self, ready: &Ready<'_>) -> Bytes {
        let channels: Vec<String> = ready.channels.iter().map(ToString::to_string).collect();
        format!(
            "R {} {} {}\n",
            ready.cursor,
            ready.conn.as_str(),
            channels.join(",")
        )
        .into()
    }

    fn replies_wait(&self) -> bool {
        self.gaps
    }

    fn cursor(&self, cursor: Cursor) -> Option<Bytes> {
        Some(format!("C {cursor}\n").into())
    }

    fn keep_alive(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"K\n"))
    }

    fn drain(&self, within: Duration) -> Option<Bytes> {
        let ms = within.as_millis();
        self.gaps.then(|| format!("D {ms}\n").into())
    }

    fn end(&self, end: &End, _: u64) -> Bytes {
        match end {
            End::Gap(cursor) => format!("X {cursor}\n").into(),
            End::Slow => Bytes::from_static(b"E slow\n"),
            End::Silent => Bytes::from_static(b"E silent\n"),
            End::Refused(refusal) => format!("E {}\n", refusal.code.as_str()).into(),
            End::Shutdown => Bytes::from_static(b"E shutdown\n"),
            End::Fault => Bytes::from_static(b"E fault\n"),
            End::Close(code, _) => format!("E {code}\n").into(),
            End::Answered | End::Gone => Bytes::new(),
        }
    }

    fn answer(&self, preface: &Bytes, units: &[Bytes], cursor: Cursor) -> Bytes {
        let mut answer = preface.to_vec();
        units.iter().for_each(|unit| answer.extend_from_slice(unit));
        answer.extend_from_slice(format!("A {cursor}\n").as_bytes());
        answer.into()
    }
}

/// Reads units from bytes that come in pieces.
#[derive(Default)]
pub struct Parser {
    pending: Vec<u8>,
}

impl Parser {
    /// No unit is half read.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes more bytes; gives the units that are whole now.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Unit>, String> {
        self.pending.extend_from_slice(bytes);
        let (mut units, mut from) = (Vec::new(), 0);
        while let Some((unit, len)) = next(&self.pending[from..])? {
            units.push(unit);
            from += len;
        }
        self.pending.drain(..from);
        Ok(units)
    }
}

/// The first unit and its length, where it is whole.
fn next(bytes: &[u8]) -> Result<Option<(Unit, usize)>, String> {
    let Some(line_end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = std::str::from_utf8(&bytes[..line_end]).map_err(|_| "a torn unit")?;
    let words: Vec<&str> = line.split(' ').collect();
    let mut len = line_end + 1;
    let rx = match words[..] {
        [word @ ("M" | "V"), at, channel, size] => {
            let size: usize = size.parse().map_err(|_| format!("a torn unit: {line}"))?;
            let Some(body) = bytes.get(len..len + size) else {
                return Ok(None);
            };
            len += size;
            let body = String::from_utf8_lossy(body).into_owned();
            Rx::Message(Heard {
                id: (word == "M").then(|| split(at)),
                after: (word == "V").then(|| split(at)),
                channel: channel.to_owned(),
                body,
            })
        }
        ["G", channel, reason, lost, cursor, id] => Rx::Gap(Told {
            channel: channel.to_owned(),
            reason: reason.to_owned(),
            lost: maybe(lost),
            cursor: split(cursor),
            id: maybe(id),
        }),
        ["R", cursor, ..] => Rx::Ready(split(cursor)),
        ["C", cursor] => Rx::Cursor(split(cursor)),
        ["A", cursor] => Rx::Answer(split(cursor)),
        ["X", cursor] => Rx::EndGap(split(cursor)),
        ["P"] => return Ok(Some((Unit::Preface, len))),
        ["D", _] => return Ok(Some((Unit::Drain, len))),
        ["K"] => return Ok(Some((Unit::KeepAlive, len))),
        ["Y", number, at] => {
            let number = number.parse().map_err(|_| format!("a torn unit: {line}"))?;
            return Ok(Some((Unit::Reply(number, maybe(at)), len)));
        }
        ["E", why] => return Ok(Some((Unit::End(why.to_owned()), len))),
        _ => return Err(format!("a torn unit: {line}")),
    };
    Ok(Some((Unit::Rx(rx), len)))
}

/// What a unit counts as.
pub fn kind(rx: &Rx) -> &'static str {
    match rx {
        Rx::Message(heard) if heard.id.is_none() => "volatile heard",
        Rx::Message(heard) if heard.body.len() > 2_000 => "large message heard",
        Rx::Message(_) => "message heard",
        Rx::Ready(_) => "$ready",
        Rx::Cursor(_) => "$cursor",
        Rx::Answer(_) => "poll answered",
        Rx::EndGap(_) => "told 3010",
        Rx::Gap(told) => match (told.reason.as_str(), told.id.is_some()) {
            ("trimmed", false) => "told trimmed",
            ("trimmed", true) => "told trimmed in mid-stream",
            ("history_off", false) => "told history_off",
            ("history_off", true) => "told history_off in mid-stream",
            ("epoch_unknown", _) => "told epoch_unknown",
            ("rewound", false) => "told rewound",
            ("rewound", true) => "told rewound in mid-stream",
            ("malformed", _) => "told malformed",
            ("empty", _) => "told empty",
            ("future", _) => "told future",
            ("lost", false) => "told lost",
            ("lost", true) => "told lost in mid-stream",
            _ => "told something else",
        },
    }
}

/// The cursor that a client keeps from a unit.
pub fn seen(rx: &Rx) -> Option<(At, &'static str)> {
    match rx {
        Rx::Ready(at) => Some((at.clone(), "back with $ready's")),
        Rx::Message(heard) => match (&heard.id, &heard.after) {
            (Some(id), _) => Some((id.clone(), "back with a message's id")),
            (None, Some(at)) => Some((at.clone(), "back with a volatile's place")),
            (None, None) => None,
        },
        Rx::Gap(told) => told.id.clone().map(|id| (id, "back with a $gap's id")),
        Rx::Cursor(at) => Some((at.clone(), "back with $cursor's")),
        Rx::Answer(at) => Some((at.clone(), "back with a poll's cursor")),
        Rx::EndGap(at) => Some((at.clone(), "back with a 3010's cursor")),
    }
}
