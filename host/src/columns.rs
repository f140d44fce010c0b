//! OUTPUT_COLUMNS: what becomes a column, one `name type /pointer` a line, and what a record has there.

use std::fmt;

/// More than this is a mistake; SQLite and PostgreSQL allow few more.
const COLUMNS_MAX: usize = 500;
/// PostgreSQL cuts a longer name.
const NAME_BYTES_MAX: usize = 63;

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
    const ALL: [Self; 11] = [
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
                "line {}: the column `{}` stands here again",
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
                    "`{}` is no type; there are {}",
                    kind.escape_debug(),
                    words.join(", ")
                )
            })?;
            (name, Some(*known), pointer)
        }
        _ => return Err("takes `name /pointer` or `name type /pointer`".to_owned()),
    };
    if name.len() > NAME_BYTES_MAX
        || name.contains(['"', '\0'])
        || name.chars().any(char::is_control)
    {
        return Err(format!(
            "takes a name of at most {NAME_BYTES_MAX} bytes without quotes"
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
    fn what_is_wrong_is_named_with_its_line() {
        for (text, what) in [
            ("", "names no column"),
            ("a /a\nb", "line 2: takes"),
            ("a money /a", "line 1: `money` is no type"),
            ("a text a", "`/a` instead of `a`"),
            ("a /a\na /b", "line 2: the column `a` stands here again"),
            ("a\"b /a", "without quotes"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }
}
