//! How runs ended, in `tidegate_runs`. Each change is one message and one short transaction, which waits for nobody long: a
//! session that hangs there would keep the run lock.

use std::cell::{Cell, RefCell};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::database_url::Address;
use crate::settings::host::HostPlan;
use crate::sink::database::names::{RUNS_TABLE, quoted};
use crate::sink::database::runs::is_a_run;
use crate::sink::database::{IsTrial, Recorded, RunRow, runs};

use super::connect::Way;
use super::names::Names;
use super::own_tables::MAKING_LOCK;
use super::wait::{Given, wait};
use super::{Postgres, tls};

const DOING: &str = "cannot record the run in";

/// Where runs are recorded: whether the table is there, and the schema in which it would be made.
#[derive(Debug, Default)]
pub struct RunsTable {
    pub is_there: bool,
    schema: Option<String>,
    /// What is there is not for us; why.
    pub refused: Option<String>,
}

impl RunsTable {
    /// Looks for it where the state is, or would be made, and nowhere else on the `search_path`: a table of somebody else's may
    /// run their code as our role. For the same reason its owner must be our role, a superuser, or who owns the schema or the state.
    pub async fn find(client: &Client, names: &Names) -> Result<Self, Error> {
        let sql = "SELECT n.nspname::text, c.oid IS NOT NULL, c.relkind IN ('r', 'p'), \
             c.relowner IN (n.nspowner, s.relowner) OR EXISTS (SELECT FROM pg_catalog.pg_roles r \
             WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolname = current_user)), \
             pg_catalog.pg_get_userbyid(c.relowner)::text \
             FROM pg_catalog.pg_namespace n \
             LEFT JOIN pg_catalog.pg_class s ON s.oid = pg_catalog.to_regclass($1) \
             LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $3 \
             WHERE n.oid = s.relnamespace \
             OR s.oid IS NULL AND n.nspname = coalesce($2, pg_catalog.current_schema()::text)";
        let given: Given<'_> = &[
            (&names.state, Type::TEXT),
            (&names.schema, Type::TEXT),
            (&RUNS_TABLE, Type::TEXT),
        ];
        let Some(row) = client.query_typed_opt(sql, given).await? else {
            return Ok(Self {
                schema: names.schema.clone(),
                ..Self::default()
            });
        };
        let schema: String = row.try_get(0)?;
        let (is_there, is_table): (bool, Option<bool>) = (row.try_get(1)?, row.try_get(2)?);
        let is_trusted: Option<bool> = row.try_get(3)?;
        let owner: Option<String> = row.try_get(4)?;
        let refused = is_there && !(is_table == Some(true) && is_trusted == Some(true));
        Ok(Self {
            is_there,
            refused: refused.then(|| {
                format!(
                    "{}.\"{RUNS_TABLE}\" belongs to the role `{}`, or is no table: it was not used; have it dropped, and look who can create tables in that schema",
                    quoted(&schema),
                    owner.as_deref().unwrap_or_default()
                )
            }),
            schema: Some(schema),
        })
    }

    /// Its name with its schema, as SQL has it.
    pub fn name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(RUNS_TABLE)),
            None => quoted(RUNS_TABLE),
        }
    }
}

/// Records a run by a session of its own, without the run lock.
pub fn record_apart(
    address: &Address,
    host: &HostPlan,
    run: &RunRow,
    is_trial: IsTrial<'_>,
) -> Result<Recorded, Failure> {
    let log = Log::silent();
    let names = Names::new(&host.output.table)?;
    let way = Way {
        address,
        tls: tls::connector(address, host.ca_file.as_deref(), &host.limits)?,
        job: &host.job,
        lock: 0,
        limits: &host.limits,
        log: &log,
    };
    let check: Check<'_> = &|| Ok(());
    let session = way.connect_within(
        host.limits.database_record,
        host.limits.database_record,
        None,
    )?;
    let mut apart = Postgres {
        way,
        names,
        check,
        session: Some(session),
        keeps_lock: false,
        is_open: Cell::new(false),
        ahead: RefCell::new(None),
        dry_run: false,
        keeps_history: false,
        runs: RunsTable::default(),
        was_blocked: Cell::new(false),
    };
    runs::record(&mut apart, run, is_trial)
}

impl Postgres<'_> {
    pub(super) fn recorded_last(&mut self) -> Result<Option<String>, Failure> {
        self.find_runs()?;
        if !self.runs.is_there {
            return Ok(None);
        }
        let sql = last_ended(
            &self.runs.name(),
            self.way.job,
            self.way.limits.manifest_bytes,
        );
        self.briefly(&sql, "COMMIT")
    }

    pub(super) fn write_run(&mut self, run: &RunRow, end: &str) -> Result<(), Failure> {
        // Without the lock nobody could tell whether it still runs.
        if run.ended.is_none() && !self.keeps_lock {
            return Ok(());
        }
        self.find_runs()?;
        let table = &self.runs.name();
        let made = if self.runs.is_there {
            String::new()
        } else {
            create(table)
        };
        let written = upsert(table, self.way.job, run);
        let kept = match run.ended {
            Some(_) => kept(table, self.way.job, self.way.limits.runs_kept),
            None => String::new(),
        };
        self.briefly(&format!("{made}{written}; {kept}"), end)?;
        self.runs.is_there |= end == "COMMIT";
        Ok(())
    }

    pub(super) fn forget_run(&mut self, run_id: &str) -> Result<(), Failure> {
        self.find_runs()?;
        if !self.runs.is_there {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {} WHERE job = {} AND run_id = {}",
            self.runs.name(),
            literal(self.way.job),
            literal(run_id)
        );
        self.briefly(&sql, "COMMIT").map(drop)
    }

    /// Looks whether the table exists: creating it without looking would put errors into the server's log. Asks once.
    fn find_runs(&mut self) -> Result<(), Failure> {
        let session = self.session().map_err(Failure::passing)?;
        if self.runs.is_there {
            return Ok(());
        }
        let asked = wait(
            None,
            self.way.limits.database_record,
            RunsTable::find(&session.client, &self.names),
        );
        let found = asked.map_err(|trouble| self.failed(DOING, trouble))?;
        if let Some(why) = &found.refused {
            let address = self.way.address;
            return Err(Failure::new(
                Outcome::OutputUnusable,
                format!("{DOING} `{address}`: {why}"),
            ));
        }
        self.runs = found;
        Ok(())
    }

    /// Runs `statements` in a transaction that ends by `end`; the first value that they give, as text. `Err` has the grant that
    /// would allow it.
    fn briefly(&self, statements: &str, end: &str) -> Result<Option<String>, Failure> {
        let session = self.session().map_err(Failure::passing)?;
        let limit = self.way.limits.database_record;
        let server_ms = limit.as_millis() / 2;
        // Whether it survives a power cut is not worth a wait.
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = {server_ms}; SET LOCAL statement_timeout = {server_ms}; \
             SET LOCAL synchronous_commit = off; {statements}; {end}"
        );
        let done = wait(None, limit, async {
            let answers = session.client.simple_query(&sql).await;
            if answers.is_err() {
                let _ = session.client.batch_execute("ROLLBACK").await;
            }
            let first = answers?.into_iter().find_map(|answer| match answer {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            Ok(first)
        });
        done.map_err(|trouble| {
            let lacks_right = trouble.code() == "42501";
            // Whoever was in the way may be gone when the run ends.
            let was_late = ["55P03", "57014"].contains(&trouble.code());
            let mut failure = self.failed(DOING, trouble);
            self.was_blocked.set(false);
            if was_late {
                failure = failure.passing();
            }
            if lacks_right {
                let grant = grant(&self.runs, self.way.address.user());
                failure.message = format!("{}: `{grant}`", failure.message);
            }
            failure
        })
    }
}

/// The statement that allows a role to record its runs.
fn grant(place: &RunsTable, user: &str) -> String {
    let user = quoted(user);
    if place.is_there {
        return format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {user}",
            place.name()
        );
    }
    let schema = quoted(place.schema.as_deref().unwrap_or("public"));
    format!("GRANT CREATE ON SCHEMA {schema} TO {user}")
}

fn create(table: &str) -> String {
    format!(
        "SELECT pg_advisory_xact_lock({MAKING_LOCK}); CREATE TABLE IF NOT EXISTS {table} \
         (job text COLLATE \"C\" NOT NULL, run_id text COLLATE \"C\" NOT NULL, started timestamptz NOT NULL, \
         finished timestamptz, exit_code integer, outcome text, message text, generation text, summary json NOT NULL, \
         PRIMARY KEY (job, run_id)); "
    )
}

fn upsert(table: &str, job: &str, run: &RunRow) -> String {
    let ended = run.ended.as_ref();
    let text = |text: Option<&str>| text.map_or_else(|| "NULL".to_owned(), literal);
    let values = [
        literal(job),
        literal(&run.run_id),
        literal(&run.started),
        text(ended.map(|ended| ended.finished.as_str())),
        ended.map_or_else(|| "NULL".to_owned(), |ended| ended.exit_code.to_string()),
        text(ended.map(|ended| ended.outcome.as_str())),
        text(ended.and_then(|ended| ended.message.as_deref())),
        text(ended.and_then(|ended| ended.generation.as_deref())),
        literal(&run.summary),
    ];
    format!(
        "INSERT INTO {table} (job, run_id, started, finished, exit_code, outcome, message, generation, summary) VALUES ({}) \
         ON CONFLICT (job, run_id) DO UPDATE SET finished = excluded.finished, exit_code = excluded.exit_code, \
         outcome = excluded.outcome, message = excluded.message, generation = excluded.generation, summary = excluded.summary",
        values.join(", ")
    )
}

/// Removes all but the last ones.
fn kept(table: &str, job: &str, most: u32) -> String {
    let job = literal(job);
    format!(
        "DELETE FROM {table} WHERE job = {job} AND run_id IN \
         (SELECT run_id FROM {table} WHERE job = {job} ORDER BY started DESC, run_id DESC OFFSET {most})"
    )
}

/// A summary larger than any that a run writes is read as an empty one.
fn last_ended(table: &str, job: &str, bytes_max: u64) -> String {
    format!(
        "SELECT CASE WHEN octet_length(summary::text) <= {bytes_max} THEN summary::text ELSE '' END FROM {table} WHERE job = {} AND finished IS NOT NULL AND {} ORDER BY started DESC, run_id DESC LIMIT 1",
        literal(job),
        is_a_run()
    )
}

/// A text as a statement has it, whatever `standard_conforming_strings` is. PostgreSQL has no NUL.
pub fn literal(text: &str) -> String {
    let text = text
        .replace('\0', "\u{fffd}")
        .replace('\\', r"\\")
        .replace('\'', "''");
    format!("E'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_it_ends() {
        assert_eq!(literal(r"a'; DROP \' --"), r"E'a''; DROP \\'' --'");
        assert_eq!(literal("\0"), "E'\u{fffd}'");
    }

    #[test]
    fn the_grant_is_what_is_missing() {
        let place = |is_there, schema: Option<&str>| RunsTable {
            is_there,
            schema: schema.map(str::to_owned),
            refused: None,
        };

        assert_eq!(
            grant(&place(false, Some("sales")), "e\"l"),
            r#"GRANT CREATE ON SCHEMA "sales" TO "e""l""#
        );
        assert_eq!(
            grant(&place(true, None), "etl"),
            r#"GRANT SELECT, INSERT, UPDATE, DELETE ON "tidegate_runs" TO "etl""#
        );
    }
}
