//! A look at the last commit, for `health`: without a lock, without a change, also while a run is under way.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::settings::database_url::Address;
use crate::settings::host::HostPlan;
use crate::sink::database::names::quoted;
use crate::sink::database::past::{Held, Kept, TO_GENERATION};
use crate::sink::database::runs::is_a_run;
use crate::sink::database::{GENERATION, Seen, SeenRuns, StateRow, Unended};

use super::connect::{Session, Way};
use super::names::Names;
use super::runs::RunsTable;
use super::wait::{Given, Trouble, wait};
use super::{ALL_ROWS, lock_of, row_of, state_sql, tls};

/// The job's row, its runs, whether its table is there and, where `count` says so, how many rows that has. All are looked for
/// where a run has them, and nowhere else: what others made may run their code.
pub fn look(address: &Address, host: &HostPlan, count: bool) -> Result<Seen, Failure> {
    with_session(address, host, |session, names, way| {
        let asked = ask(session, names, way, host, count);
        asked.map_err(|trouble| trouble.failure("cannot inspect the last commit in", address))
    })
}

/// The summaries of the last runs that ended. `Err`: they are there, and may not be read.
pub fn history(address: &Address, host: &HostPlan, most: i64) -> Result<Vec<String>, Failure> {
    with_session(address, host, |session, names, way| {
        let asked = wait(None, host.limits.database_answer, async {
            let client = &session.client;
            let table = match table_of_runs(client, names, way).await? {
                Ok(Some(table)) => table,
                Ok(None) => return Ok(Ok(Vec::new())),
                Err(why) => return Ok(Err(why)),
            };
            let sql = format!(
                "SELECT {} FROM {table} WHERE job = $1 AND finished IS NOT NULL \
                 ORDER BY started DESC, run_id DESC LIMIT $2",
                summary(way)
            );
            let given: Given<'_> = &[(&host.job, Type::TEXT), (&most, Type::INT8)];
            let rows = client.query_typed(&sql, given).await?;
            let texts = rows.iter().map(|row| row.try_get(0));
            Ok(Ok(texts.collect::<Result<Vec<String>, _>>()?))
        });
        let doing = "cannot read how runs ended in";
        let asked = asked.map_err(|trouble| trouble.failure(doing, address))?;
        asked.map_err(|why| Failure::new(Outcome::OutputUnusable, why))
    })
}

/// Acts in a session that takes no lock.
pub fn with_session<T>(
    address: &Address,
    host: &HostPlan,
    act: impl FnOnce(&Session, &Names, &Way<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let names = Names::new(&host.output.table)?;
    let way = Way {
        address,
        tls: tls::connector(address, host.ca_file.as_deref(), &host.limits)?,
        job: &host.job,
        lock: lock_of("run", &host.job, names.schema.as_deref()),
        limits: &host.limits,
        log: &Log::silent(),
    };
    let session = way.connect(None)?;
    act(&session, &names, &way)
}

fn ask(
    session: &Session,
    names: &Names,
    way: &Way<'_>,
    host: &HostPlan,
    count: bool,
) -> Result<Seen, Trouble> {
    let client = &session.client;
    let limits = &host.limits;
    let limit = if count {
        limits.run_deadline
    } else {
        limits.database_answer
    };
    let mut seen = wait(None, limit, async {
        // One snapshot, so that the row and the table are of the same commit.
        client
            .batch_execute(&format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {ALL_ROWS}"
            ))
            .await?;
        let mut seen = Seen::default();
        if is_there(client, &names.state).await? {
            let of: Given<'_> = &[(&host.job, Type::TEXT)];
            let row = client.query_typed_opt(&state_sql(&names.state), of).await?;
            seen.state = row.map(|row| row_of(&host.job, &row)).transpose()?;
        }
        let table = (seen.state.as_ref()).and_then(|row| row.trusted().ok()?.1.table);
        let published = table.and_then(|table| Names::new(&table).ok());
        if let Some(published) = published {
            seen.has_table = is_there(client, &published.table).await?;
        }
        if count && is_there(client, &names.table).await? {
            let sql = format!("SELECT count(*) FROM {}", names.table);
            let counted = client.query_typed_one(&sql, &[]).await?;
            seen.rows = u64::try_from(counted.try_get::<_, i64>(0)?).ok();
        }
        seen.held = held(client, names, way.job).await?;
        client.batch_execute("COMMIT").await?;
        seen.runs = runs(client, names, way).await?;
        Ok(seen)
    })?;
    // A run that ends while it is looked at has written so before it gives up the lock.
    let is_gone = |unended: &Unended| !unended.is_under_way;
    if seen.runs.unended.as_ref().is_some_and(is_gone) {
        seen.runs = wait(None, limit, runs(client, names, way))?;
    }
    Ok(seen)
}

/// Whether a table of this name is where the commits are, is nobody's who could put code of his own there, and may be read.
pub async fn is_trusted(client: &Client, names: &Names, name: &str) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_class s ON s.oid = to_regclass($1) \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner \
         WHERE c.oid = to_regclass($2) AND c.relnamespace = s.relnamespace AND c.relkind IN ('r', 'p') \
         AND (o.rolsuper OR o.rolname = current_user OR c.relowner IN (s.relowner, n.nspowner)) \
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))";
    let of: Given<'_> = &[(&names.state, Type::TEXT), (&name, Type::TEXT)];
    client.query_typed_one(sql, of).await?.try_get(0)
}

/// What holds the job.
pub async fn held(client: &Client, names: &Names, job: &str) -> Result<Option<Held>, Error> {
    if !is_trusted(client, names, &names.held).await? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT since, generation FROM {} WHERE job = $1",
        names.held
    );
    let of: Given<'_> = &[(&job, Type::TEXT)];
    let row = client.query_typed_opt(&sql, of).await?;
    row.map(|row| {
        Ok(Held {
            since: row.try_get(0)?,
            generation: row.try_get::<_, i64>(1)?.unsigned_abs(),
        })
    })
    .transpose()
}

/// Which generations are kept of a job.
pub async fn kept(client: &Client, names: &Names, job: &str) -> Result<Option<Kept>, Error> {
    for name in [&names.generations, &names.table, &names.past] {
        if !is_there(client, name).await? {
            return Ok(None);
        }
    }
    let sql = format!(
        "SELECT min(generation), max(generation), (SELECT max({GENERATION}) FROM {}), \
         (SELECT max({TO_GENERATION}) FROM {}) FROM {} WHERE job = $1",
        names.table, names.past, names.generations
    );
    let of: Given<'_> = &[(&job, Type::TEXT)];
    let row = client.query_typed_one(&sql, of).await?;
    let number = |at: usize| {
        let number: Option<i64> = row.try_get(at)?;
        Ok::<_, Error>(number.map(i64::unsigned_abs))
    };
    let last_change = number(2)?.max(number(3)?).unwrap_or_default();
    Ok(match (number(0)?, number(1)?) {
        (Some(oldest), Some(newest)) => Some(Kept {
            oldest,
            newest,
            last_change,
        }),
        _ => None,
    })
}

/// The newest kept generation whose number is at most this. `Ok(Some(Err))`: it was edited.
pub async fn kept_row(
    client: &Client,
    names: &Names,
    job: &str,
    at_most: u64,
) -> Result<Option<Result<StateRow, Failure>>, Error> {
    let sql = format!(
        "SELECT generation, to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), manifest \
         FROM {} WHERE job = $1 AND generation <= $2 ORDER BY generation DESC LIMIT 1",
        names.generations
    );
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let of: Given<'_> = &[(&job, Type::TEXT), (&at_most, Type::INT8)];
    let row = client.query_typed_opt(&sql, of).await?;
    row.map(|row| {
        let generation = row.try_get::<_, i64>(0)?.unsigned_abs();
        Ok(StateRow::kept(
            job,
            generation,
            row.try_get(1)?,
            row.try_get(2)?,
        ))
    })
    .transpose()
}

async fn is_there(client: &Client, name: &String) -> Result<bool, Error> {
    let of: Given<'_> = &[(name, Type::TEXT)];
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    client.query_typed_one(sql, of).await?.try_get(0)
}

/// The table of runs; none where there is none. `Err`: why it cannot be read.
async fn table_of_runs(
    client: &Client,
    names: &Names,
    way: &Way<'_>,
) -> Result<Result<Option<String>, String>, Error> {
    let found = RunsTable::find(client, names).await?;
    if let Some(why) = found.refused {
        return Ok(Err(format!("how runs ended is not known: {why}")));
    }
    let table = found.name();
    let of: Given<'_> = &[(&table, Type::TEXT)];
    let sql = "SELECT has_table_privilege(to_regclass($1)::oid, 'SELECT')";
    let may_read: Option<bool> = client.query_typed_one(sql, of).await?.try_get(0)?;
    Ok(match may_read {
        None => Ok(None),
        Some(true) => Ok(Some(table)),
        Some(false) => {
            let user = quoted(way.address.user());
            Err(format!(
                "how runs ended is not known: the role may not read {table}; `GRANT SELECT ON {table} TO {user}`"
            ))
        }
    })
}

/// A summary, as SQL reads it; one that is larger than any that a run writes is read as an empty one.
fn summary(way: &Way<'_>) -> String {
    let most = way.limits.manifest_bytes;
    format!("CASE WHEN octet_length(summary::text) <= {most} THEN summary::text ELSE '' END")
}

/// The last run that ended, and a later one that did not.
async fn runs(client: &Client, names: &Names, way: &Way<'_>) -> Result<SeenRuns, Error> {
    let mut seen = SeenRuns::default();
    let table = match table_of_runs(client, names, way).await? {
        Ok(Some(table)) => table,
        Ok(None) => return Ok(seen),
        Err(why) => {
            seen.unread = Some(why);
            return Ok(seen);
        }
    };
    let job: (&(dyn tokio_postgres::types::ToSql + Sync), Type) = (&way.job, Type::TEXT);
    let sql = format!(
        "SELECT {}, finished IS NOT NULL \
         FROM {table} WHERE job = $1 AND {} ORDER BY started DESC, run_id DESC LIMIT 20",
        summary(way),
        is_a_run()
    );
    for row in client.query_typed(&sql, &[job]).await? {
        let summary: String = row.try_get(0)?;
        if row.try_get(1)? {
            seen.ended = Some(summary);
            break;
        }
        if seen.unended.is_none() {
            seen.unended = Some(Unended {
                summary,
                is_under_way: false,
            });
        }
    }
    if let Some(unended) = &mut seen.unended {
        let sql = "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1)";
        let of: Given<'_> = &[(&way.lock, Type::INT8)];
        unended.is_under_way = client.query_typed_one(sql, of).await?.try_get(0)?;
    }
    Ok(seen)
}
