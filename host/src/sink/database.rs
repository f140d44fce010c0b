//! The sink of databases: data, deletions and state in one transaction. What is the same for each of them stands here; what a
//! database does in its own words is behind [`Connection`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::columns::Column;
use crate::generation::Name;
use crate::lock::Staging;
use crate::manifest::Manifest;
use crate::outcome::{Failure, Outcome};
use crate::plan::{DatabaseUrl, Plan, WriteMode};
use crate::publish::Commit;
use crate::sink::base::{self, Base};
use crate::sink::changes;
use crate::sink::key::Keys;
use crate::sink::parents::Parents;
use crate::sink::postgres::Postgres;
use crate::sink::rejected::{self, Rejected};
use crate::sink::{Draft, Extent, Ground, Last, Made, Sink, Taken, Target, Totals};
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
    /// `WRITE_MODE`.
    pub mode: WriteMode,
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
    files: BTreeMap<String, crate::manifest::FileRecord>,
}

/// Opens the database at the job's last commit.
pub fn open<'r>(
    ground: Ground<'r>,
    url: &'r DatabaseUrl,
    plan: &'r Plan,
    target: Target,
) -> Result<Box<dyn Sink + 'r>, Failure> {
    match url {
        DatabaseUrl::Sqlite(_) => todo!(),
        DatabaseUrl::Postgres(address) => {
            let connection = Postgres::open(&ground, address, plan)?;
            Ok(Box::new(Database::new(ground, connection, plan, target)?))
        }
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
                mode: target.mode,
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
    ) -> Result<(Applied, changes::Read), Failure> {
        let Ground { limits, check, .. } = self.ground;
        let parents = Parents::read(staged, &self.keys, limits, check)?;
        let (rows, read) = Rows::of(staged, &self.keys, &parents, staging.root(), limits, check)?;
        let changes = Changes {
            rows,
            base,
            parents: &parents,
            rejected: staged.rejected(),
            generation: self.last.as_ref().map_or(1, |(name, _)| name.number + 1),
        };
        let applied = self.connection.apply(&self.table, changes)?;
        Ok((applied, read))
    }
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
        // From here on the transaction is given up on every way out but the commit.
        let mut taken = TakenRows {
            database: self,
            staging,
            extent,
            totals: Totals::default(),
            first_rejected: None,
            files: BTreeMap::new(),
        };
        let (applied, read) = taken.database.apply(staged, &taken.staging, base)?;
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

    fn refused(mut self: Box<Self>, refusal: Failure) -> Failure {
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
            sorted_by: self.database.target.keys.clone(),
        };
        let run_id = self.database.ground.lock.run_id().to_owned();
        let manifest = draft.manifest(self.database.last(), &run_id, made);
        let (row, name) = StateRow::new(manifest, Timestamp::now());
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
