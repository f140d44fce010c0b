//! Goes back to an earlier generation of a table whose history is kept, as a new generation and in one transaction: a reader sees the
//! rows before or the rows after, and the next run goes on from the cursor that goes with what it finds.

use jiff::Timestamp;

use crate::outcome::{Failure, Outcome};
use crate::settings::catalogue::OUTPUT_COLUMNS;
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::settings::plan::WriteMode;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::Manifest;
use crate::sink::{Applied, SinkContext};

use super::past::{Back, Held, Kept};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{Connection, Layout, StateRow, elsewhere};

/// What is asked for.
pub struct Asked<'a> {
    /// The generation; none: the last one that is another set.
    pub number: Option<u64>,
    /// Whether the job is held from then on.
    pub hold: bool,
    /// When it was asked for, RFC 3339 in UTC.
    pub started: &'a str,
}

/// What came of it.
pub struct WentBack {
    /// The generation whose rows readers see.
    pub to: GenerationName,
    pub manifest: Manifest,
    /// The generation that was left.
    pub from: GenerationName,
    /// The generation that was made; none where the rows were those already.
    pub made: Option<GenerationName>,
    /// Whether the job is held from then on.
    pub is_held: bool,
    pub applied: Applied,
}

/// Goes back. `Err`: nothing has changed, unless it says `committed: unknown`.
pub fn go_back(
    context: &SinkContext<'_>,
    url: &DatabaseUrl,
    host: &HostPlan,
    asked: &Asked<'_>,
) -> Result<WentBack, Failure> {
    if !host.output.keeps_history {
        return Err(refused(
            "a table holds the last set alone; set OUTPUT_HISTORY=yes, from then on it can, or restore the table from a backup, together with its row of `tidegate_state`",
        ));
    }
    let mut connection = connected(context, url, host)?;
    let connection = &mut *connection;
    let row = connection
        .state()?
        .ok_or_else(|| refused("nothing was published yet"))?;
    let (current, last) = row.trusted()?;
    let table = &host.output.table;
    if last.table.as_ref() != Some(table) {
        return Err(elsewhere(table, Some(&last)));
    }
    let kept = kept_until(connection, table, row.generation)?;
    let to = target(connection, kept, asked.number)?;
    let (to, manifest) = to.trusted()?;
    if manifest.sorted_by != host.output.keys {
        return Err(refused(&format!(
            "PRIMARY_KEY was another in generation {}",
            to.number
        )));
    }
    let columns = OUTPUT_COLUMNS.row.name;
    if manifest.settings.get(columns) != last.settings.get(columns) {
        return Err(refused(&format!(
            "{columns} was another in generation {}, and the history has not all of its columns",
            to.number
        )));
    }
    // A later one may have the same rows, and another state.
    let is_there = to.number == row.generation;
    let was_held = connection.held()?.is_some();
    let mut went = WentBack {
        to,
        manifest,
        from: current,
        made: None,
        is_held: asked.hold || was_held,
        applied: Applied::default(),
    };
    if is_there && !asked.hold {
        return Ok(went);
    }
    (context.check)()?;
    let now = Timestamp::now();
    let next = Manifest {
        generation: row.generation + 1,
        parent: Some(went.from.to_string()),
        run_id: context.lock.run_id().to_owned(),
        started: asked.started.to_owned(),
        ..went.manifest.clone()
    };
    let (next, name) = StateRow::new(next, now);
    let held = Held {
        since: format!("{now:.0}"),
        generation: next.generation,
    };
    let begun = connection.begin(Some(row.generation));
    begun.map_err(|failure| connection.blamed(failure))?;
    let done = restore(connection, host, &went, &next).and_then(|applied| {
        if asked.hold || was_held {
            connection.hold(&held)?;
        }
        (context.check)()?;
        Ok(applied)
    });
    if done.is_err() {
        connection.roll_back();
    }
    went.applied = done.map_err(|failure| connection.blamed(failure))?;
    connection.commit(&next)?;
    went.made = Some(name);
    Ok(went)
}

/// Lets runs publish again. Returns whether the job was held.
pub fn release(
    context: &SinkContext<'_>,
    url: &DatabaseUrl,
    host: &HostPlan,
) -> Result<bool, Failure> {
    if is_missing(url) {
        return Ok(false);
    }
    connected(context, url, host)?.release()
}

fn connected<'r>(
    context: &SinkContext<'r>,
    url: &'r DatabaseUrl,
    host: &'r HostPlan,
) -> Result<Box<dyn Connection + 'r>, Failure> {
    if is_missing(url) {
        return Err(refused("nothing was published yet"));
    }
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Box::new(Sqlite::open(
            context.clone(),
            path,
            &host.job,
            host.writers,
            &host.output,
        )?),
        DatabaseUrl::Postgres(address) => Box::new(Postgres::open(context, address, host)?),
    })
}

/// Whether there is no file, which to open would make it.
fn is_missing(url: &DatabaseUrl) -> bool {
    matches!(url, DatabaseUrl::Sqlite(path) if !path.exists())
}

/// The generations that can be gone back to from this one, the last. `Err` (64): there are none.
fn kept_until(connection: &mut dyn Connection, table: &str, last: u64) -> Result<Kept, Failure> {
    let Some(kept) = connection.kept(table)? else {
        return Err(refused(
            "no run kept the history yet: OUTPUT_HISTORY=yes begins with the next one",
        ));
    };
    if kept.newest != last {
        return Err(refused(&format!(
            "the history ends with generation {}, and {last} is published: runs between them did not keep it (OUTPUT_HISTORY)",
            kept.newest
        )));
    }
    Ok(kept)
}

fn target(
    connection: &mut dyn Connection,
    kept: Kept,
    number: Option<u64>,
) -> Result<StateRow, Failure> {
    let found = match number {
        Some(number) => connection
            .kept_row(number)?
            .filter(|row| row.generation == number),
        None => connection.kept_row(kept.last_change.saturating_sub(1))?,
    };
    let Kept { oldest, newest, .. } = kept;
    found.ok_or_else(|| {
        refused(&match number {
            Some(number) => format!(
                "generation {number} is not kept: {oldest} to {newest} are (OUTPUT_HISTORY_FOR)"
            ),
            None => format!(
                "no earlier set is kept that is another: generations {oldest} to {newest} are the same"
            ),
        })
    })
}

/// Restores the rows, in the transaction.
fn restore(
    connection: &mut dyn Connection,
    host: &HostPlan,
    went: &WentBack,
    next: &StateRow,
) -> Result<Applied, Failure> {
    let layout = Layout::of(&host.output, WriteMode::Upsert)?;
    let back = Back {
        to: went.to.number,
        generation: next.generation,
        committed_at: &next.committed_at,
    };
    let applied = connection.go_back(&host.output, &layout, back)?;
    let had = went.manifest.counts.records;
    if applied.records != had {
        return Err(Failure::new(
            Outcome::OutputUnusable,
            format!(
                "cannot go back to generation {}: it had {had} rows, and {} can be restored: somebody else wrote to the table; nothing was changed; `--full-refresh` repairs the last set",
                went.to.number, applied.records
            ),
        ));
    }
    Ok(applied)
}

fn refused(why: &str) -> Failure {
    Failure::new(Outcome::Usage, format!("cannot go back: {why}"))
}
