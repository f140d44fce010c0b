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

/// The type that the server calls so.
pub fn named(name: &str) -> Option<ColumnType> {
    use ColumnType as Kind;
    let all = [
        Kind::Text,
        Kind::Bigint,
        Kind::Numeric,
        Kind::Double,
        Kind::Boolean,
        Kind::Timestamptz,
        Kind::Timestamp,
        Kind::Date,
        Kind::Uuid,
        Kind::Json,
        Kind::Jsonb,
    ];
    all.into_iter().find(|kind| sql(*kind) == name)
}

/// The narrowest type of a key column for this value.
pub fn told_from(cell: &Cell<'_>) -> ColumnType {
    match cell {
        Cell::Number(digits) if digits.parse::<i64>().is_ok() => ColumnType::Bigint,
        Cell::Number(_) => ColumnType::Numeric,
        Cell::Text(_) => ColumnType::Text,
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
