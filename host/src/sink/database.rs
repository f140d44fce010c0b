//! The sink of databases: data, deletions and state in one transaction. What is the same for each of them stands here; what a
//! database does in its own words is behind [`Connection`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::columns::Column;
use crate::generation::Name;
use crate::limits::Limits;
use crate::lock::Staging;
use crate::manifest::{FileRecord, Manifest, hex};
use crate::outcome::{Failure, Outcome};
use crate::plan::{DatabaseUrl, Plan};
use crate::publish::Commit;
use crate::sink::base::{self, Base};
use crate::sink::changes::{self, CHECK_LINES, line_failure};
use crate::sink::key::Keys;
use crate::sink::parents::Parents;
use crate::sink::postgres::{self, Postgres};
use crate::sink::rejected::{self, Rejected};
use crate::sink::sqlite::{self, Sqlite};
use crate::sink::{Check, Draft, Extent, Ground, Last, Made, Sink, Taken, Target, Totals};
use crate::staged::{self, Lines, Rejection, Staged};

pub use layout::{Cell, GENERATION, Layout, Source, TableColumn, UPDATED_AT};
pub use rows::Rows;
pub use state::{STATE_TABLE, StateRow};

mod layout;
mod rows;
mod state;

/// What a run makes of a table.
#[derive(Debug)]
pub struct Table {
    /// `OUTPUT_TABLE`.
    pub name: String,
    /// The JSON Pointers of `PRIMARY_KEY`.
    pub keys: Vec<String>,
    /// The JSON Pointer of `REPLACE_BY`.
    pub replace_by: Option<String>,
    /// `OUTPUT_COLUMNS`; none: the whole record.
    pub columns: Vec<Column>,
}

/// What is done to a table in one transaction.
pub struct Changes<'s> {
    /// Records and deletions, each key once and in the order of the keys; without keys, the records as they were staged.
    pub rows: Rows<'s>,
    /// Whether they are the whole set.
    pub base: Base,
    /// Parents all of whose records are gone, but for those among `rows`.
    pub parents: &'s Parents,
    /// Lines of `rejected.ndjson`, known to be well-formed.
    pub rejected: Lines<'s>,
    /// The number of the generation that is being made.
    pub generation: u64,
    /// When it is committed, RFC 3339 in UTC: what `updated_at` says of the rows that change.
    pub committed_at: &'s str,
    /// Whether this job's last commit was made in this table. Rows of any other table are somebody else's.
    pub owned: bool,
    /// Of records without keys that are, byte for byte, those of the last commit: how many rows those were.
    pub same_as_last: Option<u64>,
}

/// What it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows in the table now.
    pub records: u64,
    /// Rows that were there and are deleted by a deletion or a replaced parent.
    pub removed: u64,
    /// Whether no row was added, changed or deleted.
    pub unchanged: bool,
}

/// A database, and one transaction at a time in it.
pub trait Connection {
    /// The job's row as it is now, read outside of a transaction; none before the first commit.
    fn state(&mut self) -> Result<Option<StateRow>, Failure>;

    /// Begins a transaction and holds the job's row in it. `Err` with [`Outcome::TryLater`]: it is no longer the one of
    /// generation `parent`, as somebody else committed meanwhile.
    fn begin(&mut self, parent: Option<u64>) -> Result<(), Failure>;

    /// Makes the table what `changes` say. `Err`: the transaction is of no use any more.
    fn apply(&mut self, table: &Table, changes: Changes<'_>) -> Result<Applied, Failure>;

    /// Writes the job's row and commits. `Ok`: it survives a power cut. `Err`: nothing has changed, unless it says
    /// `committed: unknown`.
    fn commit(&mut self, row: &StateRow) -> Result<(), Failure>;

    /// Gives up the transaction, if there is one.
    fn roll_back(&mut self);
}

/// A table and its state, at the last commit.
pub struct Database<'r, C> {
    ground: Ground<'r>,
    connection: C,
    last: Option<(Name, Manifest)>,
    target: Target,
    keys: Keys,
    table: Table,
}

/// A transaction that holds everything but the state.
struct TakenRows<'s, 'r, C: Connection> {
    database: &'s mut Database<'r, C>,
    staging: Staging,
    extent: Extent,
    totals: Totals,
    first_rejected: Option<Rejection>,
    files: BTreeMap<String, FileRecord>,
    now: Timestamp,
}

/// Opens the database at the job's last commit.
pub fn open<'r>(
    ground: Ground<'r>,
    url: &'r DatabaseUrl,
    plan: &'r Plan,
    target: Target,
) -> Result<Box<dyn Sink + 'r>, Failure> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let connection = Sqlite::open(ground.clone(), path, &plan.job, target.dry_run)?;
            Ok(Box::new(Database::new(ground, connection, plan, target)?))
        }
        DatabaseUrl::Postgres(address) => {
            let connection = Postgres::open(&ground, address, plan, target.dry_run)?;
            Ok(Box::new(Database::new(ground, connection, plan, target)?))
        }
    }
}

/// What is there for somebody who only looks.
#[derive(Debug)]
pub struct Seen {
    /// The job's row; none before the first commit.
    pub state: Option<StateRow>,
    /// Rows of the table that it names, where they were asked for; none when the table is missing.
    pub rows: Option<u64>,
}

/// Looks at a job's last commit without a lock, and changes nothing. `count`: also counts the rows of its table.
pub fn look(url: &DatabaseUrl, job: &str, count: bool, limits: &Limits) -> Result<Seen, Failure> {
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::look(path, job, count, limits),
        DatabaseUrl::Postgres(address) => postgres::look(address, job, count, limits),
    }
}

impl<'r, C: Connection> Database<'r, C> {
    /// Begins from the job's row. `Err` is 73 when it cannot be trusted.
    pub fn new(
        ground: Ground<'r>,
        mut connection: C,
        plan: &Plan,
        target: Target,
    ) -> Result<Self, Failure> {
        ground.lock.sweep(None, ground.limits, ground.log)?;
        let last = read_last(&mut connection)?;
        Ok(Self {
            keys: target.keys(),
            table: Table {
                name: plan.table.clone(),
                keys: target.keys.clone(),
                replace_by: target.replace_by.clone(),
                columns: plan.columns.clone(),
            },
            ground,
            connection,
            last,
            target,
        })
    }

    /// Applies what was staged, in the transaction that was begun.
    fn apply(
        &mut self,
        staged: &Staged,
        staging: &Staging,
        base: Base,
        committed_at: &str,
    ) -> Result<(Applied, changes::Read, BTreeMap<String, FileRecord>), Failure> {
        let Ground { limits, check, .. } = self.ground;
        let parents = Parents::read(staged, &self.keys, limits, check)?;
        let (rows, read) = Rows::of(staged, &self.keys, &parents, staging.root(), limits, check)?;
        let last = self.last.as_ref().map(|(_, manifest)| manifest);
        let table = &self.table.name;
        let owned = last.is_some_and(|last| last.table.as_ref() == Some(table));
        if base == Base::Last && !owned {
            return Err(elsewhere(table, last));
        }
        let digest = match (&rows, base) {
            (Rows::Keyed(_), _) => None,
            (Rows::AsStaged(_), Base::Last) => last.and_then(|last| last.files.get(table).cloned()),
            (Rows::AsStaged(_), Base::Empty) => {
                Some(digest(staged.records(), &self.table.columns, check)?)
            }
        };
        let changes = Changes {
            same_as_last: digest
                .as_ref()
                .filter(|digest| {
                    owned && last.and_then(|last| last.files.get(table)) == Some(digest)
                })
                .map(|digest| digest.records),
            rows,
            base,
            parents: &parents,
            rejected: staged.rejected(),
            generation: self.last.as_ref().map_or(1, |(name, _)| name.number + 1),
            committed_at,
            owned,
        };
        let applied = self.connection.apply(&self.table, changes)?;
        let files = digest.map(|digest| (self.table.name.clone(), digest));
        Ok((applied, read, files.into_iter().collect()))
    }
}

/// The bytes of records without keys, and the columns that are made of them.
fn digest(
    mut lines: Lines<'_>,
    columns: &[Column],
    check: Check<'_>,
) -> Result<FileRecord, Failure> {
    let mut hash = Sha256::new();
    let (mut bytes, mut records) = (0, 0_u64);
    for column in columns {
        hash.update(column.to_string());
        hash.update("\n");
    }
    loop {
        if records.is_multiple_of(CHECK_LINES) {
            check()?;
        }
        let line = lines.next_line();
        let Some(line) = line.map_err(|error| line_failure(staged::RECORDS, error))? else {
            break;
        };
        hash.update(line);
        hash.update("\n");
        bytes += line.len() as u64 + 1;
        records += 1;
    }
    Ok(FileRecord {
        bytes,
        sha256: hex(&hash.finalize()),
        records,
    })
}

/// Changes make sense on top of the last set alone, and that is in another table.
fn elsewhere(table: &str, last: Option<&Manifest>) -> Failure {
    let last = last.and_then(|last| last.table.as_deref()).unwrap_or("");
    Failure::new(
        Outcome::Settings,
        format!(
            "change the table `{table}`: the last set went into `{last}`; set OUTPUT_TABLE back, or fetch everything with `--full-refresh`"
        ),
    )
}

fn read_last(connection: &mut impl Connection) -> Result<Option<(Name, Manifest)>, Failure> {
    let row = connection.state()?;
    row.map(|row| row.trusted()).transpose()
}

impl<C: Connection> Sink for Database<'_, C> {
    fn last(&self) -> Option<Last<'_>> {
        self.last
            .as_ref()
            .map(|(name, manifest)| Last { name, manifest })
    }

    fn staging(&self) -> Result<Staging, Failure> {
        self.ground.lock.staging(None, self.ground.limits)
    }

    fn take<'s>(
        &'s mut self,
        staged: &Staged,
        staging: Staging,
        extent: Extent,
    ) -> Result<Box<dyn Taken + 's>, Failure> {
        let base = base::of(extent, self.last.is_some(), &self.target, staged)?;
        let rejected = Rejected::copy(staged, staging.generation(), self.ground.check)?;
        let parent = self.last.as_ref().map(|(name, _)| name.number);
        self.connection.begin(parent)?;
        let now = Timestamp::now();
        // From here on the transaction is given up on every way out but the commit.
        let mut taken = TakenRows {
            database: self,
            staging,
            extent,
            totals: Totals::default(),
            first_rejected: None,
            files: BTreeMap::new(),
            now,
        };
        let (applied, read, files) =
            taken
                .database
                .apply(staged, &taken.staging, base, &state::written(now))?;
        taken.files = files;
        let rejected_lines = rejected.as_ref().map_or(0, |found| found.record.records);
        staged.counted(staged::Counts {
            staged: read.staged,
            deleted: read.deleted,
            rejected: rejected_lines,
        })?;
        taken.totals = Totals {
            records: applied.records,
            staged: read.staged,
            deleted: read.deleted,
            removed: applied.removed,
            rejected: rejected_lines,
            unchanged: applied.unchanged,
        };
        taken.first_rejected = rejected.map(|rejected| rejected.first);
        Ok(Box::new(taken))
    }

    fn go_on(&mut self) -> Result<(), Failure> {
        self.last = read_last(&mut self.connection)?;
        Ok(())
    }
}

impl<C: Connection> Taken for TakenRows<'_, '_, C> {
    fn totals(&self) -> Totals {
        self.totals
    }

    fn first_rejected(&self) -> Option<&Rejection> {
        self.first_rejected.as_ref()
    }

    fn refused(self: Box<Self>, refusal: Failure) -> Failure {
        self.database.connection.roll_back();
        let Ground { lock, log, .. } = &self.database.ground;
        let folder = self.staging.generation();
        rejected::keep(refusal, self.totals.rejected, lock, folder, log)
    }

    fn commit(mut self: Box<Self>, draft: Draft) -> Result<Commit, Failure> {
        let made = Made {
            extent: self.extent,
            totals: self.totals,
            files: std::mem::take(&mut self.files),
            table: Some(self.database.table.name.clone()),
            sorted_by: self.database.target.keys.clone(),
        };
        let run_id = self.database.ground.lock.run_id().to_owned();
        let manifest = draft.manifest(self.database.last(), &run_id, made);
        let (row, name) = StateRow::new(manifest, self.now);
        (self.database.ground.check)()?;
        self.database.connection.commit(&row)?;
        Ok(Commit {
            generation: name.to_string(),
            records: self.totals.records,
            unchanged: self.totals.unchanged,
        })
    }
}

impl<C: Connection> Drop for TakenRows<'_, '_, C> {
    fn drop(&mut self) {
        self.database.connection.roll_back();
    }
}

/// Somebody else committed while this run was under way.
pub fn overtaken(job: &str) -> Failure {
    Failure::new(
        Outcome::TryLater,
        format!("commit the job `{job}`: somebody else committed it meanwhile"),
    )
}
