//! OUTPUT_COLUMNS: what becomes a column, one `name type /pointer` a line, and what a record has there.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde_json::value::RawValue;

use crate::limits::{COLUMNS_MAX, POSTGRES_NAME_BYTES_MAX};

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type; a file of text needs none.
    pub kind: Option<ColumnType>,
    /// The JSON Pointer to its value in a published record.
    pub pointer: String,
}

/// The type of a column, by PostgreSQL's names: <https://www.postgresql.org/docs/current/datatype.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Any text.
    Text,
    /// Integers of 64 bits.
    Bigint,
    /// Numbers of any size, exactly.
    Numeric,
    /// Binary floating point of 64 bits.
    Double,
    /// True or false.
    Boolean,
    /// A moment.
    Timestamptz,
    /// Date and time without a zone.
    Timestamp,
    /// A day.
    Date,
    /// A UUID.
    Uuid,
    /// JSON, as it is written.
    Json,
    /// JSON, as PostgreSQL understands it.
    Jsonb,
}

impl ColumnType {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Text,
        Self::Bigint,
        Self::Numeric,
        Self::Double,
        Self::Boolean,
        Self::Timestamptz,
        Self::Timestamp,
        Self::Date,
        Self::Uuid,
        Self::Json,
        Self::Jsonb,
    ];

    /// The word in OUTPUT_COLUMNS.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bigint => "bigint",
            Self::Numeric => "numeric",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Timestamptz => "timestamptz",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
        }
    }

    /// Whether a string is a value of this type: a moment or a UUID, in the form that ISO 8601, RFC 3339 and RFC 9562 give it.
    /// False of types that are no such thing.
    pub fn is_written_as(self, text: &str) -> bool {
        match self {
            Self::Timestamptz => moment(text).is_some_and(|moment| moment.offset.is_some()),
            // At an offset it would be a moment, and the offset be lost.
            Self::Timestamp => moment(text).is_some_and(|moment| moment.offset.is_none()),
            Self::Date => text.len() == 10 && text.parse::<Date>().is_ok(),
            Self::Uuid => is_uuid(text),
            _ => false,
        }
    }
}

/// A day and a time of day, and the offset from UTC where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: DateTime,
    pub offset: Option<Offset>,
}

/// The time that is written like this. Its year has four digits: 0000 to 9999, to the last second at any offset.
pub fn moment(text: &str) -> Option<Moment> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('[');
    let pieces = is_plain.then(|| Pieces::parse(text).ok()).flatten()?;
    let offset = pieces.to_numeric_offset();
    let time = match pieces.time() {
        Some(time) => time,
        None if offset.is_none() => jiff::civil::Time::midnight(),
        None => return None,
    };
    let at = pieces.date().to_datetime(time);
    Some(Moment { at, offset })
}

fn is_uuid(text: &str) -> bool {
    let is_in_place = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_in_place)
}

/// Whether a string is a number as JSON writes one: many sources write amounts so, that no reader rounds them.
pub fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|value| value.get() == text)
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("", ColumnType::word);
        write!(f, "{} {kind} {}", self.name, self.pointer)
    }
}

/// Reads OUTPUT_COLUMNS. `Err` names the line, counted from 1, and what it takes.
pub fn parse(text: &str) -> Result<Vec<Column>, String> {
    let mut columns: Vec<Column> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let column = column(line).map_err(|what| format!("line {}: {what}", index + 1))?;
        if let Some(first) = columns.iter().find(|known| known.name == column.name) {
            return Err(format!(
                "line {}: the column `{}` is named twice",
                index + 1,
                first.name
            ));
        }
        columns.push(column);
    }
    match columns.len() {
        0 => Err("names no column".to_owned()),
        1..=COLUMNS_MAX => Ok(columns),
        many => Err(format!(
            "names {many} columns, and {COLUMNS_MAX} are allowed"
        )),
    }
}

fn column(line: &str) -> Result<Column, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, kind, pointer) = match words[..] {
        [name, pointer] => (name, None, pointer),
        [name, kind, pointer] => {
            let known = ColumnType::ALL.iter().find(|known| known.word() == kind);
            let known = known.ok_or_else(|| {
                let words = ColumnType::ALL.map(ColumnType::word);
                format!(
                    "`{}` is not a type; the types are {}",
                    kind.escape_debug(),
                    words.join(", ")
                )
            })?;
            (name, Some(*known), pointer)
        }
        _ => return Err("takes `name /pointer` or `name type /pointer`".to_owned()),
    };
    if name.len() > POSTGRES_NAME_BYTES_MAX
        || name.contains(['"', '\0'])
        || name.chars().any(char::is_control)
    {
        return Err(format!(
            "takes a name of at most {POSTGRES_NAME_BYTES_MAX} bytes without quotes"
        ));
    }
    if !pointer.starts_with('/') {
        return Err(format!(
            "takes a JSON Pointer, which begins with `/`: `/{pointer}` instead of `{pointer}`"
        ));
    }
    Ok(Column {
        name: name.to_owned(),
        kind,
        pointer: pointer.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_perhaps_a_type_and_a_pointer() {
        let columns =
            parse("id bigint /id\n\n  total numeric /totals/gross\nnote /note\n").unwrap();

        let shown: Vec<String> = columns.iter().map(Column::to_string).collect();
        assert_eq!(
            shown,
            [
                "id bigint /id",
                "total numeric /totals/gross",
                "note  /note"
            ]
        );
    }

    #[test]
    fn times_and_uuids_have_their_form() {
        for (kind, fit, unfit) in [
            (
                ColumnType::Timestamptz,
                "2026-11-23T06:00:00+0100",
                "2026-11-23T06:00:00",
            ),
            (
                ColumnType::Timestamptz,
                "2026-11-23T06:00:00.5Z",
                "yesterday",
            ),
            (
                ColumnType::Timestamptz,
                "2026-11-23 06:00:00Z",
                "2026-11-23T06:00:00+01:00[Europe/Berlin]",
            ),
            (
                ColumnType::Timestamp,
                "2026-11-23T06:00:00",
                "2026-11-23T06:00:00Z",
            ),
            (
                ColumnType::Timestamp,
                "2026-11-23T06:00:00.5",
                "2026-11-23T06:00:00+01:00",
            ),
            (ColumnType::Date, "2024-02-29", "2023-02-29"),
            (
                ColumnType::Timestamptz,
                "9999-12-31T23:59:59.9999999Z",
                "9999-12-32T23:59:59Z",
            ),
            (
                ColumnType::Timestamptz,
                "9999-12-31T23:59:59-11:00",
                "+010000-01-01T00:00:00Z",
            ),
            (
                ColumnType::Timestamptz,
                "0001-01-01T00:00:00+14:00",
                "-000001-01-01T00:00:00Z",
            ),
            (
                ColumnType::Timestamptz,
                "2026-11-23t06:00:00z",
                "2026-11-23Z",
            ),
            (
                ColumnType::Uuid,
                "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                "6ba7b810",
            ),
        ] {
            assert!(kind.is_written_as(fit), "{fit}");
            assert!(!kind.is_written_as(unfit), "{unfit}");
        }
    }

    #[test]
    fn a_number_in_a_string_is_as_json_has_it() {
        assert!(["1", "-1.50", "1e3"].into_iter().all(is_number));
        assert!(
            ![" 1", "01", "0x1", "", "NaN", "1,5"]
                .into_iter()
                .any(is_number)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, what) in [
            ("", "names no column"),
            ("a /a\nb", "line 2: takes"),
            ("a money /a", "line 1: `money` is not a type"),
            ("a text a", "`/a` instead of `a`"),
            ("a /a\na /b", "line 2: the column `a` is named twice"),
            ("a\"b /a", "without quotes"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }
}
