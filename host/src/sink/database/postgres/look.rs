//! A look at the last commit, for `health`: without a lock, without a change, also while a run is under way.

use tokio_postgres::types::Type;

use crate::log::Log;
use crate::outcome::Failure;
use crate::settings::database_url::Address;
use crate::settings::host::HostPlan;
use crate::sink::database::Seen;

use super::connect::{Session, Way};
use super::names::Names;
use super::wait::{Given, Trouble, wait};
use super::{ALL_ROWS, row_of, state_sql, tls};

/// The job's row and, where `count` says so, how many rows its table has. Both are looked for where a run has them, and
/// nowhere else: what others made may run their code.
pub fn look(address: &Address, host: &HostPlan, count: bool) -> Result<Seen, Failure> {
    let names = Names::new(&host.output.table)?;
    let way = Way {
        address,
        tls: tls::connector(address, host.ca_file.as_deref(), &host.limits)?,
        job: &host.job,
        lock: 0,
        limits: &host.limits,
        log: &Log::silent(),
    };
    let session = way.connect(None)?;
    let asked = ask(&session, &names, host, count);
    asked.map_err(|trouble| trouble.failure("cannot inspect the last commit in", address))
}

fn ask(session: &Session, names: &Names, host: &HostPlan, count: bool) -> Result<Seen, Trouble> {
    let client = &session.client;
    let limits = &host.limits;
    let limit = if count {
        limits.run_deadline
    } else {
        limits.database_answer
    };
    wait(None, limit, async {
        // One snapshot, so that the row and the table are of the same commit.
        client
            .batch_execute(&format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {ALL_ROWS}"
            ))
            .await?;
        let is_there = async |name: &String| {
            let of: Given<'_> = &[(name, Type::TEXT)];
            let sql = "SELECT to_regclass($1) IS NOT NULL";
            client.query_typed_one(sql, of).await?.try_get::<_, bool>(0)
        };
        let mut seen = Seen {
            state: None,
            rows: None,
        };
        if is_there(&names.state).await? {
            let of: Given<'_> = &[(&host.job, Type::TEXT)];
            let row = client.query_typed_opt(&state_sql(&names.state), of).await?;
            seen.state = row.map(|row| row_of(&host.job, &row)).transpose()?;
        }
        if count && is_there(&names.table).await? {
            let sql = format!("SELECT count(*) FROM {}", names.table);
            let counted = client.query_typed_one(&sql, &[]).await?;
            seen.rows = u64::try_from(counted.try_get::<_, i64>(0)?).ok();
        }
        Ok(seen)
    })
}
