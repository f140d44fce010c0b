//! What the settings of a database need of one another.

use crate::limits::POSTGRES_NAME_BYTES_MAX;
use crate::settings::catalogue::{
    OUTPUT_COLUMNS, OUTPUT_DATABASE_PASSWORD, OUTPUT_HISTORY, OUTPUT_SQLITE_STRICT, OUTPUT_TABLE,
    PRIMARY_KEY, Row,
};
use crate::settings::columns::{Column, ColumnType};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::{HISTORY_COLUMNS as CONTROLS, HostPlan, history_of};
use crate::settings::inputs::{Inputs, Problem};
use crate::settings::plan::WriteMode;
use crate::sink::database::Layout;

/// Adds what does not go together.
pub fn refuse(
    inputs: &Inputs,
    host: &HostPlan,
    mode: Option<WriteMode>,
    problems: &mut Vec<Problem>,
) {
    // One that cannot be understood was refused by the plan.
    let Some(url) = &host.database else { return };
    let mut problem = |row: &Row, message: String| {
        problems.push(inputs.problem(row.name, message));
    };
    if matches!(url, DatabaseUrl::Postgres(_)) && inputs.is_given(&OUTPUT_SQLITE_STRICT.row) {
        let message = "is about tables of SQLite, and OUTPUT_DATABASE_URL names a server: unset it";
        problem(&OUTPUT_SQLITE_STRICT.row, message.to_owned());
    }
    if matches!(url, DatabaseUrl::Sqlite(_)) {
        if inputs.is_given(&OUTPUT_DATABASE_PASSWORD.row) {
            let message = "is for a server, and a SQLite database has no password: unset it";
            problem(&OUTPUT_DATABASE_PASSWORD.row, message.to_owned());
        }
        if host
            .output
            .table
            .to_ascii_lowercase()
            .starts_with("sqlite_")
        {
            let message = "begins with `sqlite_`, which SQLite keeps for itself: take another name";
            problem(&OUTPUT_TABLE.row, message.to_owned());
        }
    }
    if host.output.keeps_history {
        if mode == Some(WriteMode::Append) {
            let message = "keeps rows that are replaced or deleted, and WRITE_MODE=append replaces and deletes none: unset it";
            problem(&OUTPUT_HISTORY.row, message.to_owned());
        }
        let taken = CONTROLS.into_iter().find(|control| {
            let mut columns = host.output.columns.iter();
            columns.any(|column| column.name.eq_ignore_ascii_case(control))
        });
        if let Some(taken) = taken {
            let message = format!(
                "has a column `{taken}`, which OUTPUT_HISTORY writes itself: give it another name"
            );
            problem(&OUTPUT_COLUMNS.row, message);
        }
        let name = history_of(&host.output.table);
        let name = name.rsplit('.').next().unwrap_or_default();
        if name.len() > POSTGRES_NAME_BYTES_MAX {
            let message = format!(
                "would make a table named `{}`, which is longer than {POSTGRES_NAME_BYTES_MAX} bytes: choose a shorter OUTPUT_TABLE",
                name.escape_debug()
            );
            problem(&OUTPUT_HISTORY.row, message);
        }
    }
    for message in wrong_columns(host, mode, url) {
        if host.output.columns.is_empty() {
            problem(&PRIMARY_KEY.row, message);
        } else {
            problem(&OUTPUT_COLUMNS.row, message);
        }
    }
}

fn wrong_columns(host: &HostPlan, mode: Option<WriteMode>, url: &DatabaseUrl) -> Vec<String> {
    let mut wrong = Vec::new();
    // A wrong mode is reported elsewhere.
    let mode = mode.unwrap_or(WriteMode::Upsert);
    let keys = host.output.merged_by(mode);
    for column in host
        .output
        .columns
        .iter()
        .filter(|column| column.kind.is_none())
    {
        wrong.push(format!(
            "gives the column `{0}` no type, and a table needs one: `{0} text {1}`",
            column.name, column.pointer
        ));
    }
    let names_records = |column: &&Column| {
        keys.contains(&column.pointer) || host.output.replace_by.as_ref() == Some(&column.pointer)
    };
    for column in host.output.columns.iter().filter(names_records) {
        if let Some(kind) = column.kind.filter(|kind| !is_of_keys(*kind)) {
            wrong.push(format!(
                "makes the key `{}` a column of the type {}, and two strings can be one value of it: take text, bigint, numeric, uuid or date",
                column.pointer,
                kind.word()
            ));
        }
    }
    match Layout::of(&host.output, mode) {
        Err(failure) => wrong.push(format!("would {}", failure.message)),
        Ok(layout) => wrong.extend(wrong_names(&layout, url)),
    }
    wrong
}

fn wrong_names(layout: &Layout, url: &DatabaseUrl) -> Vec<String> {
    let mut wrong = Vec::new();
    let ignores_case = matches!(url, DatabaseUrl::Sqlite(_));
    let names: Vec<&str> = layout
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > POSTGRES_NAME_BYTES_MAX {
            wrong.push(format!(
                "would make a column named `{}`, which is empty or longer than {POSTGRES_NAME_BYTES_MAX} bytes: name it in OUTPUT_COLUMNS",
                name.escape_debug()
            ));
        }
        let first = names[..at]
            .iter()
            .find(|known| ignores_case && known.eq_ignore_ascii_case(name));
        if let Some(first) = first {
            wrong.push(format!(
                "would make the columns `{first}` and `{name}`, which are one to SQLite: give one of them another name in OUTPUT_COLUMNS"
            ));
        }
    }
    wrong
}

const fn is_of_keys(kind: ColumnType) -> bool {
    // Of any other type two strings can be one value: at another offset, say. A UUID in capitals is the one it is.
    matches!(
        kind,
        ColumnType::Text
            | ColumnType::Bigint
            | ColumnType::Numeric
            | ColumnType::Uuid
            | ColumnType::Date
    )
}
