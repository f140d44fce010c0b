//! Texts from outside, for messages, and where strings end.

/// A text from outside, for a message: in backticks, on one line, and cut where it is long.
pub fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut escaped = String::new();
    for c in text.chars().take(SHOWN_CHARS) {
        match c {
            '"' | '\'' | '\\' => escaped.push(c),
            other => escaped.extend(other.escape_debug()),
        }
    }
    let cut = if text.chars().nth(SHOWN_CHARS).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{escaped}{cut}`")
}

/// One step of a JSON Pointer as its text: `~` and `/` escaped.
pub(crate) fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// The step of a JSON Pointer that a text stands for.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("~1", "/").replace("~0", "~")
}

/// The end of the string whose opening quote stands at `start`: behind its closing one.
pub(crate) fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(rest) = bytes.get(at..) {
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest[found] == b'"' => return at + found + 1,
            Some(found) => at += found + 2,
            None => break,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_short_and_steers_nothing() {
        assert_eq!(
            quoted("a'\n\u{1b}[31m\u{202e}"),
            "`a'\\n\\u{1b}[31m\\u{202e}`"
        );
        assert_eq!(quoted(&"x".repeat(61)), format!("`{}…`", "x".repeat(60)));
    }
}
