//! Lines of a stream, read with bounded memory.

use std::io::{self, BufRead};

/// Reads lines of at most `limit` bytes.
pub(crate) struct Lines<R> {
    input: R,
    limit: usize,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end (`\n` or `\r\n`). The last one may have had none.
    Whole(Vec<u8>),
    /// A line over the limit; it was read to its end and dropped.
    TooLong,
    /// The input is at its end.
    End,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `input`.
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, limit }
    }

    /// Waits for the next line.
    ///
    /// # Errors
    /// Those of the input.
    pub(crate) fn next_line(&mut self) -> io::Result<Line> {
        let (mut line, mut too_long, mut any) = (Vec::new(), false, false);
        loop {
            let piece = match self.input.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if piece.is_empty() && !any {
                return Ok(Line::End);
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let body = &piece[..end.unwrap_or(piece.len())];
            any = true;
            // One byte more may be the \r of the line's end.
            too_long |= line.len() + body.len() > self.limit + 1;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(body);
            }
            let (taken, last) = (body.len() + usize::from(end.is_some()), piece.is_empty());
            self.input.consume(taken);
            if end.is_none() && !last {
                continue;
            }
            if end.is_some() && line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(match too_long || line.len() > self.limit {
                true => Line::TooLong,
                false => Line::Whole(line),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::BufReader;

    use super::*;

    /// Everything in `text`, over a buffer of `capacity` bytes.
    fn read(text: &str, limit: usize, capacity: usize) -> Vec<Line> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, text.as_bytes()), limit);
        let mut all = Vec::new();
        loop {
            match lines.next_line().unwrap() {
                Line::End => return all,
                line => all.push(line),
            }
        }
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_without_their_ends_however_they_are_cut() {
        for capacity in 1..20 {
            let found = read("a\n\nbc\r\nd\re\nlast", 10, capacity);
            let expected = ["a", "", "bc", "d\re", "last"].map(whole);
            assert_eq!(found, expected, "{capacity}");
            assert_eq!(read("", 10, capacity), []);
            assert_eq!(read("\n", 10, capacity), [whole("")]);
        }
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_past_it_is_dropped_whole() {
        for capacity in 1..20 {
            let found = read(
                "12345\n12345\r\n123456\n1234567890123\nok\n123456",
                5,
                capacity,
            );
            let expected = [
                whole("12345"),
                whole("12345"),
                Line::TooLong,
                Line::TooLong,
                whole("ok"),
                Line::TooLong,
            ];
            assert_eq!(found, expected, "{capacity}");
        }
    }
}
