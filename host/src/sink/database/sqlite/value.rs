//! Values as SQLite keeps them, each held to its column's type.
//!
//! What has no type is a key: an integer of 64 bits is an INTEGER, a string TEXT, and a longer integer the BLOB of its
//! digits, so that no two keys are ever one.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::settings::columns::{ColumnType, is_number};
use crate::sink::database::Cell;

/// What is shown of a value that does not fit.
const SHOWN_CHARS: usize = 60;

/// The type of a column in `CREATE TABLE`; ANY of one without a type.
pub const fn declared(kind: Option<ColumnType>) -> &'static str {
    match kind {
        None | Some(ColumnType::Numeric) => "ANY",
        Some(ColumnType::Bigint | ColumnType::Boolean) => "INTEGER",
        Some(ColumnType::Double) => "REAL",
        Some(
            ColumnType::Text
            | ColumnType::Timestamptz
            | ColumnType::Timestamp
            | ColumnType::Date
            | ColumnType::Uuid
            | ColumnType::Json
            | ColumnType::Jsonb,
        ) => "TEXT",
    }
}

/// The value of `cell` in a column of this type. `exactly`: it names a record, so a number is no text and no text a number.
///
/// `Err` says what was found instead.
pub fn stored<'c>(
    kind: Option<ColumnType>,
    exactly: bool,
    cell: &'c Cell<'_>,
) -> Result<ToSqlOutput<'c>, String> {
    let fits = match (kind, cell) {
        (None, Cell::Number(digits)) => Some(digits.parse().map_or_else(
            |_| ToSqlOutput::Borrowed(ValueRef::Blob(digits.as_bytes())),
            integer,
        )),
        (None | Some(ColumnType::Text), Cell::Text(text)) => Some(borrowed(text)),
        (Some(ColumnType::Json | ColumnType::Jsonb), cell) => Some(json(cell)),
        (None, Cell::Json(text)) => Some(borrowed(text)),
        (_, Cell::Null) => (!exactly).then_some(ToSqlOutput::Borrowed(ValueRef::Null)),
        (Some(ColumnType::Text), Cell::Number(digits)) if !exactly => Some(borrowed(digits)),
        (Some(ColumnType::Text), Cell::Boolean(is)) if !exactly => {
            Some(borrowed(if *is { "true" } else { "false" }))
        }
        (Some(ColumnType::Boolean), Cell::Boolean(is)) => Some(integer(i64::from(*is))),
        (Some(kind), Cell::Number(digits)) => number(kind, digits),
        (Some(kind), Cell::Text(text)) if is_number(text) && !exactly => number(kind, text),
        // One UUID, one key.
        (Some(ColumnType::Uuid), Cell::Text(text))
            if exactly && ColumnType::Uuid.is_written_as(text) =>
        {
            Some(ToSqlOutput::Owned(text.to_ascii_lowercase().into()))
        }
        (Some(kind), Cell::Text(text)) => kind.is_written_as(text).then(|| borrowed(text)),
        _ => None,
    };
    fits.ok_or_else(|| found(cell))
}

/// What was found, in few words.
pub fn found(cell: &Cell<'_>) -> String {
    let text = match cell {
        Cell::Null => return "nothing".to_owned(),
        Cell::HalfPair(_) => return "a string with half a surrogate pair".to_owned(),
        Cell::Boolean(is) => return format!("`{is}`"),
        Cell::Json(text) if text.starts_with('[') => return "an array".to_owned(),
        Cell::Json(_) => return "an object".to_owned(),
        Cell::Number(digits) => digits.as_ref().to_owned(),
        Cell::Text(text) => format!("{text:?}"),
    };
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn number(kind: ColumnType, digits: &str) -> Option<ToSqlOutput<'_>> {
    match kind {
        ColumnType::Bigint => digits.parse().ok().map(integer),
        ColumnType::Numeric => Some(digits.parse().map_or_else(|_| borrowed(digits), integer)),
        ColumnType::Double => {
            let value: f64 = digits.parse().ok()?;
            value
                .is_finite()
                .then_some(ToSqlOutput::Borrowed(ValueRef::Real(value)))
        }
        _ => None,
    }
}

fn json<'c>(cell: &'c Cell<'_>) -> ToSqlOutput<'c> {
    match cell {
        Cell::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        Cell::Boolean(is) => borrowed(if *is { "true" } else { "false" }),
        Cell::Number(text) => borrowed(text),
        Cell::Json(text) | Cell::HalfPair(text) => borrowed(text),
        Cell::Text(text) => {
            let text = serde_json::to_string::<Cow<'_, str>>(text).unwrap_or_default();
            ToSqlOutput::Owned(text.into())
        }
    }
}

fn borrowed(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

fn integer<'c>(value: i64) -> ToSqlOutput<'c> {
    ToSqlOutput::Borrowed(ValueRef::Integer(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(kind: &str, exactly: bool, cell: &Cell<'_>) -> String {
        let column = crate::settings::columns::parse(&format!("x {kind} /x")).unwrap();
        match stored(column[0].kind, exactly, cell) {
            Ok(ToSqlOutput::Borrowed(ValueRef::Text(text))) => {
                format!("text {}", String::from_utf8_lossy(text))
            }
            Ok(ToSqlOutput::Borrowed(value)) => format!("{value:?}"),
            Ok(ToSqlOutput::Owned(value)) => format!("{value:?}"),
            Ok(_) => panic!("something else"),
            Err(found) => format!("found {found}"),
        }
    }

    fn number(digits: &str) -> Cell<'_> {
        Cell::Number(digits.into())
    }

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(text.into())
    }

    #[test]
    fn a_number_keeps_every_digit_or_is_refused() {
        let long = "123456789012345678901234567890";

        assert_eq!(
            kept("bigint", false, &number("9223372036854775807")),
            "Integer(9223372036854775807)"
        );
        assert_eq!(
            kept("bigint", false, &number(long)),
            format!("found `{long}`")
        );
        assert_eq!(kept("bigint", false, &number("1.0")), "found `1.0`");
        assert_eq!(
            kept("numeric", false, &number(long)),
            format!("text {long}")
        );
        assert_eq!(kept("numeric", false, &text("1.10")), "text 1.10");
        assert_eq!(kept("numeric", false, &text("1,10")), "found `\"1,10\"`");
        assert_eq!(kept("double", false, &number("1e400")), "found `1e400`");
        assert_eq!(kept("double", false, &number("1.5")), "Real(1.5)");
    }

    #[test]
    fn what_names_a_record_is_never_turned_into_something_else() {
        assert_eq!(kept("text", true, &number("10")), "found `10`");
        assert_eq!(kept("text", false, &number("10")), "text 10");
        assert_eq!(kept("bigint", true, &text("10")), "found `\"10\"`");
        assert_eq!(kept("bigint", false, &text("10")), "Integer(10)");
        assert_eq!(kept("text", true, &Cell::Null), "found nothing");
    }

    #[test]
    fn times_days_and_uuids_are_kept_as_they_are_written() {
        for (kind, good, bad) in [
            (
                "timestamptz",
                "2026-11-23T06:00:00+02:00",
                "2026-11-23T06:00:00",
            ),
            ("timestamp", "2026-11-23 06:00:00", "soon"),
            ("date", "2026-11-23", "2026-11-31"),
            ("uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff"),
        ] {
            assert_eq!(kept(kind, false, &text(good)), format!("text {good}"));
            assert_eq!(kept(kind, false, &text(bad)), format!("found `{bad:?}`"));
            assert_eq!(kept(kind, false, &Cell::Null), "Null");
        }
        assert_eq!(kept("boolean", false, &Cell::Boolean(true)), "Integer(1)");
        assert_eq!(kept("boolean", false, &number("1")), "found `1`");
        assert_eq!(kept("json", false, &Cell::Json("[1.10]")), "text [1.10]");
        assert_eq!(kept("json", false, &text("a\"b")), r#"Text("\"a\\\"b\"")"#);
        assert_eq!(kept("text", false, &Cell::Json("{}")), "found an object");
    }
}
