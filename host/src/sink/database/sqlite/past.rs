//! The past of a table. Rows are copied by triggers of this connection alone: what is not changed costs nothing.

use rusqlite::{Connection as Link, OptionalExtension as _, params};
use serde_json::json;

use crate::outcome::Failure;
use crate::sink::database::names::{listed, quoted};
use crate::sink::database::past::{
    BEGINS_ANEW, CONTROLS, Held, Kept, Span, TO_GENERATION, VALID_TO, begins_anew, table_of,
};
use crate::sink::database::{Connection as _, GENERATION, Layout, StateRow, UPDATED_AT};

use super::error::{DatabaseFile, number};
use super::{Sqlite, read_state, table};

/// The tables in which generations and holds are kept.
pub const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tidegate_history (
        job TEXT NOT NULL, generation INTEGER NOT NULL, committed_at TEXT NOT NULL, manifest TEXT NOT NULL,
        PRIMARY KEY (job, generation)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS tidegate_held (
        job TEXT NOT NULL PRIMARY KEY, since TEXT NOT NULL, generation INTEGER NOT NULL
    ) STRICT;";

/// What copies rows, in the schema of this connection.
const TRIGGERS: [(&str, &str); 2] = [
    ("tidegate_replaced", "UPDATE"),
    ("tidegate_deleted", "DELETE"),
];

const DOING: &str = "cannot keep the history";

impl Sqlite<'_> {
    /// Readies the history of `table`, which has so many rows; `owned`: the last commit was made in it.
    pub(super) fn begin_history(
        &self,
        table: &str,
        layout: &Layout,
        owned: bool,
        rows: u64,
    ) -> Result<(), Failure> {
        let newest = self.newest_kept()?;
        let last = read_state(&self.link, &self.place, &self.job)?;
        // Where generations are counted anew, the rows of earlier ones would be taken for theirs.
        let is_ours = newest.is_some() && last.is_some();
        let is_made = table::history_ready(self, table, layout, is_ours)?;
        let Some(last) = last else {
            return self.forget_generations(table, 0);
        };
        let (_, manifest) = last.trusted()?;
        let why = begins_anew(
            (is_made, owned),
            newest,
            &last,
            (rows, manifest.counts.records),
        );
        if why.is_none() && newest.is_some() {
            return Ok(());
        }
        if let (Some(why), Some(_)) = (why, newest) {
            self.context.log.warn(BEGINS_ANEW, json!({ "why": why }));
        }
        self.forget_generations(table, last.generation)?;
        if owned && rows == manifest.counts.records {
            self.keep_generation(&last)?;
        }
        Ok(())
    }

    /// Forgets all of them, and rows that ended after this one: of a database that was restored, they are in the table again.
    fn forget_generations(&self, table: &str, last: u64) -> Result<(), Failure> {
        let sql = "DELETE FROM tidegate_history WHERE job = ?1";
        self.place
            .done(self.link.execute(sql, [&self.job]), || DOING)?;
        let sql = format!(
            "DELETE FROM {} WHERE {TO_GENERATION} > ?1",
            quoted(&table_of(table))
        );
        self.place
            .done(self.link.execute(&sql, [number(last)]), || DOING)?;
        Ok(())
    }

    /// From here on, what is replaced or deleted in `table` is kept.
    pub(super) fn watch(
        &self,
        table: &str,
        layout: &Layout,
        at: &str,
        generation: u64,
    ) -> Result<(), Failure> {
        let own = layout.columns.iter().map(|column| column.name.as_str());
        let old = own
            .clone()
            .chain([UPDATED_AT, GENERATION])
            .map(|name| format!("OLD.{}", quoted(name)));
        let old: Vec<String> = old.collect();
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ({}, '{at}', {generation})",
            quoted(&table_of(table)),
            listed(own.chain(CONTROLS)),
            old.join(", ")
        );
        for (name, event) in TRIGGERS {
            let sql = format!(
                "CREATE TEMP TRIGGER {name} AFTER {event} ON main.{} BEGIN {insert}; END",
                quoted(table)
            );
            self.place.done(self.link.execute_batch(&sql), || DOING)?;
        }
        Ok(())
    }

    /// Copies no more rows, and removes what is older than is kept.
    pub(super) fn end_history(
        &self,
        table: &str,
        at: &str,
        generation: u64,
    ) -> Result<(), Failure> {
        for (name, _) in TRIGGERS {
            let dropped = self
                .link
                .execute_batch(&format!("DROP TRIGGER temp.{name}"));
            self.place.done(dropped, || DOING)?;
        }
        let span = Span::at(at, generation, self.context.limits);
        let oldest = self.link.query_row(
            "SELECT max(generation) FROM tidegate_history WHERE job = ?1 AND (committed_at <= ?2 OR generation <= ?3)",
            params![self.job, span.written(), number(span.oldest)],
            |row| row.get::<_, Option<i64>>(0),
        );
        let oldest = self.place.done(oldest, || DOING)?.unwrap_or_default();
        let rows = format!(
            "DELETE FROM {} WHERE {VALID_TO} <= ?1",
            quoted(&table_of(table))
        );
        self.place
            .done(self.link.execute(&rows, [span.written()]), || DOING)?;
        let forgotten = self.link.execute(
            "DELETE FROM tidegate_history WHERE job = ?1 AND generation < ?2",
            params![self.job, oldest],
        );
        self.place.done(forgotten, || DOING)?;
        Ok(())
    }

    /// Keeps the manifest of a generation that follows the last one; of another it would hide a gap.
    pub(super) fn keep_generation(&self, row: &StateRow) -> Result<(), Failure> {
        let kept = self.link.execute(
            "INSERT INTO tidegate_history (job, generation, committed_at, manifest) SELECT ?1, ?2, ?3, ?4 \
             WHERE ?2 - 1 = coalesce((SELECT max(generation) FROM tidegate_history WHERE job = ?1), ?2 - 1)",
            params![row.job, number(row.generation), row.committed_at, row.manifest],
        );
        self.place.done(kept, || DOING)?;
        Ok(())
    }

    fn newest_kept(&self) -> Result<Option<u64>, Failure> {
        let newest = self.link.query_row(
            "SELECT max(generation) FROM tidegate_history WHERE job = ?1",
            [&self.job],
            |row| row.get::<_, Option<i64>>(0),
        );
        let newest = self.place.done(newest, || DOING)?;
        Ok(newest.map(i64::unsigned_abs))
    }

    /// Holds the job, in the transaction.
    pub(super) fn hold_in_transaction(&self, held: &Held) -> Result<(), Failure> {
        let written = self.link.execute(
            "INSERT OR REPLACE INTO tidegate_held (job, since, generation) VALUES (?1, ?2, ?3)",
            params![self.job, held.since, number(held.generation)],
        );
        self.place.done(written, || "cannot hold the job")?;
        Ok(())
    }

    /// Releases it. Returns whether it was held.
    pub(super) fn release_now(&mut self) -> Result<bool, Failure> {
        if self.held()?.is_none() {
            return Ok(false);
        }
        let deleted = self.patiently(
            || "cannot release the job",
            |link| link.execute("DELETE FROM tidegate_held WHERE job = ?1", [&self.job]),
        )?;
        Ok(deleted > 0)
    }
}

/// What holds a job.
pub fn held(link: &Link, place: &DatabaseFile, job: &str) -> Result<Option<Held>, Failure> {
    let doing = || "cannot read `tidegate_held`";
    if !place.done(table::exists(link, "tidegate_held"), doing)? {
        return Ok(None);
    }
    let read = link.query_row(
        "SELECT since, generation FROM tidegate_held WHERE job = ?1",
        [job],
        |row| {
            Ok(Held {
                since: row.get(0)?,
                generation: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        },
    );
    place.done(read.optional(), doing)
}

/// Which generations are kept of a job whose rows are in `table`.
pub fn kept(
    link: &Link,
    place: &DatabaseFile,
    job: &str,
    table: &str,
) -> Result<Option<Kept>, Failure> {
    let doing = || "cannot read `tidegate_history`";
    for name in ["tidegate_history", table, &table_of(table)] {
        if !place.done(table::exists(link, name), doing)? {
            return Ok(None);
        }
    }
    let sql = format!(
        "SELECT min(generation), max(generation), coalesce((SELECT max({GENERATION}) FROM {}), 0), \
         coalesce((SELECT max({TO_GENERATION}) FROM {}), 0) FROM tidegate_history WHERE job = ?1",
        quoted(table),
        quoted(&table_of(table))
    );
    let read = link.query_row(&sql, [job], |row| {
        let number = |at: usize| row.get::<_, Option<i64>>(at);
        let (written, ended) = (number(2)?.unwrap_or(0), number(3)?.unwrap_or(0));
        Ok(match (number(0)?, number(1)?) {
            (Some(oldest), Some(newest)) => Some(Kept {
                oldest: oldest.unsigned_abs(),
                newest: newest.unsigned_abs(),
                last_change: written.max(ended).unsigned_abs(),
            }),
            _ => None,
        })
    });
    place.done(read, doing)
}

/// The newest kept generation whose number is at most this.
pub fn kept_row(
    link: &Link,
    place: &DatabaseFile,
    job: &str,
    at_most: u64,
) -> Result<Option<StateRow>, Failure> {
    let doing = || "cannot read `tidegate_history`";
    let read = link.query_row(
        "SELECT generation, committed_at, manifest FROM tidegate_history WHERE job = ?1 AND generation <= ?2 \
         ORDER BY generation DESC LIMIT 1",
        params![job, number(at_most)],
        |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)),
    );
    let read: Option<(i64, String, String)> = place.done(read.optional(), doing)?;
    read.map(|(generation, committed_at, manifest)| {
        StateRow::kept(job, generation.unsigned_abs(), committed_at, manifest)
    })
    .transpose()
}
