//! Types of columns: what the server calls them, what is put into them, and what a key's is told from.

use crate::settings::columns::ColumnType;
use crate::sink::database::Cell;
use crate::sink::database::names::quoted;

/// The server's name of a type, as `format_type` has it.
pub const fn sql(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Bigint => "bigint",
        ColumnType::Numeric => "numeric",
        ColumnType::Double => "double precision",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamptz => "timestamp with time zone",
        ColumnType::Timestamp => "timestamp without time zone",
        ColumnType::Date => "date",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
        ColumnType::Jsonb => "jsonb",
    }
}

/// What a column takes: the values of a type, and where somebody else made it perhaps not all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    pub kind: ColumnType,
    pub only: Only,
}

/// Which values of its type a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    All,
    Smallint,
    Integer,
    /// Strings of at most so many characters.
    Chars(usize),
    /// The same, and blanks at their end are not kept.
    Padded(usize),
    /// Numbers of so many digits, of which so many stand after the point.
    Digits {
        precision: i64,
        scale: i64,
    },
    /// Times with so many digits of a second's fraction.
    Fraction(usize),
}

impl Takes {
    /// A column that takes all of a type.
    pub const fn all(kind: ColumnType) -> Self {
        let only = Only::All;
        Self { kind, only }
    }

    /// What a column of the type takes that `format_type` calls so; none of a type that nothing here is written into.
    pub fn named(name: &str) -> Option<Self> {
        let (base, within) = match name.split_once('(') {
            Some((head, rest)) => {
                let (within, tail) = rest.split_once(')')?;
                (format!("{head}{tail}"), Some(within))
            }
            None => (name.to_owned(), None),
        };
        let number = || within.and_then(|within| within.parse().ok());
        let (kind, only) = match base.as_str() {
            "smallint" => (ColumnType::Bigint, Only::Smallint),
            "integer" => (ColumnType::Bigint, Only::Integer),
            "character varying" => {
                let only = number().map_or(Only::All, Only::Chars);
                (ColumnType::Text, only)
            }
            "character" => (ColumnType::Text, Only::Padded(number()?)),
            "numeric" => match within {
                None => (ColumnType::Numeric, Only::All),
                Some(within) => {
                    let (precision, scale) = within.split_once(',')?;
                    let (precision, scale) = (precision.parse().ok()?, scale.parse().ok()?);
                    (ColumnType::Numeric, Only::Digits { precision, scale })
                }
            },
            base => {
                let kind = ColumnType::ALL
                    .into_iter()
                    .find(|kind| sql(*kind) == base)?;
                (kind, number().map_or(Only::All, Only::Fraction))
            }
        };
        Some(Self { kind, only })
    }

    /// As the server calls it.
    pub fn shown(self) -> String {
        match (self.only, sql(self.kind)) {
            (Only::All, name) => name.to_owned(),
            (Only::Smallint, _) => "smallint".to_owned(),
            (Only::Integer, _) => "integer".to_owned(),
            (Only::Chars(most), _) => format!("character varying({most})"),
            (Only::Padded(most), _) => format!("character({most})"),
            (Only::Digits { precision, scale }, _) => format!("numeric({precision},{scale})"),
            (Only::Fraction(most), name) => match name.split_once(' ') {
                Some((head, tail)) => format!("{head}({most}) {tail}"),
                None => name.to_owned(),
            },
        }
    }

    /// This, where it will do for what OUTPUT_COLUMNS declares; a key's type may be left to the table.
    pub fn declared_as(self, declared: Option<ColumnType>) -> Option<Self> {
        use ColumnType::{Bigint, Json, Numeric};
        match (declared, self.kind) {
            (None, Json) => None,
            (None, _) | (Some(Numeric), Bigint) => Some(self),
            (Some(Bigint), Numeric) => Some(Self {
                kind: Bigint,
                ..self
            }),
            (Some(declared), kind) => (declared == kind).then_some(self),
        }
    }
}

/// The narrowest type of a key column for this value.
pub fn told_from(cell: &Cell<'_>) -> ColumnType {
    match cell {
        Cell::Number(digits) if digits.parse::<i64>().is_ok() => ColumnType::Bigint,
        Cell::Number(_) => ColumnType::Numeric,
        Cell::Text(_) | Cell::HalfPair(_) => ColumnType::Text,
        Cell::Null | Cell::Boolean(_) | Cell::Json(_) => ColumnType::Jsonb,
    }
}

/// The narrowest type that takes what `kind` takes, and this value.
pub fn widened(kind: ColumnType, cell: &Cell<'_>) -> ColumnType {
    match (kind, told_from(cell)) {
        (known, told) if known == told => known,
        (ColumnType::Numeric, ColumnType::Bigint) | (ColumnType::Bigint, ColumnType::Numeric) => {
            ColumnType::Numeric
        }
        _ => ColumnType::Jsonb,
    }
}

/// Whether every value keeps what it is when its column gets this type.
pub const fn keeps_values(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Text | ColumnType::Jsonb)
}

/// The statement that gives a column another type.
pub fn retype(table: &str, column: &str, kind: ColumnType) -> String {
    let column = quoted(column);
    let using = match kind {
        ColumnType::Jsonb => format!("to_jsonb({column})"),
        kind => format!("{column}::{}", sql(kind)),
    };
    format!(
        "ALTER TABLE {table} ALTER COLUMN {column} TYPE {} USING {using}",
        sql(kind)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_the_servers_is_told_with_what_it_takes() {
        for (name, kind, only) in [
            ("integer", ColumnType::Bigint, Only::Integer),
            ("bigint", ColumnType::Bigint, Only::All),
            ("character varying(20)", ColumnType::Text, Only::Chars(20)),
            ("character varying", ColumnType::Text, Only::All),
            ("character(3)", ColumnType::Text, Only::Padded(3)),
            (
                "numeric(12,2)",
                ColumnType::Numeric,
                Only::Digits {
                    precision: 12,
                    scale: 2,
                },
            ),
            (
                "timestamp(3) with time zone",
                ColumnType::Timestamptz,
                Only::Fraction(3),
            ),
            ("date", ColumnType::Date, Only::All),
        ] {
            assert_eq!(Takes::named(name), Some(Takes { kind, only }), "{name}");
        }
        for other in [
            "real",
            "bytea",
            "integer[]",
            "interval",
            "money",
            "\"char\"",
        ] {
            assert_eq!(Takes::named(other), None, "{other}");
        }
    }
}
