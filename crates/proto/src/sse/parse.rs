//! Reading an event stream, as WHATWG HTML says a browser does.

use crate::error::DecodeError;
use crate::limits;

/// What a parser takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in bytes.
    pub max_line: usize,
    /// Most bytes of data in one event.
    pub max_event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_line: limits::SSE_LINE_BYTES,
            max_event: limits::SSE_EVENT_BYTES,
        }
    }
}

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name; `message` where none was given.
    pub event: String,
    /// The data lines, joined by `\n`.
    pub data: String,
    /// The last event id in force: this event's own, or an earlier one's; empty
    /// where none was ever given.
    pub id: String,
    /// Whether this event's own block carried an `id:` line.
    pub has_own_id: bool,
}

/// An incremental parser of one response body. Make a new one for every
/// connection, and hand on the last id and the retry time yourself.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// The line under way, without its end.
    line: Vec<u8>,
    /// The last byte was CR: a LF right after it belongs to the same line end.
    after_cr: bool,
    /// The first line has been seen, and with it a byte order mark.
    begun: bool,
    data: Vec<u8>,
    event: Vec<u8>,
    id: String,
    own_id: bool,
    last_id: String,
    retry: Option<u64>,
}

impl Parser {
    /// A parser at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            line: Vec::new(),
            after_cr: false,
            begun: false,
            data: Vec::new(),
            event: Vec::new(),
            id: String::new(),
            own_id: false,
            last_id: String::new(),
            retry: None,
        }
    }

    /// Takes bytes from the front of `input`, which moves on, up to the next
    /// event. `None` means that all input was used up. What is unfinished when
    /// the stream ends was never an event: drop the parser.
    ///
    /// # Errors
    /// `TooLarge` for a line or an event over its limit; give the stream up.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event>, DecodeError> {
        loop {
            if self.after_cr && !input.is_empty() {
                self.after_cr = false;
                if input[0] == b'\n' {
                    *input = &input[1..];
                }
            }
            let end = input.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let part = &input[..end.unwrap_or(input.len())];
            if self.line.len() + part.len() > self.limits.max_line {
                // Seen so far: how much more there would be is not known.
                let got = self.limits.max_line as u64 + 1;
                return Err(DecodeError::TooLarge {
                    limit: self.limits.max_line,
                    got,
                });
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else {
                *input = &[];
                return Ok(None);
            };
            self.after_cr = input[end] == b'\r';
            *input = &input[end + 1..];
            let line = std::mem::take(&mut self.line);
            let event = self.take_line(&line)?;
            self.line = line;
            self.line.clear();
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The last event id in force; empty where none was given. It changes where
    /// a block ends, not where its `id:` line stands.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// The latest `retry:` in milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    fn take_line(&mut self, mut line: &[u8]) -> Result<Option<Event>, DecodeError> {
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (name, value) = match line.iter().position(|&b| b == b':') {
            Some(at) => (
                &line[..at],
                line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..]),
            ),
            None => (line, &b""[..]),
        };
        match name {
            b"data" => {
                let got = self.data.len() + value.len() + 1;
                if got > self.limits.max_event {
                    return Err(DecodeError::TooLarge {
                        limit: self.limits.max_event,
                        got: got as u64,
                    });
                }
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => {
                self.event.clear();
                self.event.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => {
                self.id = String::from_utf8_lossy(value).into_owned();
                self.own_id = true;
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // More digits than fit: as long as can be said.
                let text = std::str::from_utf8(value).unwrap_or_default();
                self.retry = Some(text.parse().unwrap_or(u64::MAX));
            }
            // An empty name is a comment; others are for later versions.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.id);
        let has_own_id = std::mem::take(&mut self.own_id);
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        // Each data line left a \n behind: none means that there was no line.
        data.pop()?;
        let event = if event.is_empty() {
            "message".to_owned()
        } else {
            lossy(event)
        };
        Some(Event {
            event,
            data: lossy(data),
            id: self.last_id.clone(),
            has_own_id,
        })
    }
}

/// UTF-8 as the standard decodes it: what is not becomes U+FFFD.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
