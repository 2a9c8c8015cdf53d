//! As much HTTP/2 as a load needs (RFC 9113): frames in both directions, windows,
//! and the status of an answer. What it sends stands in one buffer, what it
//! receives is told as events; it touches no socket.
//!
//! Requests come as HTTP/1.1 writes them, and go out in the static table and in
//! literals (RFC 7541, 6.2.2): heads a little longer than a browser's.

use crate::error::{Error, Result};

/// What a client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Room for a stream and for a connection, as browsers give it.
const STREAM_WINDOW: u32 = 6 << 20;
const WINDOW: u32 = 15 << 20;
/// What every side must take before settings say otherwise (6.5.2, 6.9.2).
const DEFAULT_WINDOW: i64 = 65_535;
const MAX_FRAME: usize = 16 << 10;
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// An error code: not needed any more (7).
const CANCEL: u32 = 8;

/// What came. `id` is what the request was made with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Head {
        id: usize,
        status: u16,
    },
    /// A piece of a body, between these places of what was fed.
    Data {
        id: usize,
        from: usize,
        to: usize,
    },
    End {
        id: usize,
    },
    Reset {
        id: usize,
    },
    /// The server's settings: only now may a WebSocket be opened (RFC 8441, 3).
    Settled,
}

/// One stream that is open.
#[derive(Debug)]
struct Open {
    stream: u32,
    id: usize,
    /// What may still be sent on it.
    window: i64,
    /// What waits for that, and whether it is the last.
    waiting: Vec<u8>,
    last: bool,
    /// Received since its window was opened last.
    received: u32,
}

/// Where in a frame the connection is.
#[derive(Debug)]
enum At {
    Head,
    /// A frame that is gathered.
    Frame {
        kind: u8,
        flags: u8,
        stream: u32,
        len: usize,
    },
    /// In a body.
    Data {
        stream: u32,
        left: usize,
        end: bool,
    },
}

/// One connection.
#[derive(Debug)]
pub(super) struct Http2 {
    secure: bool,
    /// The number of the next stream.
    next: u32,
    /// In the order of their numbers.
    open: Vec<Open>,
    window: i64,
    /// What a new stream may send.
    initial: i64,
    received: u32,
    at: At,
    part: Vec<u8>,
    /// The status that was spelled out last: one that the server's table
    /// stands for later is taken for it.
    spelled: u16,
    /// Frames to be sent.
    pub(super) out: Vec<u8>,
}

impl Http2 {
    /// A new connection; what it says first is in `out`.
    pub(super) fn new(secure: bool) -> Http2 {
        let mut out = PREFACE.to_vec();
        frame(&mut out, SETTINGS, 0, 0, 6 * 2);
        // No pushes (6.5.2); a larger window.
        out.extend_from_slice(&[0, 2, 0, 0, 0, 0, 0, 4]);
        out.extend_from_slice(&STREAM_WINDOW.to_be_bytes());
        window_update(&mut out, 0, WINDOW - DEFAULT_WINDOW as u32);
        Http2 {
            secure,
            next: 1,
            open: Vec::new(),
            window: DEFAULT_WINDOW,
            initial: DEFAULT_WINDOW,
            received: 0,
            at: At::Head,
            part: Vec::new(),
            spelled: 0,
            out,
        }
    }

    /// Makes a request of one that is written as HTTP/1.1; a WebSocket's
    /// handshake becomes an Extended CONNECT.
    pub(super) fn request(&mut self, id: usize, text: &[u8]) -> Result<()> {
        let (block, body) = self.block(text)?;
        let websocket = text_is_websocket(text);
        let stream = self.next;
        self.next += 2;
        let end = body.is_empty() && !websocket;
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        frame(&mut self.out, HEADERS, flags, stream, block.len());
        self.out.extend_from_slice(&block);
        self.open.push(Open {
            stream,
            id,
            window: self.initial,
            waiting: body.to_vec(),
            last: !end && !websocket,
            received: 0,
        });
        let place = self.open.len() - 1;
        self.pump(place);
        Ok(())
    }

    /// Sends on the stream of a request.
    pub(super) fn data(&mut self, id: usize, bytes: &[u8]) {
        if let Some(place) = self.open.iter().position(|open| open.id == id) {
            self.open[place].waiting.extend_from_slice(bytes);
            self.pump(place);
        }
    }

    /// Ends the streams of a client without a word about its end.
    pub(super) fn reset(&mut self, id: usize) {
        if let Some(place) = self.open.iter().position(|open| open.id == id) {
            let stream = self.open.remove(place).stream;
            frame(&mut self.out, RST_STREAM, 0, stream, 4);
            self.out.extend_from_slice(&CANCEL.to_be_bytes());
        }
    }

    /// The next event in `bytes` from `at` on, which moves. None: all was taken.
    ///
    /// # Errors
    /// Bytes that are no HTTP/2, or more of it than is read here.
    pub(super) fn next(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Event>> {
        loop {
            match self.at {
                At::Head => {
                    if !self.gather(bytes, at, HEAD) {
                        return Ok(None);
                    }
                    self.at = self.begin()?;
                }
                At::Data {
                    stream,
                    left: 0,
                    end,
                } => {
                    self.at = At::Head;
                    if end && let Some(open) = self.close(stream) {
                        return Ok(Some(Event::End { id: open.id }));
                    }
                }
                At::Data { stream, left, end } => {
                    let took = left.min(bytes.len() - *at);
                    if took == 0 {
                        return Ok(None);
                    }
                    let (from, to) = (*at, *at + took);
                    *at = to;
                    self.at = At::Data {
                        stream,
                        left: left - took,
                        end,
                    };
                    self.give_back(stream, took as u32);
                    if let Some(place) = self.place(stream) {
                        let id = self.open[place].id;
                        return Ok(Some(Event::Data { id, from, to }));
                    }
                }
                At::Frame {
                    kind,
                    flags,
                    stream,
                    len,
                } => {
                    if !self.gather(bytes, at, len) {
                        return Ok(None);
                    }
                    self.at = At::Head;
                    let body = std::mem::take(&mut self.part);
                    if let Some(event) = self.whole(kind, flags, stream, &body)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Gathers `len` bytes in `part`; false where they have not all come.
    fn gather(&mut self, bytes: &[u8], at: &mut usize, len: usize) -> bool {
        let took = (len - self.part.len()).min(bytes.len() - *at);
        self.part.extend_from_slice(&bytes[*at..*at + took]);
        *at += took;
        self.part.len() == len
    }

    /// A frame's head is whole.
    fn begin(&mut self) -> Result<At> {
        let head = std::mem::take(&mut self.part);
        let [a, b, c, kind, flags, s1, s2, s3, s4] = head[..] else {
            return Err(Error::new("a frame's head is 9 bytes"));
        };
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([s1, s2, s3, s4]) & 0x7fff_ffff;
        if len > MAX_FRAME {
            return Err(Error::new("the server sent what is no HTTP/2"));
        }
        let padded = matches!(kind, DATA | HEADERS) && flags & PADDED != 0;
        if padded || (kind == HEADERS && flags & END_HEADERS == 0) {
            return Err(Error::new(
                "the server pads its frames, or sends a head in several: neither is read here",
            ));
        }
        Ok(match kind {
            DATA => At::Data {
                stream,
                left: len,
                end: flags & END_STREAM != 0,
            },
            kind => At::Frame {
                kind,
                flags,
                stream,
                len,
            },
        })
    }

    /// A frame that is no data is whole.
    fn whole(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) -> Result<Option<Event>> {
        let number = |at: usize| {
            let four = body.get(at..at + 4)?;
            Some(u32::from_be_bytes(four.try_into().ok()?))
        };
        match kind {
            HEADERS => {
                let skip = if flags & PRIORITY != 0 { 5 } else { 0 };
                let status = self.status(body.get(skip..).unwrap_or_default())?;
                self.at = At::Data {
                    stream,
                    left: 0,
                    end: flags & END_STREAM != 0,
                };
                let id = self.place(stream).map(|place| self.open[place].id);
                return Ok(id.map(|id| Event::Head { id, status }));
            }
            RST_STREAM => {
                let open = self.close(stream);
                return Ok(open.map(|open| Event::Reset { id: open.id }));
            }
            SETTINGS if flags & ACK == 0 => {
                for setting in body.chunks_exact(6) {
                    if setting[..2] == [0, 4] {
                        let value = [setting[2], setting[3], setting[4], setting[5]];
                        let value = i64::from(u32::from_be_bytes(value) & 0x7fff_ffff);
                        let more = value - self.initial;
                        self.initial = value;
                        self.open.iter_mut().for_each(|open| open.window += more);
                    }
                }
                frame(&mut self.out, SETTINGS, ACK, 0, 0);
                return Ok(Some(Event::Settled));
            }
            PING if flags & ACK == 0 => {
                frame(&mut self.out, PING, ACK, 0, body.len());
                self.out.extend_from_slice(body);
            }
            WINDOW_UPDATE => {
                let more = i64::from(number(0).unwrap_or_default() & 0x7fff_ffff);
                match self.place(stream) {
                    Some(place) => self.open[place].window += more,
                    None if stream == 0 => self.window += more,
                    None => {}
                }
                (0..self.open.len()).for_each(|place| self.pump(place));
            }
            // Whatever else there is asks for no answer; after a GOAWAY the
            // connection ends, and that is seen.
            _ => {}
        }
        Ok(None)
    }

    /// Sends of a stream what its window and the connection's let.
    fn pump(&mut self, place: usize) {
        let open = &mut self.open[place];
        let mut sent = 0;
        loop {
            let left = open.waiting.len() - sent;
            let room = open.window.min(self.window).max(0) as usize;
            let len = left.min(room).min(MAX_FRAME);
            if left == 0 || len == 0 {
                break;
            }
            let last = open.last && len == left;
            let flags = if last { END_STREAM } else { 0 };
            frame(&mut self.out, DATA, flags, open.stream, len);
            self.out.extend_from_slice(&open.waiting[sent..sent + len]);
            open.window -= len as i64;
            self.window -= len as i64;
            sent += len;
        }
        open.waiting.drain(..sent);
    }

    /// Bytes of a body were taken: windows are opened again in large steps.
    fn give_back(&mut self, stream: u32, taken: u32) {
        self.received += taken;
        if self.received >= WINDOW / 2 {
            window_update(&mut self.out, 0, self.received);
            self.received = 0;
        }
        if let Some(place) = self.place(stream) {
            let open = &mut self.open[place];
            open.received += taken;
            if open.received >= STREAM_WINDOW / 2 {
                window_update(&mut self.out, stream, open.received);
                open.received = 0;
            }
        }
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.open
            .binary_search_by_key(&stream, |open| open.stream)
            .ok()
    }

    fn close(&mut self, stream: u32) -> Option<Open> {
        let place = self.place(stream)?;
        Some(self.open.remove(place))
    }

    /// The status, which stands first (RFC 9113, 8.3; RFC 7541, appendix A).
    fn status(&mut self, mut block: &[u8]) -> Result<u16> {
        // A new size of the table (RFC 7541, 6.3), in one byte or in several.
        while let Some(&first) = block.first()
            && first & 0xe0 == 0x20
        {
            let long = if first & 0x1f == 0x1f {
                1 + block[1..]
                    .iter()
                    .take_while(|byte| *byte & 0x80 != 0)
                    .count()
            } else {
                0
            };
            block = block.get(1 + long..).unwrap_or_default();
        }
        let status = match block {
            [first @ 0x88..=0x8e, ..] => {
                [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)]
            }
            // By a place in the server's own table.
            [0xbe..=0xff, ..] => self.spelled,
            [0x08 | 0x18 | 0x48, len, value @ ..] => {
                let digits = value.get(..usize::from(len & 0x7f)).unwrap_or_default();
                self.spelled = match len & 0x80 != 0 {
                    true => huffman(digits),
                    false => std::str::from_utf8(digits)
                        .ok()
                        .and_then(|d| d.parse().ok()),
                }
                .unwrap_or_default();
                self.spelled
            }
            _ => 0,
        };
        match status {
            100..=599 => Ok(status),
            _ => Err(Error::new(
                "an answer over HTTP/2 does not begin with its status",
            )),
        }
    }

    /// A request's head as HPACK has it, and its body.
    fn block<'a>(&self, text: &'a [u8]) -> Result<(Vec<u8>, &'a [u8])> {
        let Some(end) = crate::http::head_len(text)? else {
            return Err(Error::new("a request without an end of its head"));
        };
        let mut lines = text[..end - 4].split(|&byte| byte == b'\n');
        let mut words = lines.next().unwrap_or_default().split(|&byte| byte == b' ');
        let (method, path) = (words.next(), words.next());
        let (method, path) = (method.unwrap_or_default(), path.unwrap_or_default());
        let websocket = text_is_websocket(text);
        let mut block = Vec::with_capacity(end + 32);
        match method {
            _ if websocket => named(&mut block, 2, b"CONNECT"),
            b"GET" => block.push(0x82),
            b"POST" => block.push(0x83),
            method => named(&mut block, 2, method),
        }
        block.push(if self.secure { 0x87 } else { 0x86 });
        named(&mut block, 4, path);
        let mut fields = Vec::new();
        for line in lines {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
            match &line[..colon].to_ascii_lowercase()[..] {
                b"host" => named(&mut block, 1, value),
                b"connection" | b"upgrade" | b"sec-websocket-key" => {}
                name => {
                    fields.push(0);
                    string(&mut fields, name);
                    string(&mut fields, value);
                }
            }
        }
        if websocket {
            block.push(0);
            string(&mut block, b":protocol");
            string(&mut block, b"websocket");
        }
        block.extend_from_slice(&fields);
        if block.len() > MAX_FRAME {
            return Err(Error::new("a request's head is over 16 KiB"));
        }
        Ok((block, &text[end..]))
    }
}

fn text_is_websocket(text: &[u8]) -> bool {
    crate::http::header(text, "upgrade").is_some()
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, len: usize) {
    out.extend_from_slice(&(len as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

fn window_update(out: &mut Vec<u8>, stream: u32, more: u32) {
    frame(out, WINDOW_UPDATE, 0, stream, 4);
    out.extend_from_slice(&more.to_be_bytes());
}

/// A field whose name is in the static table, not to be remembered.
fn named(out: &mut Vec<u8>, name: u8, value: &[u8]) {
    out.push(name);
    string(out, value);
}

/// A string (RFC 7541, 5.2), its length in 7 bits and what follows (5.1).
fn string(out: &mut Vec<u8>, value: &[u8]) {
    match value.len() {
        short @ 0..=126 => out.push(short as u8),
        long => {
            out.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                out.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(value);
}

/// Digits in Huffman's code (RFC 7541, appendix B): `0` to `2` have five bits,
/// the others six.
fn huffman(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u16> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
        .collect();
    let take = |from: usize, len: usize| {
        let some = bits.get(from..from + len)?;
        Some(some.iter().fold(0, |all, bit| all << 1 | bit))
    };
    let (mut at, mut value) = (0, 0);
    for _ in 0..3 {
        let (digit, len) = match take(at, 5)? {
            small @ 0..=2 => (small, 5),
            _ => (
                take(at, 6)?
                    .checked_sub(22)
                    .filter(|d| (3..10).contains(d))?,
                6,
            ),
        };
        value = value * 10 + digit;
        at += len;
    }
    Some(value)
}

/// What pieces of a server's side say to three requests, bodies in one piece
/// each, and whether all of it was read.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<(String, Vec<u8>)>, bool) {
    let mut http2 = Http2::new(true);
    for id in [10, 30, 50] {
        let asked = http2.request(id, b"GET /c/x HTTP/1.1\r\nHost: a:1\r\nAccept: b\r\n\r\n");
        debug_assert!(asked.is_ok());
    }
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for piece in pieces {
        let mut at = 0;
        loop {
            match http2.next(piece, &mut at) {
                Err(_) => return (all, false),
                Ok(None) => break,
                Ok(Some(Event::Data { id, from, to })) => {
                    let name = format!("body {id}");
                    match all.last_mut().filter(|(last, _)| *last == name) {
                        Some((_, body)) => body.extend_from_slice(&piece[from..to]),
                        None => all.push((name, piece[from..to].to_vec())),
                    }
                }
                Ok(Some(event)) => all.push((format!("{event:?}"), Vec::new())),
            }
        }
        debug_assert_eq!(at, piece.len());
    }
    (all, true)
}

#[cfg(test)]
mod tests;
