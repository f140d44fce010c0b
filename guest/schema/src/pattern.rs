//! `pattern` and `patternProperties`: regular expressions of ECMA-262 with its `u` flag, as JSON Schema wants them, in the syntax of
//! the `regex` crate.
//!
//! The two differ where a schema must not: in ECMA-262 `\d` is `[0-9]` and `\w` is `[A-Za-z0-9_]`, whatever the flags; `\b` lies
//! between such a character and another one; `\s` is a list of its own; `.` is everything but four ends of lines; and within brackets
//! `[`, `&&`, `--` and `~~` are characters. What ECMA-262 has and `regex` has not (look-around, back-references), and what only `regex`
//! has, is refused when the schema is compiled.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;
use tidegate_json::quoted;

/// What matching with one expression may keep for the next time.
const DFA_BYTES_MAX: usize = 256 * 1024;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0B\x0C\r\x20\u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";
const ANY: &str = r"[^\n\r\u{2028}\u{2029}]";

/// Compiles an expression. `Err` says why it is none.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let refused = |why: &str| format!("{} is not a regular expression: {why}", quoted(pattern));
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::new(),
    };
    translator.expression().map_err(|why| refused(&why))?;
    let mut builder = regex::RegexBuilder::new(&translator.out);
    let built = builder.dfa_size_limit(DFA_BYTES_MAX).build();
    built.map_err(|error| {
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        refused(why.trim_start_matches("error: "))
    })
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
}

/// What an escape stands for.
enum Escape {
    Char(char),
    /// Characters as they are within brackets, and whether it is all others.
    Class(&'static str, bool),
    Boundary,
    /// `\p{…}` or `\P{…}`, as it is.
    Property(String),
}

impl Translator<'_> {
    fn expression(&mut self) -> Result<(), String> {
        while let Some(char) = self.rest.next() {
            match char {
                '\\' => match self.escape()? {
                    Escape::Char(char) => self.char(char),
                    Escape::Class(chars, others) => self.class(chars, others),
                    Escape::Boundary => self.out.push_str(r"(?-u:\b)"),
                    Escape::Property(text) => self.out.push_str(&text),
                },
                '.' => self.out.push_str(ANY),
                '[' => self.brackets()?,
                other => self.out.push(other),
            }
        }
        Ok(())
    }

    fn class(&mut self, chars: &str, others: bool) {
        self.out.push_str(if others { "[^" } else { "[" });
        self.out.push_str(chars);
        self.out.push(']');
    }

    /// A character that means itself.
    fn char(&mut self, char: char) {
        if char.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(char);
    }

    /// From behind `[` to behind `]`.
    fn brackets(&mut self) -> Result<(), String> {
        let others = self.rest.next_if_eq(&'^').is_some();
        if self.rest.next_if_eq(&']').is_some() {
            // Nothing, or all there is: `regex` would take the bracket for a character.
            self.out
                .push_str(if others { r"[\s\S]" } else { r"[^\s\S]" });
            return Ok(());
        }
        self.out.push_str(if others { "[^" } else { "[" });
        // Whether a range can begin with what came last.
        let mut begins = false;
        loop {
            match self.rest.next().ok_or("a `[` is never closed")? {
                ']' => break,
                '-' if begins && self.rest.peek().is_some_and(|next| *next != ']') => {
                    self.out.push('-');
                    let end = match self.rest.next() {
                        Some('\\') => match self.escape()? {
                            Escape::Char(char) => char,
                            _ => return Err("a range ends with a class".to_owned()),
                        },
                        Some(char) => char,
                        None => continue,
                    };
                    self.char(end);
                    begins = false;
                }
                '\\' => {
                    begins = false;
                    if self.rest.next_if_eq(&'b').is_some() {
                        self.char('\u{8}');
                        continue;
                    }
                    match self.escape()? {
                        Escape::Char(char) => {
                            self.char(char);
                            begins = true;
                        }
                        Escape::Class(chars, true) => self.class(chars, true),
                        Escape::Class(chars, false) => self.out.push_str(chars),
                        Escape::Property(text) => self.out.push_str(&text),
                        Escape::Boundary => {}
                    }
                }
                char => {
                    self.char(char);
                    begins = true;
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// What stands behind a `\`.
    fn escape(&mut self) -> Result<Escape, String> {
        let char = self.rest.next().ok_or("ends with `\\`")?;
        Ok(match char {
            'd' => Escape::Class(DIGIT, false),
            'D' => Escape::Class(DIGIT, true),
            'w' => Escape::Class(WORD, false),
            'W' => Escape::Class(WORD, true),
            's' => Escape::Class(SPACE, false),
            'S' => Escape::Class(SPACE, true),
            'b' => Escape::Boundary,
            'f' => Escape::Char('\u{c}'),
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            't' => Escape::Char('\t'),
            'v' => Escape::Char('\u{b}'),
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => Escape::Char('\0'),
            'c' => match self.rest.next() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    Escape::Char(char::from(letter as u8 % 32))
                }
                _ => return Err("`\\c` must be followed by a letter".to_owned()),
            },
            'x' => Escape::Char(char_of(self.hex(2)?)?),
            'u' => Escape::Char(self.code_point()?),
            'p' | 'P' => {
                let mut text = format!("\\{char}");
                if self.rest.peek() != Some(&'{') {
                    return Err(format!("`\\{char}` must be followed by `{{`"));
                }
                for char in self.rest.by_ref() {
                    text.push(char);
                    if char == '}' {
                        break;
                    }
                }
                Escape::Property(text)
            }
            other if other.is_ascii_alphanumeric() => {
                return Err(format!("`\\{other}` is not supported"));
            }
            other => Escape::Char(other),
        })
    }

    /// `{1F600}`, `00e9`, or two halves of a surrogate pair.
    fn code_point(&mut self) -> Result<char, String> {
        if self.rest.next_if_eq(&'{').is_some() {
            let mut digits = String::new();
            loop {
                match self.rest.next() {
                    Some('}') => break,
                    Some(digit) if digit.is_ascii_hexdigit() && digits.len() < 8 => {
                        digits.push(digit);
                    }
                    _ => return Err("`\\u{…}` holds hexadecimal digits".to_owned()),
                }
            }
            return char_of(u32::from_str_radix(&digits, 16).unwrap_or(u32::MAX));
        }
        let unit = self.hex(4)?;
        if !(0xD800..0xDC00).contains(&unit) {
            return char_of(unit);
        }
        if self.rest.next_if_eq(&'\\').is_none() || self.rest.next_if_eq(&'u').is_none() {
            return char_of(unit);
        }
        match self.hex(4)? {
            low @ 0xDC00..0xE000 => char_of(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)),
            _ => char_of(unit),
        }
    }

    fn hex(&mut self, count: usize) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..count {
            let digit = self.rest.next().and_then(|digit| digit.to_digit(16));
            code = code * 16 + digit.ok_or("an escape lacks hexadecimal digits")?;
        }
        Ok(code)
    }
}

fn char_of(code: u32) -> Result<char, String> {
    char::from_u32(code).ok_or_else(|| format!("{code:04X} is not a character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &str) -> bool {
        compile(pattern)
            .unwrap_or_else(|why| panic!("{pattern}: {why}"))
            .is_match(text)
    }

    #[test]
    fn classes_are_those_of_ecma_262_and_not_those_of_unicode() {
        for (pattern, fits, breaks) in [
            (r"^\w+$", "ab_9", "Köln"),
            (r"^\W$", "ö", "o"),
            (r"^\d+$", "09", "٣"),
            (r"^\D$", "٣", "3"),
            (r"^\s$", "\u{feff}", "\u{85}"),
            (r"^\S$", "\u{85}", "\u{2028}"),
            (r"^[\w-]+$", "a-b", "ä"),
            (r"^[^\w]$", "é", "e"),
            (r"^[\D]$", "x", "1"),
            (r"^[\S\d]$", "1", " "),
            (r"x\b", "xö", "xy"),
            ("^.$", "\u{85}", "\u{2028}"),
            ("^.$", "😀", "\r"),
            (r"^\p{L}+$", "Köln", "K9"),
            (r"^[\p{Lu}\d]+$", "Ä1", "ä"),
            ("^ab$", "ab", "ab\n"),
            ("(?i)^k$", "K", "x"),
        ] {
            assert!(is_match(pattern, fits), "{pattern} fits {fits:?}");
            assert!(!is_match(pattern, breaks), "{pattern} breaks {breaks:?}");
        }
    }

    #[test]
    fn brackets_hold_the_characters_they_hold_in_ecma_262() {
        for (pattern, fits, breaks) in [
            ("^[[]$", "[", "]"),
            ("^[a&&b]$", "&", "c"),
            ("^[a~~b]$", "~", "c"),
            ("^[+--]$", ",", "."),
            ("^[a-]$", "-", "b"),
            ("^[-a]$", "-", "b"),
            (r"^[\d-z]$", "-", "y"),
            ("^[]$|a", "a", "]"),
            ("^[^]$", "\n", ""),
            (r"^[\]]$", "]", "["),
            (r"^[\b]$", "\u{8}", "b"),
            (r"^[\x41-\u{43}]$", "B", "D"),
            (r"^[😀-😂]$", "😁", "😃"),
            (r"^[\ud83d\ude00-\ud83d\ude02]$", "😁", "😃"),
        ] {
            assert!(is_match(pattern, fits), "{pattern} fits {fits:?}");
            assert!(!is_match(pattern, breaks), "{pattern} breaks {breaks:?}");
        }
    }

    #[test]
    fn escapes_are_those_of_ecma_262() {
        assert!(is_match(r"^\u00e9\x2e\/\-\.\cJ\0\v$", "é./-.\n\0\u{b}"));
        assert!(is_match(r"^\ud83d\ude00$", "😀"));
        assert!(is_match(r"^(?<year>\d{4})-\d\d$", "2026-11"));
    }

    #[test]
    fn what_cannot_be_held_to_is_refused() {
        let refused = |pattern: &str| compile(pattern).unwrap_err();

        assert!(refused("(?=x)").contains("look-around"));
        for unsupported in [
            r"\1", r"\k<a>", r"\B", r"\A", r"\z", r"\Q", r"\h", r"\01", r"\pL",
        ] {
            let why = refused(&format!("(?<a>x){unsupported}"));
            assert!(why.contains(unsupported.get(..2).unwrap()), "{why}");
        }
        for broken in [
            "[a",
            "a\\",
            r"\u12",
            r"\u{110000}",
            r"\ud83d",
            r"\ud83dx",
            r"[a-\d]",
            r"\c1",
            "(",
            "*",
        ] {
            assert!(
                refused(broken).contains("is not a regular expression: "),
                "{broken}"
            );
        }
        assert!(!refused("a(b").contains('\n'));
    }
}
