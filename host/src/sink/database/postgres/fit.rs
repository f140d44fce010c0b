//! One value in the text format of COPY, if the column takes it: <https://www.postgresql.org/docs/current/sql-copy.html>.

use crate::limits::NUMERIC_BYTES_MAX;
use crate::settings::columns::{ColumnType, is_number};
use crate::sink::database::Cell;

/// Appends `cell` for a column of `kind`. `Err` says what it is instead. Keys are strict: two of them never become one.
pub fn push(
    line: &mut Vec<u8>,
    cell: &Cell<'_>,
    kind: ColumnType,
    is_key: bool,
) -> Result<(), String> {
    use ColumnType as Kind;
    match (kind, cell) {
        (_, Cell::Null) => {
            line.extend_from_slice(b"\\N");
            return Ok(());
        }
        (Kind::Jsonb | Kind::Json, cell) => return push_json(line, cell, kind),
        (Kind::Text, Cell::Text(text)) => return push_text(line, text),
        (Kind::Text, Cell::Number(text)) if !is_key => line.extend_from_slice(text.as_bytes()),
        (Kind::Text, Cell::Boolean(truth)) if !is_key => {
            line.extend_from_slice(if *truth { b"true" } else { b"false" });
        }
        (Kind::Bigint, Cell::Number(text)) if text.parse::<i64>().is_ok() => {
            line.extend_from_slice(text.as_bytes());
        }
        (Kind::Numeric, Cell::Number(text)) if text.len() <= NUMERIC_BYTES_MAX => {
            line.extend_from_slice(text.as_bytes());
        }
        (Kind::Double, Cell::Number(text)) if text.parse().is_ok_and(f64::is_finite) => {
            line.extend_from_slice(text.as_bytes());
        }
        (Kind::Boolean, Cell::Boolean(truth)) => line.push(if *truth { b't' } else { b'f' }),
        (kind, Cell::Text(text)) if kind.is_written_as(text) => {
            line.extend_from_slice(text.as_bytes());
        }
        (Kind::Bigint | Kind::Numeric | Kind::Double, Cell::Text(text))
            if !is_key && is_number(text) =>
        {
            return push(line, &Cell::Number(text.as_ref().into()), kind, is_key);
        }
        (_, cell) => return Err(spoken(cell)),
    }
    Ok(())
}

fn push_json(line: &mut Vec<u8>, cell: &Cell<'_>, kind: ColumnType) -> Result<(), String> {
    match cell {
        Cell::Null => line.extend_from_slice(b"null"),
        Cell::Boolean(truth) => line.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Cell::Number(text) => line.extend_from_slice(text.as_bytes()),
        Cell::Text(text) => {
            let text = serde_json::to_string(text).unwrap_or_default();
            return push_json(line, &Cell::Json(&text), kind);
        }
        Cell::Json(text) => {
            if kind == ColumnType::Jsonb
                && let Some(escape) = unfit_escape(text)
            {
                return Err(format!(
                    "a string with {escape}, which jsonb and text cannot hold; drop it by TRANSFORM, or give it a column of type `json` by OUTPUT_COLUMNS"
                ));
            }
            push_escaped(line, text);
        }
    }
    Ok(())
}

fn push_text(line: &mut Vec<u8>, text: &str) -> Result<(), String> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(
            "a string with `\\u0000`, which text and jsonb cannot hold; drop it by TRANSFORM, or give it a column of type `json` by OUTPUT_COLUMNS"
                .to_owned(),
        );
    }
    push_escaped(line, text);
    Ok(())
}

/// Appends text in which nothing means anything to COPY.
pub fn push_escaped(line: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t');
    while let Some(at) = bytes[from..].iter().position(special) {
        let at = from + at;
        line.extend_from_slice(&bytes[from..at]);
        line.extend_from_slice(match bytes[at] {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\t",
        });
        from = at + 1;
    }
    line.extend_from_slice(&bytes[from..]);
}

/// The first escape in JSON text that jsonb refuses: a zero character, or half of a pair.
fn unfit_escape(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut after_high = None;
    while let Some(at) = memchr::memchr(b'\\', &bytes[from..]) {
        let at = from + at;
        from = at + 2;
        let unit = (bytes.get(at + 1) == Some(&b'u'))
            .then(|| text.get(at + 2..at + 6))
            .flatten()
            .and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let pairs = after_high.take() == Some(at);
        match unit {
            Some(0) => return Some("`\\u0000`"),
            Some(0xdc00..=0xdfff) if pairs => {}
            Some(0xdc00..=0xdfff) => return Some("half a surrogate pair"),
            _ if pairs => return Some("half a surrogate pair"),
            Some(0xd800..=0xdbff) => {
                if bytes.get(at + 6) != Some(&b'\\') {
                    return Some("half a surrogate pair");
                }
                after_high = Some(at + 6);
            }
            _ => {}
        }
    }
    None
}

/// A value in a text about it.
pub fn spoken(cell: &Cell<'_>) -> String {
    let short = |text: &str| -> String {
        let cut: String = text.chars().take(40).collect();
        let more = if cut.len() < text.len() { "…" } else { "" };
        format!("{}{more}", cut.escape_debug())
    };
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Boolean(truth) => format!("`{truth}`"),
        Cell::Number(text) => format!("the number `{}`", short(text)),
        Cell::Text(text) => format!("the string `{}`", short(text)),
        Cell::Json(text) if text.starts_with('[') => "an array".to_owned(),
        Cell::Json(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(cell: &Cell<'_>, kind: ColumnType) -> Result<String, String> {
        let mut line = Vec::new();
        push(&mut line, cell, kind, false)?;
        Ok(String::from_utf8(line).unwrap())
    }

    #[test]
    fn what_means_something_to_copy_is_escaped() {
        let text = pushed(&Cell::Text("a\\N\tb\nc\r".into()), ColumnType::Text);

        assert_eq!(text.as_deref(), Ok("a\\\\N\\tb\\nc\\r"));
        assert_eq!(pushed(&Cell::Null, ColumnType::Text).as_deref(), Ok("\\N"));
        let json = pushed(&Cell::Json(r#"{"a":"\n"}"#), ColumnType::Jsonb);
        assert_eq!(json.as_deref(), Ok(r#"{"a":"\\n"}"#));
    }

    #[test]
    fn digits_stay_as_they_are() {
        let number = Cell::Number("1.10".into());

        assert_eq!(pushed(&number, ColumnType::Numeric).as_deref(), Ok("1.10"));
        assert!(pushed(&number, ColumnType::Bigint).is_err());
        let large = Cell::Number("9223372036854775808".into());
        assert!(pushed(&large, ColumnType::Bigint).is_err());
        assert!(pushed(&Cell::Number("1e999".into()), ColumnType::Double).is_err());
    }

    #[test]
    fn jsonb_takes_no_zero_character_and_no_half_pair_and_json_takes_both() {
        for unfit in [
            r#"{"a":"\u0000"}"#,
            r#"["\ud800"]"#,
            r#"["\ud800\u0041"]"#,
            r#"["\udc00"]"#,
            r#"["\ud800\n"]"#,
        ] {
            assert!(
                pushed(&Cell::Json(unfit), ColumnType::Jsonb).is_err(),
                "{unfit}"
            );
            assert!(
                pushed(&Cell::Json(unfit), ColumnType::Json).is_ok(),
                "{unfit}"
            );
        }
        for fit in [
            r#"["\\u0000"]"#,
            r#"["\ud83d\ude00"]"#,
            r#"["\\\\u0000\u0001"]"#,
        ] {
            assert!(pushed(&Cell::Json(fit), ColumnType::Jsonb).is_ok(), "{fit}");
        }
        assert!(pushed(&Cell::Text("a\0".into()), ColumnType::Text).is_err());
    }

    #[test]
    fn a_number_is_no_key_of_text() {
        let mut line = Vec::new();

        assert!(
            push(
                &mut line,
                &Cell::Number("10".into()),
                ColumnType::Text,
                true
            )
            .is_err()
        );
    }
}
