//! Blanks out what is not product code: comments, literals, and modules under `#[cfg(test)]`.
//! Line breaks stay, so that line numbers do.

/// The text with comments, literals and test-only modules as spaces.
pub(crate) fn product_code(text: &str) -> String {
    without_tests(&without_words(text))
}

/// The text with comments and literals as spaces.
pub(crate) fn without_words(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'\'' => char_end(bytes, at),
            b'r' | b'b' | b'c' if !continues_word(bytes, at) => match raw_string_end(bytes, at) {
                Some(end) => end,
                None => at,
            },
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Only whole literals and comments were replaced, by ASCII: still UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |length| at + length)
}

/// Block comments nest.
fn comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal's end, or `at` where the quote starts a lifetime.
fn char_end(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[(at + 3).min(bytes.len())..]
            .iter()
            .position(|byte| *byte == b'\'');
        return close.map_or(at, |length| at + 3 + length + 1);
    }
    // One character of one to four bytes, then the quote.
    let is_continuation = |byte: &u8| *byte & 0b1100_0000 == 0b1000_0000;
    let rest = bytes.get(at + 2..).unwrap_or_default();
    let width = 1 + rest.iter().take_while(|byte| is_continuation(byte)).count();
    if bytes.get(at + 1 + width) == Some(&b'\'') {
        at + width + 2
    } else {
        at
    }
}

fn continues_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`. What is not raw is left to the other cases.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if matches!(bytes[at], b'b' | b'c') {
        at += 1;
    }
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    at += 1;
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let length = bytes[at + 1..]
        .windows(close.len())
        .position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| at + 1 + length + close.len()))
}

/// Blanks the body of every inline module under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(mark) = out[from..].find(MARK).map(|offset| from + offset) {
        let after = mark + MARK.len();
        from = after;
        let rest = &out[after..];
        let (Some(open), semicolon) = (rest.find('{'), rest.find(';')) else {
            continue;
        };
        let is_module = rest[..open].split_whitespace().any(|word| word == "mod");
        if !is_module || semicolon.is_some_and(|semicolon| semicolon < open) {
            continue;
        }
        let end = after + block_end(rest, open);
        let blank: String = out[after..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(after..end, &blank);
    }
    out
}

/// Just past the brace that closes the one at `open`, in blanked code.
pub(crate) fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code[open..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if byte == b'}' && depth == 0 {
            return open + offset + 1;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_go_and_code_stays() {
        let text =
            "let a = \"x \\\" mpsc\"; // mpsc\nlet b = r#\"mpsc \" \"#; /* a /* mpsc */ b */ c";
        let code = without_words(text);
        assert!(!code.contains("mpsc"), "{code}");
        assert!(code.contains("let a =") && code.contains("let b =") && code.ends_with(" c"));
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn lifetimes_are_no_literals() {
        let code = without_words(
            "fn f<'a>(x: &'a str, q: char) { q == '\"' || q == 'é' || q == '\\'' ; g() }",
        );
        assert!(code.contains("g() }"), "{code}");
        assert!(code.contains("<'a>"), "{code}");
        assert!(!code.contains('é'));
    }

    #[test]
    fn test_modules_go_and_later_code_stays() {
        let code =
            product_code("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n");
        assert!(
            !code.contains("fn b") && code.contains("fn a") && code.contains("fn c"),
            "{code}"
        );
        assert_eq!(code.lines().count(), 6);
    }

    #[test]
    fn a_test_only_function_or_file_does_not_hide_what_follows() {
        let code = product_code(
            "#[cfg(test)]\nmod tests;\nmod a { fn kept() {} }\n#[cfg(test)]\nfn f() { kept() }",
        );
        assert!(code.contains("fn kept") && code.contains("fn f"), "{code}");
    }
}
