//! The body of a form: `a=1&b=2`, in which one field is set. All other fields keep their bytes.

use super::address::{pairs_with_cursor, percent_encoded, plain, with_pair};
use super::template::CURSOR;

/// A form as it is sent: what is neither visible ASCII nor a blank at an end is percent-encoded. `Err` says what is wrong.
pub fn check(text: &str) -> Result<String, String> {
    let text = text.trim_ascii();
    if text.starts_with(['{', '[']) {
        return Err(
            "looks like JSON, but SOURCE_BODY_FORMAT is `form`: write it as `a=1&b=2`".to_owned(),
        );
    }
    if text.contains(char::is_control) {
        return Err("has a line break or another control character in it: write a form on one line, as `a=1&b=2`".to_owned());
    }
    let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
    let mut escapes = text.split('%').skip(1).map(str::as_bytes);
    if escapes.any(|rest| !is_hex(rest.first().copied()) || !is_hex(rest.get(1).copied())) {
        return Err(
            "has a `%` that is not followed by two hex digits: write it as `%25`".to_owned(),
        );
    }
    let mut form = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii_graphic() {
            form.push(char);
        } else {
            form.push_str(&percent_encoded(char.encode_utf8(&mut [0; 4])));
        }
    }
    Ok(form)
}

/// `form` with the field `name` set to `value`.
pub fn with(form: &str, name: &str, value: &str) -> String {
    with_pair(form, name, value)
}

/// Whether `{cursor}` is in `form`, in any spelling.
pub fn holds_cursor(form: &str) -> bool {
    plain(form, CURSOR).contains(CURSOR)
}

/// `form` with `{cursor}` replaced by `value`.
pub fn with_cursor(form: &str, value: &str) -> String {
    pairs_with_cursor(form, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_set_or_added_and_others_keep_their_bytes() {
        assert_eq!(
            with("a=1&p%61ge=1&b=x+y", "page", "2 é"),
            "a=1&page=2%20%C3%A9&b=x+y"
        );
        assert_eq!(with("", "after", "1"), "after=1");
    }

    #[test]
    fn the_cursor_in_a_field_is_replaced_encoded() {
        assert_eq!(
            with_cursor(
                "q=updated>{cursor}&since=%7Bcursor%7D",
                "2026-01-01T00:00:00+01:00"
            ),
            "q=updated>2026-01-01T00%3A00%3A00%2B01%3A00&since=2026-01-01T00%3A00%3A00%2B01%3A00"
        );
    }

    #[test]
    fn a_form_is_one_line_of_pairs() {
        assert_eq!(
            check(" q=open orders&n=ü\n").unwrap(),
            "q=open%20orders&n=%C3%BC"
        );
        assert!(check("{\"a\":1}").unwrap_err().contains("looks like JSON"));
        assert!(
            check("a=50%&b=1")
                .unwrap_err()
                .contains("write it as `%25`")
        );
        assert!(check("a=1\nb=2").unwrap_err().contains("line break"));
    }
}
