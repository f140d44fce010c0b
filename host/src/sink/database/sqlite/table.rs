//! A job's table: made where it is missing, and otherwise exactly as it must be, for it is never altered.

use std::fmt::Write as _;

use rusqlite::{Connection as Link, OptionalExtension as _, Result, params};

use crate::outcome::{Failure, Outcome};
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::{ColumnSource, GENERATION, Layout, UPDATED_AT, past};

use super::Sqlite;
use super::error::{DatabaseFile, number};
use super::value::declared;

/// A column as it must be, and as it is.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    name: String,
    kind: String,
    is_required: bool,
    /// Its place in the primary key, counted from 1.
    key: i64,
}

/// Whether there is a table of this name.
pub fn exists(link: &Link, name: &str) -> Result<bool> {
    link.query_row(
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        [name],
        |_| Ok(()),
    )
    .optional()
    .map(|found| found.is_some())
}

/// The names of a table's triggers; none where there are none.
pub fn triggers(link: &Link, name: &str) -> Result<Option<String>> {
    let statement = "SELECT group_concat(name, ', ') FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE";
    link.query_row(statement, [name], |row| row.get(0))
}

/// Rows in a table.
pub fn count(link: &Link, name: &str) -> Result<u64> {
    link.query_row(
        &format!("SELECT count(*) FROM {}", quoted(name)),
        [],
        |row| row.get::<_, i64>(0),
    )
    .map(i64::unsigned_abs)
}

/// The job's table, ready for rows. `owned`: its last commit was made in it.
///
/// `Err` is 73: there is something else, with the statement that would mend it; 78 when it is another job's.
pub fn ready(
    sqlite: &Sqlite<'_>,
    name: &str,
    layout: &Layout,
    owned: bool,
) -> std::result::Result<(), Failure> {
    let Sqlite {
        link,
        place,
        job,
        is_strict,
        ..
    } = sqlite;
    let is_strict = *is_strict;
    let doing = || format!("cannot inspect the table `{name}`");
    refuse_anothers(link, place, job, name)?;
    if !is_strict {
        refuse_strict(link, place, name)?;
    }
    let found: Option<(String, String, bool)> = place.done(
        link.query_row(
            "SELECT name, type, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
            [name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional(),
        doing,
    )?;
    let wanted = shapes(layout, is_strict);
    match found {
        None => place.done(
            link.execute_batch(&create(name, layout, &wanted, is_strict)),
            || format!("cannot create the table `{name}`"),
        ),
        Some((_, kind, _)) if kind != "table" => Err(place.unusable(format_args!(
            "`{name}` is a {kind} and no table; choose another OUTPUT_TABLE"
        ))),
        Some((real, _, strict)) => {
            let has = place.done(columns(link, name), doing)?;
            if let Some(what) = drift(name, &wanted, &has, strict || !is_strict) {
                let statement = create(name, layout, &wanted, is_strict);
                return Err(place.unusable(format_args!(
                    "the table `{real}` {what}. As it must be: `{}`",
                    statement.split_whitespace().collect::<Vec<_>>().join(" ")
                )));
            }
            if owned || place.done(count(link, name), doing)? == 0 {
                return Ok(());
            }
            Err(place.unusable(format_args!(
                "the table `{real}` has rows that are not this job's; choose another OUTPUT_TABLE, or move them away: `ALTER TABLE {} RENAME TO {}`",
                quoted(&real),
                quoted(&format!("{real}_before"))
            )))
        }
    }
}

/// The table of the history, ready for rows. Returns whether it was made; `owned`: this job has a history there.
///
/// `Err` is 73: there is something else.
pub fn history_ready(
    sqlite: &Sqlite<'_>,
    table: &str,
    layout: &Layout,
    owned: bool,
) -> std::result::Result<bool, Failure> {
    let Sqlite {
        link,
        place,
        is_strict,
        ..
    } = sqlite;
    let name = past::table_of(table);
    let doing = || format!("cannot make the table `{name}`");
    let own = shapes(layout, *is_strict)
        .into_iter()
        .take(layout.columns.len());
    let controls = past::CONTROLS
        .into_iter()
        .zip(["TEXT", "INTEGER"].into_iter().cycle());
    let controls = controls.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let wanted: Vec<(String, String)> = own
        .map(|shape| (shape.name, shape.kind))
        .chain(controls)
        .collect();
    if !place.done(exists(link, &name), doing)? {
        let columns: Vec<String> = wanted
            .iter()
            .map(|(name, kind)| format!("{} {kind}", quoted(name)))
            .collect();
        let strict = if *is_strict { " STRICT" } else { "" };
        let index = quoted(&format!("{name}_by_end"));
        let statements = format!(
            "CREATE TABLE {table} ({columns}){strict}; CREATE INDEX {index} ON {table} ({end})",
            table = quoted(&name),
            columns = columns.join(", "),
            end = quoted(past::VALID_TO)
        );
        place.done(link.execute_batch(&statements), doing)?;
        return Ok(true);
    }
    let refused = |why: &str| {
        let rename = format!(
            "ALTER TABLE {} RENAME TO {}",
            quoted(&name),
            quoted(&format!("{name}_before"))
        );
        past::unusable(place, &format!("`{name}`"), why, &rename)
    };
    let has = place.done(columns(link, &name), doing)?;
    let lacks = |control: &&str| has.iter().all(|shape| shape.name != *control);
    if past::CONTROLS.iter().any(lacks) {
        return Err(refused("tidegate did not make that table"));
    }
    for (column, kind) in &wanted {
        let found = has
            .iter()
            .find(|shape| shape.name.eq_ignore_ascii_case(column));
        match found {
            Some(found) if found.kind.eq_ignore_ascii_case(kind) => {}
            Some(found) => {
                return Err(refused(&format!(
                    "its column `{column}` is {}, and that of the table is {kind}",
                    found.kind
                )));
            }
            None => {
                let add = format!(
                    "ALTER TABLE {} ADD COLUMN {} {kind}",
                    quoted(&name),
                    quoted(column)
                );
                place.done(link.execute_batch(&add), doing)?;
            }
        }
    }
    if !owned && place.done(count(link, &name), doing)? > 0 {
        return Err(refused("it has rows, and this job has no history"));
    }
    Ok(false)
}

/// Older readers cannot open a file in which one table is STRICT. `Err` is 73.
fn refuse_strict(
    link: &Link,
    place: &DatabaseFile,
    name: &str,
) -> std::result::Result<(), Failure> {
    let strict: Option<String> = place.done(
        link.query_row(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict AND (name = ?1 COLLATE NOCASE OR name LIKE 'tidegate#_%' ESCAPE '#') LIMIT 1",
            [name],
            |row| row.get(0),
        )
        .optional(),
        || format!("cannot inspect the table `{name}`"),
    )?;
    strict.map_or(Ok(()), |strict| {
        Err(place.unusable(format_args!(
            "its table `{strict}` is STRICT, which SQLite before 3.37 cannot read, and OUTPUT_SQLITE_STRICT is `no`; name a new file in OUTPUT_DATABASE_URL, or unset OUTPUT_SQLITE_STRICT"
        )))
    })
}

/// One table, one job: two would delete each other's rows.
fn refuse_anothers(
    link: &Link,
    place: &DatabaseFile,
    job: &str,
    name: &str,
) -> std::result::Result<(), Failure> {
    let other: Option<String> = place.done(
        link.query_row(
            "SELECT job FROM tidegate_state WHERE job <> ?1 AND json_valid(manifest) AND lower(json_extract(manifest, '$.table')) = lower(?2)",
            params![job, name],
            |row| row.get(0),
        )
        .optional(),
        || "cannot read `tidegate_state`",
    )?;
    other.map_or(Ok(()), |other| {
        Err(Failure::new(
            Outcome::Settings,
            format!(
                "cannot use {place}: the table `{name}` is the job `{}`'s; choose another OUTPUT_TABLE, or, if that is this job under another name, set JOB_NAME back",
                other.escape_debug()
            ),
        ))
    })
}

fn shapes(layout: &Layout, is_strict: bool) -> Vec<Shape> {
    let own = layout.columns.iter().enumerate().map(|(at, column)| {
        let is_record = column.source == ColumnSource::Record;
        let kind = if is_record {
            "TEXT"
        } else {
            match declared(column.kind) {
                // Elsewhere the word would turn texts of digits into numbers; no type takes all as it is.
                "ANY" if !is_strict => "",
                kind => kind,
            }
        };
        Shape {
            name: column.name.clone(),
            kind: kind.to_owned(),
            is_required: is_record || at < layout.keys || layout.parent == Some(at),
            key: if at < layout.keys {
                number(at as u64 + 1)
            } else {
                0
            },
        }
    });
    let last = [(UPDATED_AT, "TEXT"), (GENERATION, "INTEGER")].map(|(name, kind)| Shape {
        name: name.to_owned(),
        kind: kind.to_owned(),
        is_required: true,
        key: 0,
    });
    own.chain(last).collect()
}

fn create(name: &str, layout: &Layout, wanted: &[Shape], is_strict: bool) -> String {
    let mut parts: Vec<String> = wanted.iter().map(Shape::definition).collect();
    if layout.keys > 0 {
        parts.push(format!("PRIMARY KEY ({})", listed(layout.key_names())));
    }
    let mut statement = format!(
        "CREATE TABLE {} (\n  {}\n){};",
        quoted(name),
        parts.join(",\n  "),
        if is_strict { " STRICT" } else { "" }
    );
    // By the parent its records are found; where it comes first in the key, they are already.
    if let Some(parent) = layout.parent.filter(|at| *at > 0) {
        let column = &layout.columns[parent].name;
        let index = quoted(&format!("{name}_by_{column}"));
        let (name, column) = (quoted(name), quoted(column));
        let _ = write!(statement, "\nCREATE INDEX {index} ON {name} ({column});");
    }
    statement
}

fn columns(link: &Link, name: &str) -> Result<Vec<Shape>> {
    let mut statement =
        link.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1)")?;
    let rows = statement.query_map([name], |row| {
        Ok(Shape {
            name: row.get(0)?,
            kind: row.get(1)?,
            is_required: row.get(2)?,
            key: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// How a table differs from what it must be, and what would mend it. Columns of somebody's own are no difference.
fn drift(name: &str, wanted: &[Shape], has: &[Shape], strict: bool) -> Option<String> {
    let table = quoted(name);
    if !strict {
        return Some("is not STRICT, so values would be changed as they are written; rename it, and the next run creates it again, or set OUTPUT_SQLITE_STRICT=no, if that made it".to_owned());
    }
    let key = |shapes: &[Shape]| {
        let mut key: Vec<(i64, String)> = shapes
            .iter()
            .filter(|shape| shape.key > 0)
            .map(|shape| (shape.key, shape.name.to_lowercase()))
            .collect();
        key.sort_unstable();
        key
    };
    if key(wanted) != key(has) {
        let shown: Vec<String> = key(has).into_iter().map(|(_, name)| name).collect();
        return Some(format!(
            "has the primary key ({}); rename it, and run with `--full-refresh`",
            shown.join(", ")
        ));
    }
    for want in wanted {
        let found = has
            .iter()
            .find(|shape| shape.name.eq_ignore_ascii_case(&want.name));
        match found {
            None if want.is_required => {
                return Some(format!(
                    "has no column `{}`; rename it, and run with `--full-refresh`",
                    want.name
                ));
            }
            None => {
                return Some(format!(
                    "has no column `{}`: `ALTER TABLE {table} ADD COLUMN {}`, then run with `--full-refresh`",
                    want.name,
                    want.definition()
                ));
            }
            Some(found) if !found.kind.eq_ignore_ascii_case(&want.kind) => {
                let column = quoted(&want.name);
                return Some(format!(
                    "has the column `{}` as {}, and it must be {}: `ALTER TABLE {table} RENAME COLUMN {column} TO {}`, `ALTER TABLE {table} ADD COLUMN {}`, then run with `--full-refresh`",
                    want.name,
                    found.kind,
                    want.kind,
                    quoted(&format!("{}_before", want.name)),
                    want.definition()
                ));
            }
            Some(found) if found.is_required && !want.is_required => {
                return Some(format!(
                    "has the column `{}` as NOT NULL, and a record may have none; rename it, and run with `--full-refresh`",
                    want.name
                ));
            }
            Some(_) => {}
        }
    }
    None
}

impl Shape {
    fn definition(&self) -> String {
        let required = if self.is_required { " NOT NULL" } else { "" };
        format!("{} {}{required}", quoted(&self.name), self.kind)
    }
}
