//! What the settings of a database need of one another, and which settings are for files alone.

use crate::settings::columns::{Column, ColumnType};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::inputs::Problem;
use crate::settings::plan::{Plan, WriteMode};
use crate::sink::database::{Layout, Table};

use crate::settings::SECRETS;

/// Of files: a database keeps one set, in its own form and under its own rights.
const OF_FILES: [(&str, &str); 5] = [
    ("OUTPUT_FORMAT", "says how a file is written"),
    ("OUTPUT_COMPRESSION", "says how a file is written"),
    ("OUTPUT_CSV_FORMULAS", "is about cells of a csv file"),
    ("OUTPUT_MODE", "is the mode of files"),
    (
        "KEEP_GENERATIONS",
        "keeps sets of files, and a table holds the last one",
    ),
];
/// Of databases.
const OF_DATABASES: [(&str, &str); 2] = [
    ("OUTPUT_TABLE", "names a table"),
    ("OUTPUT_DATABASE_PASSWORD", "is for a database"),
];
/// PostgreSQL cuts a longer name.
const NAME_BYTES_MAX: usize = 63;

/// Whether a setting is for files alone.
pub fn is_of_files(name: &str) -> bool {
    OF_FILES.iter().any(|(known, _)| *known == name)
}

/// Adds what does not go together.
pub fn refuse(plan: &Plan, mode: Option<WriteMode>, problems: &mut Vec<Problem>) {
    let mut problem = |setting: &str, message: String| {
        problems.push(Problem {
            setting: setting.to_owned(),
            message,
            origin: plan.values.get(setting).map(|given| given.origin),
        });
    };
    let is_given = |name: &str| {
        let is_secret = SECRETS.contains(&name);
        let secret = || plan.values.secret(name, &mut Vec::new());
        plan.values.get(name).is_some() || (is_secret && secret().is_some())
    };
    let Some(url) = &plan.database else {
        // One that cannot be understood was refused by the plan.
        let is_named = is_given("OUTPUT_DATABASE_URL");
        for (name, what) in OF_DATABASES.iter().filter(|(name, _)| is_given(name)) {
            if !is_named {
                problem(
                    name,
                    format!(
                        "{what}, and OUTPUT_DATABASE_URL is not set: set it, say `OUTPUT_DATABASE_URL=sqlite:///srv/data.db`, or unset this"
                    ),
                );
            }
        }
        return;
    };
    for (name, what) in OF_FILES.iter().filter(|(name, _)| is_given(name)) {
        problem(
            name,
            format!("{what}, and OUTPUT_DATABASE_URL is set: unset one of the two"),
        );
    }
    if matches!(url, DatabaseUrl::Sqlite(_)) {
        if is_given("OUTPUT_DATABASE_PASSWORD") {
            let message = "is for a server, and a SQLite database has no password: unset it";
            problem("OUTPUT_DATABASE_PASSWORD", message.to_owned());
        }
        if plan.table.to_ascii_lowercase().starts_with("sqlite_") {
            let message = "begins with `sqlite_`, which SQLite keeps for itself: take another name";
            problem("OUTPUT_TABLE", message.to_owned());
        }
    }
    for message in wrong_columns(plan, mode, url) {
        let setting = if plan.columns.is_empty() {
            "PRIMARY_KEY"
        } else {
            "OUTPUT_COLUMNS"
        };
        problem(setting, message);
    }
}

fn wrong_columns(plan: &Plan, mode: Option<WriteMode>, url: &DatabaseUrl) -> Vec<String> {
    let mut wrong = Vec::new();
    // What is wrong with the mode is told beside this.
    let table = Table::of(plan, mode.unwrap_or(WriteMode::Upsert));
    for column in plan.columns.iter().filter(|column| column.kind.is_none()) {
        wrong.push(format!(
            "gives the column `{0}` no type, and a table needs one: `{0} text {1}`",
            column.name, column.pointer
        ));
    }
    let names_records = |column: &&Column| {
        table.keys.contains(&column.pointer) || table.replace_by.as_ref() == Some(&column.pointer)
    };
    for column in plan.columns.iter().filter(names_records) {
        if let Some(kind) = column.kind.filter(|kind| !is_of_keys(*kind)) {
            wrong.push(format!(
                "makes the key `{}` a column of the type {}, and a key is a string or an integer: take text, bigint or numeric",
                column.pointer,
                kind.word()
            ));
        }
    }
    match Layout::of(&table) {
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
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            wrong.push(format!(
                "would make a column named `{}`, which is empty or longer than {NAME_BYTES_MAX} bytes: name it in OUTPUT_COLUMNS",
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
    // Of any other type two strings can be one value: in capitals, or at another offset.
    matches!(
        kind,
        ColumnType::Text | ColumnType::Bigint | ColumnType::Numeric
    )
}
