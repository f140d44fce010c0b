//! The fence: a transaction holds the job's row from its beginning, and the row must still be the parent's.
//!
//! Whatever becomes of the run lock, no two runs can commit on one parent.

use std::time::Duration;

use tokio_postgres::types::Type;

use crate::limits::Limits;
use crate::outcome::Failure;
use crate::sink::database::{Connection as _, overtaken, vanished};

use super::wait::{Trouble, wait};
use super::{ALL_ROWS, Postgres};

/// A commit that was answered survives a power cut, whatever the role or the database are set to.
const SYNCED: &str = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// Begins, and holds the job's row. The trouble is the server's, or the way to it.
pub fn begin(
    postgres: &mut Postgres<'_>,
    parent: Option<u64>,
) -> Result<Result<(), Trouble>, Failure> {
    let is_ahead = postgres.ahead.borrow().is_some();
    if !is_ahead
        && !postgres.dry_run
        && let Err(trouble) = postgres.make_own_tables(parent.is_none())?
    {
        return Ok(Err(trouble));
    }
    if !is_ahead
        && postgres.keeps_history
        && let Err(trouble) = postgres.make_history_tables()?
    {
        return Ok(Err(trouble));
    }
    // What was loaded ahead is in a transaction that is open.
    let begin = (!is_ahead).then(|| begin_sql(postgres));
    postgres.is_open.set(true);
    let held = hold(postgres, begin.as_deref(), parent);
    match held {
        Ok(Ok(())) => Ok(Ok(())),
        Ok(Err(failure)) => {
            postgres.roll_back();
            Err(failure)
        }
        Err(trouble) => {
            postgres.roll_back();
            match trouble.code() {
                // Where there was a commit there was a table of commits.
                "42P01" if parent.is_some() => Err(vanished(postgres.way.job)),
                _ => Ok(Err(trouble)),
            }
        }
    }
}

/// Begins a transaction.
pub fn begin_sql(postgres: &Postgres<'_>) -> String {
    let limits: &Limits = postgres.way.limits;
    let run_ms = limits.run_deadline.as_millis();
    // Before the deadline of a short run, so that who is in the way can be named.
    let lock = limits.database_lock.min(limits.run_deadline / 2);
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {run_ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {run_ms}; SET LOCAL lock_timeout = {}; \
         SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; {ALL_ROWS}; {SYNCED}",
        lock.as_millis()
    )
}

/// Holds the job's row. `Ok(Err)`: it is not the parent's.
fn hold(
    postgres: &Postgres<'_>,
    begin: Option<&str>,
    parent: Option<u64>,
) -> Result<Result<(), Failure>, Trouble> {
    let Some(session) = &postgres.session else {
        return Err(Trouble::TimedOut(Duration::ZERO));
    };
    let (client, job, state) = (&session.client, &postgres.way.job, &postgres.names.state);
    let limit = postgres.way.limits.database_answer;
    wait(Some(postgres.check), limit, async {
        if let Some(begin) = begin {
            client.batch_execute(begin).await?;
        }
        let Some(parent) = parent else {
            if postgres.dry_run {
                return Ok(Ok(()));
            }
            // Nobody sees this row before the commit; and whoever writes it first has it.
            let sql = format!(
                "INSERT INTO {state} (job, generation, state, manifest, committed_at) \
                 VALUES ($1, 0, '', '', now()) ON CONFLICT (job) DO NOTHING"
            );
            let made = client.execute_typed(&sql, &[(job, Type::TEXT)]).await?;
            return Ok((made == 1).then_some(()).ok_or_else(|| overtaken(job)));
        };
        let sql = format!("SELECT generation FROM {state} WHERE job = $1 FOR UPDATE");
        let row = client.query_typed_opt(&sql, &[(job, Type::TEXT)]).await?;
        let now = row.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(match now {
            None => Err(vanished(job)),
            Some(now) if u64::try_from(now) == Ok(parent) => Ok(()),
            Some(_) => Err(overtaken(job)),
        })
    })
}
