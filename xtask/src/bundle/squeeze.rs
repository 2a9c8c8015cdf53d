//! One line of JavaScript without what it does not need.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Takes needless spaces and comments out of lines, and makes private names (`#name`) short: the
/// same one always the same.
#[derive(Debug, Default)]
pub(super) struct Squeezer {
    privates: BTreeMap<String, String>,
}

impl Squeezer {
    /// The line; the error says what in it goes on over its end.
    pub(super) fn line(&mut self, line: &str) -> Result<String, String> {
        let mut out = String::with_capacity(line.len());
        let mut rest = line.chars().peekable();
        while let Some(next) = rest.next() {
            match next {
                '\'' | '"' | '`' => literal(next, &mut rest, &mut out)?,
                '/' if rest.peek() == Some(&'/') => break,
                '/' if starts_a_value(&out) => literal('/', &mut rest, &mut out)?,
                '#' => {
                    let name = self.short(&word(&mut rest));
                    out.push('#');
                    out.push_str(&name);
                }
                ' ' => {
                    if let (Some(before), Some(&after)) = (out.chars().last(), rest.peek())
                        && keeps_apart(before, after)
                    {
                        out.push(' ');
                    }
                }
                other => out.push(other),
            }
        }
        out.truncate(out.trim_end().len());
        Ok(out)
    }

    /// A letter, then two of them.
    fn short(&mut self, name: &str) -> String {
        let count = self.privates.len();
        let letter = |n: usize| char::from(b"abcdefghijklmnopqrstuvwxyz"[n % 26]);
        let made = || match count / 26 {
            0 => letter(count).to_string(),
            more => [letter(more - 1), letter(count)].iter().collect(),
        };
        let short = self.privates.entry(name.to_owned()).or_insert_with(made);
        short.clone()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

/// What would read as something else without a space between.
fn keeps_apart(before: char, after: char) -> bool {
    (is_word(before) && is_word(after)) || (before == after && matches!(after, '+' | '-'))
}

/// Whether a slash after `before` begins a regular expression; else it divides.
fn starts_a_value(before: &str) -> bool {
    match before.chars().last() {
        None => true,
        Some(last) => "(,=:[!&|?{};".contains(last),
    }
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(next) = rest.next_if(|c| is_word(*c)) {
        word.push(next);
    }
    word
}

/// Copies a string, template or regular expression up to its end.
fn literal(mark: char, rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push(mark);
    let mut in_class = false;
    while let Some(next) = rest.next() {
        out.push(next);
        match next {
            '\\' => out.extend(rest.next()),
            '[' if mark == '/' => in_class = true,
            ']' => in_class = false,
            _ if next == mark && !in_class => return Ok(()),
            _ => {}
        }
    }
    Err(format!("what {mark} begins does not end on its line"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spaces_go_where_nothing_is_read_differently() {
        for (line, expected) in [
            ("const { a, b } = c;", "const{a,b}=c;"),
            ("return a + +b - -c;", "return a+ +b- -c;"),
            ("if (a in b) return [...c];", "if(a in b)return[...c];"),
            (
                "const half = all / 2 / 'a / b'.length;",
                "const half=all/2/'a / b'.length;",
            ),
            (
                "x.replace(/[/'] \\/ /g, \"  \"); // why",
                "x.replace(/[/'] \\/ /g,\"  \");",
            ),
            ("y = `a ${b + ' '} \\` c`;", "y=`a ${b + ' '} \\` c`;"),
            ("// nothing", ""),
        ] {
            assert_eq!(Squeezer::default().line(line).unwrap(), expected);
        }
    }

    #[test]
    fn private_names_are_short_and_stay_the_same() {
        let mut squeezer = Squeezer::default();
        let line = squeezer
            .line("this.#first(this.#second, '#first');")
            .unwrap();
        assert_eq!(line, "this.#a(this.#b,'#first');");
        assert_eq!(squeezer.line("#second = 1;").unwrap(), "#b=1;");
        let names: Vec<String> = (0..60).map(|n| squeezer.short(&n.to_string())).collect();
        assert_eq!(
            (&names[23][..], &names[24][..], &names[50][..]),
            ("z", "aa", "ba")
        );
    }

    #[test]
    fn what_goes_on_over_the_end_is_refused() {
        for line in ["a = `b", "a = 'b\\'", "a = /[/]"] {
            assert!(Squeezer::default().line(line).is_err(), "{line}");
        }
    }
}
