//! Texts from outside, as messages show them: on one line, without control characters, and cut where they are long.

/// A text from outside, for a message: in backticks, on one line, and cut where it is long.
pub fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    format!("`{}`", shown(text, SHOWN_CHARS))
}

/// A message from outside: on one line, and cut where it is long.
pub fn said(text: &str) -> String {
    const SHOWN_CHARS: usize = 300;
    shown(text, SHOWN_CHARS)
}

fn shown(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(chars_max) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
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
