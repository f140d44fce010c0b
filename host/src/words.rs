//! Texts from outside, as people may see them: no character that steers a terminal, and no more bytes than a limit.
//!
//! A component, a server, a database or a file can put anything into a text. What is shown or written down passes here;
//! where a text comes from, and which limit it has, is the caller's business.

use std::fmt::Write as _;

/// The most that the marker of a cut text takes: `… (cut, N bytes)`.
const MARKER_BYTES: usize = 40;

/// Whether a character does something else than to be seen: control characters (C0, DEL, C1), those that reorder the text
/// around them, separators of lines and paragraphs, and what takes no room at all (zero width, byte order mark, tags).
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with every such character as JSON escapes it (`\u001b`): JSON text stays the same JSON, with what it holds unchanged.
pub fn escaped(text: &str) -> String {
    escaped_but(text, |_| false)
}

/// The same of JSON text that has lines: newlines stay.
pub fn escaped_lines(json: &str) -> String {
    escaped_but(json, |c| c == '\n')
}

/// `text` escaped, and of that at most `bytes_max` bytes; what is cut ends in `… (cut, N bytes)`, with its whole length.
pub fn shown(text: &str, bytes_max: usize) -> String {
    bounded(text.chars(), text.len() as u64, bytes_max)
}

/// The same of the beginning of a text that had `whole_bytes`.
pub fn shown_of(beginning: &str, whole_bytes: u64, bytes_max: usize) -> String {
    if whole_bytes <= beginning.len() as u64 {
        return shown(beginning, bytes_max);
    }
    let room = bytes_max.saturating_sub(MARKER_BYTES);
    let mut shown = bounded(beginning.chars(), whole_bytes, room);
    if !shown.ends_with(&marker(whole_bytes)) {
        shown.push_str(&marker(whole_bytes));
    }
    shown
}

/// The same on one line: blanks and line breaks become one blank each.
pub fn line(text: &str, bytes_max: usize) -> String {
    let words = text.split_whitespace().enumerate();
    let chars = words.flat_map(|(index, word)| {
        let blank = (index > 0).then_some(' ');
        blank.into_iter().chain(word.chars())
    });
    bounded(chars, text.len() as u64, bytes_max)
}

fn escaped_but(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) {
            out.push(c);
        } else {
            push(&mut out, c);
        }
    }
    out
}

fn bounded(chars: impl Iterator<Item = char>, whole_bytes: u64, bytes_max: usize) -> String {
    let mut out = String::new();
    // What is kept when the text turns out to be too long.
    let mut kept = 0;
    for c in chars {
        push(&mut out, c);
        if out.len() <= bytes_max.saturating_sub(MARKER_BYTES) {
            kept = out.len();
        }
        if out.len() > bytes_max {
            out.truncate(kept);
            out.push_str(&marker(whole_bytes));
            return out;
        }
    }
    out
}

fn marker(whole_bytes: u64) -> String {
    format!("… (cut, {whole_bytes} bytes)")
}

fn push(out: &mut String, c: char) {
    if !steers(c) {
        out.push(c);
        return;
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each class.
    const STEERING: &str = "\u{0}\u{7}\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\u{2028}\
        \u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\u{fffb}\u{e0001}\u{e0041}\u{e007f}";

    #[test]
    fn every_character_that_steers_is_escaped_and_no_other() {
        assert!(STEERING.chars().all(steers));
        assert!(!"aä€字🦀 \u{a0}`\"\\".chars().any(steers));
        assert_eq!(escaped("a\u{1b}[2J\u{e0041}"), "a\\u001b[2J\\udb40\\udc41");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "text": STEERING });

        let (one_line, lines) = (
            value.to_string(),
            serde_json::to_string_pretty(&value).unwrap(),
        );

        for escaped in [escaped(&one_line), escaped_lines(&lines)] {
            assert!(
                !escaped.chars().any(|c| steers(c) && c != '\n'),
                "{escaped}"
            );
            let read: serde_json::Value = serde_json::from_str(&escaped).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn a_long_text_is_cut_with_its_length() {
        let text = "ä".repeat(100);

        assert_eq!(shown(&text, 200), text);
        assert_eq!(
            shown(&text, 60),
            format!("{}… (cut, 200 bytes)", "ä".repeat(10))
        );
        assert_eq!(shown_of("abc", 9, 100), "abc… (cut, 9 bytes)");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line(" a\n\tb\u{2028}c \u{1b}d ", 100), "a b c \\u001bd");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_never_longer_and_never_steers(
            text in proptest::collection::vec(any::<char>(), 0..300),
            bytes_max in 40_usize..400,
        ) {
            let text: String = text.into_iter().chain(STEERING.chars()).collect();

            for out in [shown(&text, bytes_max), line(&text, bytes_max), shown_of(&text, text.len() as u64, bytes_max)] {
                prop_assert!(out.len() <= bytes_max, "{} bytes", out.len());
                prop_assert!(!out.chars().any(steers), "{}", out);
            }
        }
    }
}
