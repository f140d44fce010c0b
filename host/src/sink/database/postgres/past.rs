//! The past of a table: the statements that replace or delete rows copy them, see `merge`.

use serde_json::json;
use tokio_postgres::types::Type;

use crate::outcome::Failure;
use crate::sink::Applied;
use crate::sink::database::names::quoted;
use crate::sink::database::past::{
    BEGINS_ANEW, Back, CONTROLS, FROM_GENERATION, Held, Kept, Span, TO_GENERATION, VALID_FROM,
    VALID_TO, begins_anew, table_of, unusable,
};
use crate::sink::database::{Connection as _, GENERATION, Layout, StateRow, UPDATED_AT};

use super::form::Form;
use super::load::Load;
use super::own_tables::MAKING_LOCK;
use super::wait::{Given, Trouble, wait};
use super::{Postgres, merge, table};

const DOING: &str = "cannot keep the history in";

/// Readies the history of the job's table, which has so many rows; `owned`: the last commit was made in it.
pub fn begin(
    postgres: &Postgres<'_>,
    load: &Load<'_>,
    owned: bool,
    rows: u64,
) -> Result<(), Failure> {
    let Some(past) = &load.past else {
        return Ok(());
    };
    let job = postgres.way.job;
    let newest = postgres.newest_kept()?;
    let last = postgres.read(Some(postgres.check));
    let last = last.map_err(|trouble| postgres.failed(DOING, trouble))?;
    // Of a first run the row is there already, and says nothing yet.
    let last = last.filter(|last| last.generation > 0);
    // Where generations are counted anew, the rows of earlier ones would be taken for theirs.
    let is_made = make(postgres, load, past, newest.is_some() && last.is_some())?;
    let forget = |after: u64| {
        let sql = format!(
            "DELETE FROM {past} WHERE {TO_GENERATION} > {after}; DELETE FROM {} WHERE job = {}",
            postgres.names.generations,
            super::runs::literal(job)
        );
        postgres.batch(DOING, &sql)
    };
    let Some(last) = last else {
        return forget(0);
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
        postgres.way.log.warn(BEGINS_ANEW, json!({ "why": why }));
    }
    // Rows that ended later are in the table again: it was restored.
    forget(last.generation)?;
    if owned && rows == manifest.counts.records {
        postgres.keep_generation(&last)?;
    }
    Ok(())
}

/// Makes the table of the history with the columns of the job's table, or adds those that it lacks. Returns whether it was made.
fn make(
    postgres: &Postgres<'_>,
    load: &Load<'_>,
    past: &String,
    is_ours: bool,
) -> Result<bool, Failure> {
    let has = table::columns(postgres, past)?;
    let name = table_of(&postgres.names.name);
    if has.is_empty() {
        // Where all tables are published, rows of one without a key can only be deleted so.
        let sql = format!(
            "CREATE TABLE {past} AS SELECT {own}, {UPDATED_AT} AS {VALID_FROM}, {GENERATION} AS {FROM_GENERATION}, \
             {UPDATED_AT} AS {VALID_TO}, {GENERATION} AS {TO_GENERATION} FROM {} WITH NO DATA; \
             CREATE INDEX ON {past} ({VALID_TO}); ALTER TABLE {past} REPLICA IDENTITY FULL",
            load.table,
            own = load.own_columns()
        );
        postgres.batch("cannot make the table of the history in", &sql)?;
        return Ok(true);
    }
    let refused = |why: &str| {
        let place = format!("`{}`", postgres.way.address);
        unusable(place, past, why, &table::renamed(past, &name))
    };
    if !is_own(postgres, load, past)? {
        return Err(refused(
            "it is no plain table of this role or the table's owner, in the table's schema",
        ));
    }
    let wanted = table::columns(postgres, &load.table)?;
    for control in CONTROLS {
        if has.iter().all(|(known, _)| known != control) {
            return Err(refused("tidegate did not make that table"));
        }
    }
    for (column, kind) in wanted
        .iter()
        .filter(|(column, _)| load.names().any(|name| name == column))
    {
        match has.iter().find(|(known, _)| known == column) {
            Some((_, known)) if known == kind => {}
            Some((_, known)) => {
                return Err(refused(&format!(
                    "its column {} is {known}, and that of the table is {kind}",
                    quoted(column)
                )));
            }
            None => {
                let add = format!("ALTER TABLE {past} ADD COLUMN {} {kind}", quoted(column));
                postgres.batch(DOING, &add)?;
            }
        }
    }
    if !is_ours {
        let sql = format!("SELECT count(*) FROM (SELECT FROM {past} LIMIT 1) r");
        if postgres.counts(DOING, &sql)? != [0] {
            return Err(refused("it has rows, and this job has no history"));
        }
    }
    Ok(false)
}

/// Whether nobody else could have put code of his own into it, or hidden rows of it.
fn is_own(postgres: &Postgres<'_>, load: &Load<'_>, past: &String) -> Result<bool, Failure> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_class t ON t.oid = to_regclass($1) \
         JOIN pg_catalog.pg_roles o ON o.oid = c.relowner WHERE c.oid = to_regclass($2) \
         AND c.relnamespace = t.relnamespace AND c.relkind IN ('r', 'p') \
         AND (o.rolsuper OR o.rolname = current_user OR c.relowner = t.relowner) \
         AND NOT pg_catalog.row_security_active(c.oid))";
    let of: Given<'_> = &[(&load.table, Type::TEXT), (past, Type::TEXT)];
    let client = postgres.client()?;
    let limit = postgres.way.limits.database_answer;
    let asked = wait(Some(postgres.check), limit, async {
        client.query_typed_one(sql, of).await?.try_get(0)
    });
    asked.map_err(|trouble| postgres.failed(DOING, trouble))
}

/// Removes what is older than is kept.
pub fn end(postgres: &Postgres<'_>, load: &Load<'_>) -> Result<(), Failure> {
    let Some(past) = &load.past else {
        return Ok(());
    };
    let limits = postgres.way.limits;
    let span = Span::at(&load.committed_at, load.generation, limits);
    let (table, job) = (&postgres.names.generations, postgres.way.job);
    let sql = format!(
        "SELECT max(generation) FROM {table} WHERE job = $1 AND (committed_at <= $2::text::timestamptz OR generation <= $3)"
    );
    let (cutoff, oldest) = (span.written(), number(span.oldest));
    let of: Given<'_> = &[
        (&postgres.way.job, Type::TEXT),
        (&cutoff, Type::TEXT),
        (&oldest, Type::INT8),
    ];
    let client = postgres.client()?;
    let found = wait(Some(postgres.check), limits.database_answer, async {
        let row = client.query_typed_one(&sql, of).await?;
        row.try_get::<_, Option<i64>>(0)
    });
    let oldest = found.map_err(|trouble| postgres.failed(DOING, trouble))?;
    let sql = format!(
        "DELETE FROM {past} WHERE {VALID_TO} <= '{cutoff}'::timestamptz; DELETE FROM {table} WHERE job = {} AND generation < {}",
        super::runs::literal(job),
        oldest.unwrap_or_default()
    );
    postgres.batch(DOING, &sql)
}

/// Makes the rows of the table what they were in an earlier generation.
pub fn go_back(
    postgres: &Postgres<'_>,
    layout: &Layout,
    back: Back<'_>,
) -> Result<Applied, Failure> {
    let mut load = Load {
        layout,
        takes: Vec::new(),
        table: postgres.names.table.clone(),
        form: Form::Text,
        generation: back.generation,
        committed_at: back.committed_at.to_owned(),
        past: Some(postgres.names.past.clone()),
    };
    let found = table::find(postgres)?.ok_or_else(|| {
        table::unusable(format!(
            "cannot restore {} in `{}`: it is gone; run with `--full-refresh`",
            load.table, postgres.way.address
        ))
    })?;
    load.takes = found.fits(postgres, layout)?;
    make(postgres, &load, &postgres.names.past, true)?;
    let applied = merge::go_back(postgres, &load, back.to)?;
    end(postgres, &load)?;
    Ok(applied)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Postgres<'_> {
    /// Runs statements that take as long as they take.
    fn batch(&self, doing: &str, sql: &str) -> Result<(), Failure> {
        let client = self.client()?;
        let limit = self.way.limits.run_deadline;
        let ran = wait(Some(self.check), limit, client.batch_execute(sql));
        ran.map_err(|trouble| self.failed(doing, trouble))
    }

    /// The tables in which generations and holds are kept, in a transaction of their own. `Ok(Err)`: the connection is lost.
    pub(super) fn make_history_tables(&self) -> Result<Result<(), Trouble>, Failure> {
        let (generations, held) = (&self.names.generations, &self.names.held);
        let client = self.client()?;
        let made = wait(Some(self.check), self.way.limits.database_answer, async {
            let of: Given<'_> = &[(generations, Type::TEXT), (held, Type::TEXT)];
            let sql = "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL";
            if client.query_typed_one(sql, of).await?.try_get(0)? {
                return Ok(());
            }
            let sql = format!(
                "BEGIN; SELECT pg_advisory_xact_lock({MAKING_LOCK}); \
                 CREATE TABLE IF NOT EXISTS {generations} (job text COLLATE \"C\" NOT NULL, generation bigint NOT NULL, \
                 committed_at timestamptz NOT NULL, manifest text NOT NULL, PRIMARY KEY (job, generation)); \
                 CREATE TABLE IF NOT EXISTS {held} (job text COLLATE \"C\" PRIMARY KEY, since text NOT NULL, \
                 generation bigint NOT NULL); COMMIT"
            );
            let made = client.batch_execute(&sql).await;
            if made.is_err() {
                let _ = client.batch_execute("ROLLBACK").await;
            }
            made
        });
        match made {
            Ok(()) => self.refuse_strange_history(),
            Err(trouble) if trouble.is_lost() => Ok(Err(trouble)),
            Err(trouble) => {
                let doing = format!("cannot make the table {generations} in");
                Err(self.failed(&doing, trouble))
            }
        }
    }

    /// `Err` (73): one of these tables is somebody else's, whose triggers would run as this role. `Ok(Err)`: the connection is lost.
    fn refuse_strange_history(&self) -> Result<Result<(), Trouble>, Failure> {
        let client = self.client()?;
        for name in [&self.names.generations, &self.names.held] {
            let asked = super::look::is_trusted(client, &self.names, name);
            match wait(Some(self.check), self.way.limits.database_answer, asked) {
                Ok(true) => {}
                Ok(false) => {
                    return Err(table::unusable(format!(
                        "cannot keep the history in `{}`: {name} is not beside `tidegate_state`, or it is another role's; let the owner of the schema have it, or rename it",
                        self.way.address
                    )));
                }
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        Ok(Ok(()))
    }

    /// Keeps the manifest of a generation that follows the last one; of another it would hide a gap.
    pub(super) fn keep_generation(&self, row: &StateRow) -> Result<(), Failure> {
        let sql = format!(
            "INSERT INTO {0} (job, generation, committed_at, manifest) SELECT $1, $2, $3::text::timestamptz, $4 \
             WHERE $2 - 1 = coalesce((SELECT max(generation) FROM {0} WHERE job = $1), $2 - 1)",
            self.names.generations
        );
        let generation = number(row.generation);
        let of: Given<'_> = &[
            (&row.job, Type::TEXT),
            (&generation, Type::INT8),
            (&row.committed_at, Type::TEXT),
            (&row.manifest, Type::TEXT),
        ];
        let client = self.client()?;
        let limit = self.way.limits.database_answer;
        let kept = wait(Some(self.check), limit, client.execute_typed(&sql, of));
        kept.map_err(|trouble| self.failed(DOING, trouble))?;
        Ok(())
    }

    fn newest_kept(&self) -> Result<Option<u64>, Failure> {
        let sql = format!(
            "SELECT max(generation) FROM {} WHERE job = $1",
            self.names.generations
        );
        let of: Given<'_> = &[(&self.way.job, Type::TEXT)];
        let client = self.client()?;
        let limit = self.way.limits.database_answer;
        let found = wait(Some(self.check), limit, async {
            let row = client.query_typed_one(&sql, of).await?;
            row.try_get::<_, Option<i64>>(0)
        });
        let found = found.map_err(|trouble| self.failed(DOING, trouble))?;
        Ok(found.map(i64::unsigned_abs))
    }

    /// What holds the job.
    pub(super) fn held_now(&self) -> Result<Option<Held>, Failure> {
        let (session, limit) = (self.session()?, self.way.limits.database_answer);
        let held = super::look::held(&session.client, &self.names, self.way.job);
        let found = wait(Some(self.check), limit, held);
        found.map_err(|trouble| self.failed("cannot read `tidegate_held` in", trouble))
    }

    /// Holds the job, in the transaction.
    pub(super) fn hold_in_transaction(&self, held: &Held) -> Result<(), Failure> {
        let sql = format!(
            "INSERT INTO {} (job, since, generation) VALUES ($1, $2, $3) \
             ON CONFLICT (job) DO UPDATE SET since = excluded.since, generation = excluded.generation",
            self.names.held
        );
        let generation = number(held.generation);
        let of: Given<'_> = &[
            (&self.way.job, Type::TEXT),
            (&held.since, Type::TEXT),
            (&generation, Type::INT8),
        ];
        let client = self.client()?;
        let limit = self.way.limits.database_answer;
        let written = wait(Some(self.check), limit, client.execute_typed(&sql, of));
        written.map_err(|trouble| self.failed("cannot hold the job in", trouble))?;
        Ok(())
    }

    /// Releases it. Returns whether it was held.
    pub(super) fn release_now(&mut self) -> Result<bool, Failure> {
        if self.held()?.is_none() {
            return Ok(false);
        }
        let sql = format!("DELETE FROM {} WHERE job = $1", self.names.held);
        let of: Given<'_> = &[(&self.way.job, Type::TEXT)];
        let client = self.client()?;
        let limit = self.way.limits.database_answer;
        let deleted = wait(Some(self.check), limit, client.execute_typed(&sql, of));
        let deleted =
            deleted.map_err(|trouble| self.failed("cannot release the job in", trouble))?;
        Ok(deleted > 0)
    }

    /// Which generations are kept.
    pub(super) fn kept_now(&self) -> Result<Option<Kept>, Failure> {
        let (session, limit) = (self.session()?, self.way.limits.run_deadline);
        let kept = super::look::kept(&session.client, &self.names, self.way.job);
        let found = wait(Some(self.check), limit, kept);
        found.map_err(|trouble| self.failed("cannot read `tidegate_history` in", trouble))
    }

    /// The newest kept generation whose number is at most this.
    pub(super) fn kept_row_now(&self, at_most: u64) -> Result<Option<StateRow>, Failure> {
        let (session, limit) = (self.session()?, self.way.limits.database_answer);
        let row = super::look::kept_row(&session.client, &self.names, self.way.job, at_most);
        let found = wait(Some(self.check), limit, row);
        found
            .map_err(|trouble| self.failed("cannot read `tidegate_history` in", trouble))?
            .transpose()
    }
}
