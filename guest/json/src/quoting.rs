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

/// The first characters of a text from outside: on one line, blanks and line breaks as one blank each, and no more of it than
/// `chars_max`.
pub fn beginning(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // A character has at most four bytes; the rest would not be shown.
        if line.len() > 4 * chars_max {
            break;
        }
    }
    shown(&line, chars_max)
}

/// A text from outside: on one line, and cut behind so many characters.
pub fn shown(text: &str, chars_max: usize) -> String {
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

    #[test]
    fn a_beginning_is_one_line_and_has_so_many_characters() {
        assert_eq!(beginning(" a\r\n\t b\u{1b}[2J ", 20), "a b\\u{1b}[2J");
        assert_eq!(beginning(&"ä ".repeat(9_000), 3), "ä ä…");
        assert_eq!(beginning("abc", 3), "abc");
    }
}
