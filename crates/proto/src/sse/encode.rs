//! Blocks of an event stream, to write.

/// One block: what a blank line ends.
///
/// Without `data` it dispatches no event in a browser; with `data`, even empty,
/// it does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Block<'a> {
    /// Reconnection time in milliseconds.
    pub retry: Option<u64>,
    /// What a returning client will send as `Last-Event-ID`. One that holds
    /// CR, LF or NUL is left out: a reader would ignore it, or worse.
    pub id: Option<&'a str>,
    /// The event's name; leave it out for `message`. One that holds CR or LF is
    /// left out (publishing refuses such names).
    pub event: Option<&'a str>,
    /// The body, UTF-8. CR, LF and CRLF each end a line; every line becomes a
    /// `data:` line, and an empty body is one empty `data:` line.
    pub data: Option<&'a [u8]>,
}

impl Block<'_> {
    /// Appends the block and the blank line that ends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(ms) = self.retry {
            field(out, b"retry", ms.to_string().as_bytes());
        }
        if let Some(id) = self.id.filter(|id| !id.contains(['\r', '\n', '\0'])) {
            field(out, b"id", id.as_bytes());
        }
        if let Some(event) = self.event.filter(|e| !e.contains(['\r', '\n'])) {
            field(out, b"event", event.as_bytes());
        }
        if let Some(data) = self.data {
            write_data(out, data);
        }
        out.push(b'\n');
    }

    /// About how long the block will be, in bytes: exact but for bodies of
    /// several lines.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        let line = |value: Option<usize>, name: usize| value.map_or(0, |n| name + n + 3);
        self.retry.map_or(0, |_| 28)
            + line(self.id.map(str::len), 2)
            + line(self.event.map(str::len), 5)
            + line(self.data.map(<[u8]>::len), 4)
            + 1
    }
}

/// Appends a comment line, which keeps a quiet connection alive and is never
/// seen by the page. Line ends in `text` become spaces.
pub fn comment(out: &mut Vec<u8>, text: &str) {
    out.push(b':');
    out.extend(
        text.bytes()
            .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }),
    );
    out.extend_from_slice(b"\n\n");
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    // A reader takes one space away: always writing it keeps a value that
    // begins with a space whole.
    out.extend_from_slice(if value.is_empty() { b":" } else { b": " });
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn write_data(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        field(out, b"data", &rest[..at]);
        let crlf = rest[at] == b'\r' && rest.get(at + 1) == Some(&b'\n');
        rest = &rest[at + 1 + usize::from(crlf)..];
    }
    field(out, b"data", rest);
}
