//! A look at the last commit, for `health`: without a lock, without a change, also while a run is under way.

use tokio::runtime::Handle;
use tokio_postgres::types::Type;

use crate::database_url::Address;
use crate::limits::Limits;
use crate::log::Log;
use crate::manifest::Manifest;
use crate::outcome::Failure;
use crate::prepare;
use crate::sink::database::{STATE_TABLE, Seen, StateRow};

use super::connect::{Session, Way};
use super::names::Names;
use super::wait::{Given, Trouble, wait};
use super::{row_of, tls};

/// The job's row and, where `count` says so, how many rows its table has.
pub fn look(address: &Address, job: &str, count: bool, limits: &Limits) -> Result<Seen, Failure> {
    let looked = || {
        let way = Way {
            address,
            tls: tls::connector(address, None, limits)?,
            job,
            lock: 0,
            limits,
            log: &Log::silent(),
        };
        let session = way.connect(None)?;
        let asked = ask(&session, job, count, limits);
        asked.map_err(|trouble| trouble.failure("look at the last commit in", address))
    };
    if Handle::try_current().is_ok() {
        return looked();
    }
    prepare::runtime()?.block_on(async { looked() })
}

fn ask(session: &Session, job: &str, count: bool, limits: &Limits) -> Result<Seen, Trouble> {
    let client = &session.client;
    wait(None, limits.database_answer, async {
        // One snapshot, so that the row and the table are of the same commit.
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        // It stands beside the table, in whichever schema that is.
        let tables = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = $1 AND c.relkind = 'r' \
             AND has_table_privilege(c.oid, 'SELECT') ORDER BY pg_table_is_visible(c.oid) DESC, 1";
        let of: Given<'_> = &[(&STATE_TABLE, Type::TEXT)];
        let mut state: Option<StateRow> = None;
        for table in client.query_typed(tables, of).await? {
            let sql = super::state_sql(table.get(0));
            let of: Given<'_> = &[(&job, Type::TEXT)];
            let row = client.query_typed_opt(&sql, of).await?;
            state = row.map(|row| row_of(job, &row));
            if state.is_some() {
                break;
            }
        }
        let table = state.as_ref().filter(|_| count).and_then(table_of);
        let mut rows = None;
        if let Some(names) = table {
            let of: Given<'_> = &[(&names.table, Type::TEXT)];
            let there = client
                .query_typed_one("SELECT to_regclass($1) IS NOT NULL", of)
                .await?;
            if there.get(0) {
                let sql = format!("SELECT count(*) FROM {}", names.table);
                let counted = client.query_typed_one(&sql, &[]).await?;
                rows = u64::try_from(counted.get::<_, i64>(0)).ok();
            }
        }
        Ok(Seen { state, rows })
    })
}

/// The table that the commit names.
fn table_of(row: &StateRow) -> Option<Names> {
    let manifest = Manifest::from_bytes(row.manifest.as_bytes()).ok()?;
    Names::new(&manifest.table?).ok()
}
