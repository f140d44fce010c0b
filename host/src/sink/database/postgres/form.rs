//! The two forms of COPY: <https://www.postgresql.org/docs/current/sql-copy.html>.
//!
//! Text is read by every type, but the server looks at each byte of it twice: for the ends of lines, and for escapes. Binary spares
//! it that, a fifth of the time of a load; but a value must be exactly of its column's type.

use jiff::Timestamp;

use crate::settings::columns::ColumnType;

use super::fit::push_escaped;
use super::kinds::{Only, Takes};

/// 2000-01-01 in UTC, from which the server counts, in microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;
/// The signature, no flags, and no bytes of an extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// In the place of the number of fields of a row: there is none.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// In the place of a field's length.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// What jsonb is sent as: text, in this version.
const JSONB_VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Binary,
}

impl Form {
    /// The form for columns of exactly these types, which nobody else made.
    pub fn of(takes: &[Takes]) -> Self {
        let is_simple = |takes: &Takes| {
            use ColumnType::{Bigint, Boolean, Json, Jsonb, Text};
            let is_simple = matches!(takes.kind, Bigint | Boolean | Json | Jsonb | Text);
            is_simple && takes.only == Only::All
        };
        if takes.iter().all(is_simple) {
            Self::Binary
        } else {
            Self::Text
        }
    }

    /// What follows the columns in COPY.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Binary => " WITH (FORMAT binary)",
        }
    }

    /// What comes before the first row.
    pub const fn header(self) -> &'static [u8] {
        match self {
            Self::Text => b"",
            Self::Binary => HEADER,
        }
    }

    /// What comes after the last row.
    pub const fn trailer(self) -> &'static [u8] {
        match self {
            Self::Text => b"",
            Self::Binary => &TRAILER,
        }
    }

    /// Begins a row of so many fields.
    pub fn begin_row(self, line: &mut Vec<u8>, fields: usize) {
        if self == Self::Binary {
            let fields = i16::try_from(fields).expect("a table has at most 1,600 columns");
            line.extend_from_slice(&fields.to_be_bytes());
        }
    }

    pub fn end_row(self, line: &mut Vec<u8>) {
        if self == Self::Text {
            line.push(b'\n');
        }
    }

    /// Appends a value of this type, which fits; none is null. After the first one in a row `is_next`.
    pub fn push(self, line: &mut Vec<u8>, value: Option<&str>, kind: ColumnType, is_next: bool) {
        match self {
            Self::Text => {
                if is_next {
                    line.push(b'\t');
                }
                match value {
                    Some(value) => push_escaped(line, value),
                    None => line.extend_from_slice(b"\\N"),
                }
            }
            Self::Binary => match value {
                Some(value) => push_binary(line, value, kind),
                None => line.extend_from_slice(&NULL),
            },
        }
    }

    /// The last two fields of every row: when it is committed, RFC 3339 in UTC, and by which generation.
    pub fn tail(self, committed_at: &str, generation: u64) -> Vec<u8> {
        match self {
            Self::Text => format!("\t{committed_at}\t{generation}").into_bytes(),
            Self::Binary => {
                let at: Timestamp = committed_at.parse().expect("it was written by this run");
                let since = at.as_microsecond() - EPOCH_US;
                let generation = i64::try_from(generation).unwrap_or(i64::MAX);
                let mut tail = Vec::new();
                push_field(&mut tail, &[&since.to_be_bytes()]);
                push_field(&mut tail, &[&generation.to_be_bytes()]);
                tail
            }
        }
    }
}

fn push_binary(line: &mut Vec<u8>, value: &str, kind: ColumnType) {
    let text = value.as_bytes();
    match kind {
        ColumnType::Bigint => {
            let number: i64 = value.parse().expect("it fits");
            push_field(line, &[&number.to_be_bytes()]);
        }
        ColumnType::Boolean => push_field(line, &[&[u8::from(value == "true")]]),
        ColumnType::Jsonb => push_field(line, &[&[JSONB_VERSION], text]),
        ColumnType::Json | ColumnType::Text => push_field(line, &[text]),
        kind => unreachable!("{kind:?} is sent as text"),
    }
}

fn push_field(line: &mut Vec<u8>, parts: &[&[u8]]) {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = i32::try_from(bytes).expect("a line is shorter than 2 GiB");
    line.extend_from_slice(&bytes.to_be_bytes());
    for part in parts {
        line.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kinds: &[ColumnType]) -> Form {
        let takes: Vec<Takes> = kinds.iter().map(|kind| Takes::all(*kind)).collect();
        Form::of(&takes)
    }

    #[test]
    fn binary_is_for_columns_whose_every_type_has_a_simple_form() {
        assert_eq!(form(&[ColumnType::Bigint, ColumnType::Jsonb]), Form::Binary);
        assert_eq!(form(&[ColumnType::Bigint, ColumnType::Numeric]), Form::Text);
        let others = Takes {
            kind: ColumnType::Bigint,
            only: Only::Integer,
        };
        assert_eq!(Form::of(&[others]), Form::Text);
    }

    #[test]
    fn a_field_is_its_length_and_its_bytes() {
        let mut line = Vec::new();

        Form::Binary.begin_row(&mut line, 3);
        Form::Binary.push(&mut line, Some("-2"), ColumnType::Bigint, false);
        Form::Binary.push(&mut line, Some("[\"\\t\"]"), ColumnType::Jsonb, true);
        Form::Binary.push(&mut line, None, ColumnType::Text, true);
        Form::Binary.end_row(&mut line);

        let wanted: [&[u8]; 6] = [
            &[0, 3],
            &[0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 254],
            &[0, 0, 0, 7, 1],
            b"[\"\\t\"]",
            &[255, 255, 255, 255],
            b"",
        ];
        assert_eq!(line, wanted.concat());
    }

    #[test]
    fn a_time_is_counted_from_the_year_2000() {
        let tail = Form::Binary.tail("2000-01-01T00:00:01.500Z", 7);

        let wanted: [&[u8]; 4] = [
            &[0, 0, 0, 8],
            &1_500_000_i64.to_be_bytes(),
            &[0, 0, 0, 8],
            &7_i64.to_be_bytes(),
        ];
        assert_eq!(tail, wanted.concat());
    }
}
