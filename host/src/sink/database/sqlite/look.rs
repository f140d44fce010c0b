//! A look at the last commit, for `health`: without a lock, without a change, also while a run is under way.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection as Link, OpenFlags};
use serde_json::Value;

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::columns::ColumnType;
use crate::settings::host::HostPlan;
use crate::sink::database::compare::{Between, Looking, TakeRow};
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::past::{FROM_GENERATION, Kept, TO_GENERATION, table_of};
use crate::sink::database::{ColumnSource, GENERATION, Layout, Seen, StateRow};

use super::error::{DatabaseFile, code};
use super::runs::Runs;
use super::{past, read_state, table};

/// The job's row, its runs, whether its table is there and, where `count` says so, how many rows that has.
pub fn look(path: &Path, job: &str, count: bool, limits: &Limits) -> Result<Seen, Failure> {
    let place = DatabaseFile::of(path);
    let doing = || "cannot open";
    let Some(link) = opened(path, &place, limits)? else {
        return Ok(Seen::default());
    };
    // One transaction, so that the row and the table are of the same commit.
    place.done(link.execute_batch("BEGIN"), doing)?;
    let state = read_state(&link, &place, job)?;
    let named = state.as_ref().and_then(|row| row.trusted().ok());
    let named = named.and_then(|(_, manifest)| manifest.table);
    let has_table = match &named {
        Some(name) => place.done(table::exists(&link, name), doing)?,
        None => false,
    };
    let rows = match named.filter(|_| count && has_table) {
        Some(name) => {
            let counted = table::count(&link, &name);
            Some(place.done(counted, || {
                format!("cannot count the rows of the table `{name}`")
            })?)
        }
        None => None,
    };
    let runs = Runs {
        link: &link,
        place: &place,
        job,
        is_strict: true,
        limits,
    };
    Ok(Seen {
        held: past::held(&link, &place, job)?,
        state,
        has_table,
        rows,
        runs: runs.seen()?,
    })
}

/// In write-ahead mode a reader needs files beside the database. Somebody who may not make them, and finds none because
/// nobody writes, reads the file as it is.
fn open(path: &Path) -> rusqlite::Result<Link> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Link::open_with_flags(path, flags).and_then(|link| {
        table::exists(&link, "tidegate_state")?;
        Ok(link)
    });
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    match opened {
        Err(error)
            if code(&error) == rusqlite::ffi::SQLITE_CANTOPEN && !Path::new(&log).exists() =>
        {
            let name = format!("file:{}?immutable=1", path.display());
            Link::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI)
        }
        opened => opened,
    }
}

/// The summaries of the last runs that ended.
pub fn history(path: &Path, job: &str, most: i64, limits: &Limits) -> Result<Vec<String>, Failure> {
    let place = DatabaseFile::of(path);
    let Some(link) = opened(path, &place, limits)? else {
        return Ok(Vec::new());
    };
    let runs = Runs {
        link: &link,
        place: &place,
        job,
        is_strict: true,
        limits,
    };
    runs.listed(most)
}

/// What differs, in one snapshot of the file.
pub fn looked_at<T>(
    path: &Path,
    host: &HostPlan,
    check: Check<'_>,
    act: &mut dyn FnMut(&mut dyn Looking) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = DatabaseFile::of(path);
    let Some(link) = opened(path, &place, &host.limits)? else {
        let what = format!("cannot compare: {place} is missing, nothing was published yet");
        return Err(Failure::new(Outcome::Usage, what));
    };
    place.done(link.execute_batch("BEGIN"), || "cannot open")?;
    act(&mut LookedAt {
        link: &link,
        place: &place,
        host,
        check,
    })
}

/// A file whose rows are looked at.
struct LookedAt<'l> {
    link: &'l Link,
    place: &'l DatabaseFile,
    host: &'l HostPlan,
    check: Check<'l>,
}

impl Looking for LookedAt<'_> {
    fn state(&mut self) -> Result<Option<StateRow>, Failure> {
        read_state(self.link, self.place, &self.host.job)
    }

    fn kept(&mut self) -> Result<Option<Kept>, Failure> {
        let table = &self.host.output.table;
        past::kept(self.link, self.place, &self.host.job, table)
    }

    fn kept_row(&mut self, at_most: u64) -> Result<Option<StateRow>, Failure> {
        past::kept_row(self.link, self.place, &self.host.job, at_most)
    }

    fn last_written(&mut self) -> Result<u64, Failure> {
        let sql = format!(
            "SELECT coalesce(max({GENERATION}), 0) FROM {}",
            quoted(&self.host.output.table)
        );
        let read = self.link.query_row(&sql, [], |row| row.get::<_, i64>(0));
        let read = self.place.done(read, || "cannot read the table")?;
        Ok(read.unsigned_abs())
    }

    fn rows(
        &mut self,
        layout: &Layout,
        between: Between,
        take: TakeRow<'_>,
    ) -> Result<(), Failure> {
        let doing = || "cannot compare the rows";
        let sql = rows_sql(&self.host.output.table, layout, between);
        let mut statement = self.place.done(self.link.prepare(&sql), doing)?;
        let mut rows = statement.raw_query();
        let mut seen = 0_u64;
        while let Some(row) = self.place.done(rows.next(), doing)? {
            seen += 1;
            if seen.is_multiple_of(1_000) {
                (self.check)()?;
            }
            let values = (0..layout.columns.len()).map(|at| row.get_ref(at + 1));
            let values: rusqlite::Result<Vec<ValueRef<'_>>> = values.collect();
            let values = self.place.done(values, doing)?;
            let is_later: bool = self.place.done(row.get(0), doing)?;
            let keys: Vec<String> = layout
                .columns
                .iter()
                .zip(&values)
                .take(layout.keys)
                .map(|(column, value)| as_json(column.kind, *value))
                .collect();
            take(is_later, &keys.join(", "), &record_of(layout, &values))?;
        }
        Ok(())
    }
}

/// The rows between two generations, each with whether it is of the later one.
fn rows_sql(table: &str, layout: &Layout, between: Between) -> String {
    let Between {
        low,
        high,
        is_exact,
    } = between;
    let own = listed(layout.columns.iter().map(|column| column.name.as_str()));
    let history = quoted(&table_of(table));
    let table = quoted(table);
    let mut parts = vec![format!(
        "SELECT 1 AS tidegate_is_later, {own} FROM {table} WHERE {GENERATION} > {low} AND {GENERATION} <= {high}"
    )];
    if is_exact {
        parts.push(format!(
            "SELECT 1, {own} FROM {history} WHERE {FROM_GENERATION} > {low} AND {FROM_GENERATION} <= {high} AND {TO_GENERATION} > {high}"
        ));
        parts.push(format!(
            "SELECT 0, {own} FROM {history} WHERE {FROM_GENERATION} <= {low} AND {TO_GENERATION} > {low} AND {TO_GENERATION} <= {high}"
        ));
    }
    format!(
        "SELECT * FROM ({}) ORDER BY {}, tidegate_is_later",
        parts.join(" UNION ALL "),
        listed(layout.key_names())
    )
}

/// The record of a row: itself, or its columns as an object.
fn record_of(layout: &Layout, values: &[ValueRef<'_>]) -> String {
    let columns = || layout.columns.iter().zip(values);
    let whole = columns().find(|(column, _)| column.source == ColumnSource::Record);
    if let Some((_, ValueRef::Text(text))) = whole {
        return String::from_utf8_lossy(text).into_owned();
    }
    let members: Vec<String> = columns()
        .map(|(column, value)| {
            let name = Value::from(column.name.as_str());
            format!("{name}:{}", as_json(column.kind, *value))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A value as JSON has it.
fn as_json(kind: Option<ColumnType>, value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(value) if kind == Some(ColumnType::Boolean) => (value != 0).to_string(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => Value::from(value).to_string(),
        ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            match kind {
                Some(ColumnType::Numeric | ColumnType::Json | ColumnType::Jsonb) => {
                    text.into_owned()
                }
                _ => Value::from(text.as_ref()).to_string(),
            }
        }
    }
}

/// The file, open to be read; none where there is none.
fn opened(path: &Path, place: &DatabaseFile, limits: &Limits) -> Result<Option<Link>, Failure> {
    let doing = || "cannot open";
    if !path.exists() {
        return Ok(None);
    }
    let link = place.done(open(path), doing)?;
    place.done(link.busy_timeout(limits.database_busy), doing)?;
    Ok(Some(link))
}
