//! Names of tables and columns, quoted: OUTPUT_TABLE is `table` or `schema.table`.

use std::fmt::Display;

use crate::limits::POSTGRES_NAME_BYTES_MAX;
use crate::outcome::{Failure, Outcome};
use crate::sink::database::names::{
    HELD_TABLE, HISTORY_TABLE, REJECTED_TABLE, REMEMBERED_TABLE, STATE_TABLE, quoted,
};
use crate::sink::database::past::table_of;

/// The tables of a job, quoted and with their schema where it is named.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// The schema, not quoted; none: the first of the role's `search_path`.
    pub schema: Option<String>,
    /// The table without its schema, not quoted.
    pub name: String,
    pub table: String,
    pub state: String,
    pub rejected: String,
    pub remembered: String,
    /// `tidegate_history`.
    pub generations: String,
    /// `tidegate_held`.
    pub held: String,
    /// The history of the table.
    pub past: String,
}

fn in_schema(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
        None => quoted(name),
    }
}

impl Names {
    /// Those of OUTPUT_TABLE. `Err` is 78.
    pub fn new(table: &str) -> Result<Self, Failure> {
        let (schema, name) = match table.split_once('.') {
            Some((schema, name)) => (Some(schema.to_owned()), name),
            None => (None, table),
        };
        if name.is_empty() || name.contains('.') || schema.as_deref() == Some("") {
            return Err(Failure::new(
                Outcome::Settings,
                format!(
                    "`OUTPUT_TABLE` takes `table` or `schema.table`, and not `{}`",
                    table.escape_debug()
                ),
            ));
        }
        let with_schema = |name: &str| in_schema(schema.as_deref(), name);
        Ok(Self {
            name: name.to_owned(),
            table: with_schema(name),
            state: with_schema(STATE_TABLE),
            rejected: with_schema(REJECTED_TABLE),
            remembered: with_schema(REMEMBERED_TABLE),
            generations: with_schema(HISTORY_TABLE),
            held: with_schema(HELD_TABLE),
            past: with_schema(&table_of(name)),
            schema,
        })
    }

    /// Another table in the same schema.
    pub fn beside(&self, name: &str) -> String {
        in_schema(self.schema.as_deref(), name)
    }
}

/// A name with this ending, cut to the length that a name may have.
pub fn cut(name: &str, ending: &str) -> String {
    let mut end = name.len().min(POSTGRES_NAME_BYTES_MAX - ending.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

/// OUTPUT_TABLE names a schema that is not there.
pub fn no_schema(schema: &str, place: impl Display) -> Failure {
    Failure::new(
        Outcome::OutputUnusable,
        format!(
            "cannot use the schema `{}` in `{place}`: it is not there; make it by `CREATE SCHEMA {}`",
            schema.escape_debug(),
            quoted(schema)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_splits_schema_and_table() {
        let names = Names::new("sales.or\"ders").unwrap();

        assert_eq!(names.table, "\"sales\".\"or\"\"ders\"");
        assert_eq!(names.state, "\"sales\".\"tidegate_state\"");
        assert_eq!(Names::new("orders").unwrap().table, "\"orders\"");
        assert!(Names::new("a.b.c").is_err());
        assert!(Names::new(".b").is_err());
    }
}
