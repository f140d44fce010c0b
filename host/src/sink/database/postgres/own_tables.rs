//! The tables in which commits are kept: made once for all jobs of a schema.

use tokio_postgres::types::{ToSql, Type};

use crate::outcome::Failure;

use super::Postgres;
use super::names::{self, Names};
use super::wait::{Trouble, wait};

/// The advisory lock under which the tables of this sink are made: `tidegate` in ASCII.
pub const MAKING_LOCK: i64 = 0x7469_6465_6761_7465;

impl Postgres<'_> {
    /// The tables in which commits are kept, in a transaction of their own: another job's first run need not wait for ours.
    ///
    /// What is missing later is made anew, for nothing that counts is in there alone; but not where the commits were.
    /// `Ok(Err)`: the connection is lost.
    pub(super) fn make_own_tables(&self, is_first: bool) -> Result<Result<(), Trouble>, Failure> {
        let client = self.client()?;
        let Names {
            state,
            rejected,
            remembered,
            ..
        } = &self.names;
        let made = wait(Some(self.check), self.way.limits.database_answer, async {
            let sql = "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL AND to_regclass($3) IS NOT NULL";
            let row = client
                .query_typed_one(
                    sql,
                    &[state, rejected, remembered]
                        .map(|name| (name as &(dyn ToSql + Sync), Type::TEXT)),
                )
                .await?;
            let (has_state, has_others): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
            if (has_state && has_others) || (!has_state && !is_first) {
                return Ok(());
            }
            let sql = format!(
                "BEGIN; SELECT pg_advisory_xact_lock({MAKING_LOCK}); \
                 CREATE TABLE IF NOT EXISTS {state} (job text COLLATE \"C\" PRIMARY KEY, generation bigint NOT NULL, \
                 parent text, state text NOT NULL, manifest text NOT NULL, committed_at timestamptz NOT NULL); \
                 CREATE TABLE IF NOT EXISTS {rejected} (job text COLLATE \"C\" NOT NULL, number bigint NOT NULL, \
                 reason text NOT NULL, pointer text NOT NULL, record json NOT NULL, PRIMARY KEY (job, number)); \
                 CREATE TABLE IF NOT EXISTS {remembered} (job text COLLATE \"C\" PRIMARY KEY, digests bytea NOT NULL); COMMIT"
            );
            let made = client.batch_execute(&sql).await;
            if made.is_err() {
                let _ = client.batch_execute("ROLLBACK").await;
            }
            made
        });
        match made {
            Ok(()) => Ok(Ok(())),
            Err(trouble) if trouble.is_lost() => Ok(Err(trouble)),
            Err(trouble) => Err(match (trouble.code(), &self.names.schema) {
                ("3F000", Some(schema)) => names::no_schema(schema, self.way.address),
                _ => self.failed(&format!("cannot make the table {state} in"), trouble),
            }),
        }
    }
}
