//! Who is in the way: the sessions that hold what this run waited for, as far as the server shows them to our role.
//!
//! Names, times and addresses only: the text of somebody's query may have personal data in it.

use std::fmt;

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use crate::limits::{HOLDERS_NAMED_MAX, POSTGRES_NAME_BYTES_MAX};
use crate::outcome::Failure;
use crate::sink::database::names::quoted;

use super::wait::{Given, wait};
use super::{Postgres, lock_of};

/// What a holder is read from, of `pg_stat_activity` as `a`.
pub const COLUMNS: &str = "a.pid, a.application_name, a.usename::text, host(a.client_addr), a.state, \
     to_char(coalesce(a.xact_start, a.backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
     a.backend_start IS NULL";

/// A session of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: i32,
    pub application_name: String,
    user: Option<String>,
    from: Option<String>,
    state: Option<String>,
    since: Option<String>,
    /// Whether the server keeps the rest from our role.
    pub is_hidden: bool,
}

impl Holder {
    pub fn read(row: &Row) -> Result<Self, Error> {
        let text = |at: usize| {
            let text: Option<String> = row.try_get(at)?;
            // Of somebody's choosing.
            Ok::<_, Error>(text.map(|text| text.chars().take(POSTGRES_NAME_BYTES_MAX).collect()))
        };
        let application_name: Option<String> = text(1)?;
        Ok(Self {
            pid: row.try_get(0)?,
            application_name: application_name.unwrap_or_default(),
            user: text(2)?,
            from: text(3)?,
            state: text(4)?,
            since: text(5)?,
            is_hidden: row.try_get(6)?,
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (backend {}", self.application_name, self.pid)?;
        if let Some(user) = &self.user {
            write!(f, ", user `{user}`")?;
        }
        if self.is_hidden {
            return write!(f, "; the role may not see since when)");
        }
        let local = "a local socket";
        write!(f, ", from {}", self.from.as_deref().unwrap_or(local))?;
        if let Some(state) = &self.state {
            write!(f, ", {state}")?;
        }
        write!(
            f,
            ", since {})",
            self.since.as_deref().unwrap_or("some time")
        )
    }
}

impl Postgres<'_> {
    /// The failure of a wait for a lock, with who holds what the job needs; any other as it is. Outside of a transaction.
    pub(super) fn blamed(&self, mut failure: Failure) -> Failure {
        if !self.was_blocked.take() {
            return failure;
        }
        let found = self.holders();
        let named: Vec<String> = found.iter().map(Holder::to_string).collect();
        let blamed = match &found[..] {
            [] => "the holder is unknown: the lock was free again when the run looked".to_owned(),
            [first, ..] => {
                let verb = if named.len() == 1 { "has" } else { "have" };
                let rights = if first.is_hidden {
                    format!(
                        " (to see more: `GRANT pg_read_all_stats TO {}`)",
                        quoted(self.way.address.user())
                    )
                } else {
                    String::new()
                };
                format!(
                    "{} {verb} a lock on this job's tables; wait for the end of that transaction, or end it by `SELECT pg_terminate_backend({})`{rights}",
                    named.join(", "),
                    first.pid
                )
            }
        };
        failure.message = format!("{}; {blamed}", failure.message);
        failure
    }

    /// Those that change something come before those that only read.
    fn holders(&self) -> Vec<Holder> {
        let Ok(session) = self.session() else {
            return Vec::new();
        };
        let names = &self.names;
        let sql = format!(
            "SELECT {COLUMNS} FROM pg_stat_activity a JOIN ( \
             SELECT pid, min((mode = 'AccessShareLock')::int) AS only_reads FROM pg_locks \
             WHERE granted AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (locktype = 'relation' AND relation IN (to_regclass($1), to_regclass($2), to_regclass($3), to_regclass($4)) \
             OR locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = $5) GROUP BY pid) l USING (pid) \
             ORDER BY only_reads, a.xact_start LIMIT {HOLDERS_NAMED_MAX}"
        );
        let table_lock = lock_of("table", &names.name, names.schema.as_deref());
        let of: Given<'_> = &[
            (&names.table, Type::TEXT),
            (&names.state, Type::TEXT),
            (&names.rejected, Type::TEXT),
            (&names.remembered, Type::TEXT),
            (&table_lock, Type::INT8),
        ];
        let limit = self.way.limits.database_record;
        let found = wait(Some(self.check), limit, async {
            let rows = session.client.query_typed(&sql, of).await?;
            rows.iter().map(Holder::read).collect()
        });
        found.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_role_may_not_see_is_said_to_be_hidden() {
        let seen = Holder {
            pid: 7,
            application_name: "nightly".to_owned(),
            user: Some("bob".to_owned()),
            from: None,
            state: Some("idle in transaction".to_owned()),
            since: Some("2026-01-01T00:00:00Z".to_owned()),
            is_hidden: false,
        };
        assert_eq!(
            seen.to_string(),
            "`nightly` (backend 7, user `bob`, from a local socket, idle in transaction, since 2026-01-01T00:00:00Z)"
        );

        let hidden = Holder {
            state: None,
            since: None,
            is_hidden: true,
            ..seen
        };
        assert_eq!(
            hidden.to_string(),
            "`nightly` (backend 7, user `bob`; the role may not see since when)"
        );
    }
}
