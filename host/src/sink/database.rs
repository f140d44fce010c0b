//! The sink of databases: data, deletions and state in one transaction. What is the same for each of them stands here; what a
//! database does in its own words is behind [`Connection`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::records::changes::{self, Change, Flow, Reading, line_failure};
use crate::records::key::{KeyKinds, Keys};
use crate::records::parents::Parents;
use crate::records::sort::Sorter;
use crate::records::superseded::{Differing, Superseded, Tally};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::{HostPlan, OutputPlan};
use crate::settings::plan::WriteMode;
use crate::sink::builds_on::{self, BuildsOn};
use crate::sink::database::postgres::Postgres;
use crate::sink::database::sqlite::Sqlite;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::{DIGESTS, FileRecord, Manifest};
use crate::sink::refused;
use crate::sink::rejected::{self, Rejecting};
use crate::sink::{
    self, Applied, Begun, Commit, Draft, Extent, LastCommit, ManifestFacts, PendingCommit,
    Restated, Sink, SinkContext, Totals,
};
use crate::staging::leftovers::sweep_work;
use crate::staging::lines::Lines;
use crate::staging::read::{RECORDS, REJECTED, Staged};
use crate::staging::rejection::Rejection;
use crate::staging::run_folder::RunFolder;

use digest::digest;
use retry::patiently;

use past::{Back, Held, Kept};

pub use layout::{Cell, ColumnSource, GENERATION, Layout, TableColumn, UPDATED_AT};
pub use rows::Rows;
pub use runs::{Ending, IsTrial, Recorded, RunRow, SeenRuns, Unended};
pub use state::{StateRow, written};

mod append;
pub mod back;
pub mod compare;
mod digest;
mod layout;
pub mod names;
pub mod past;
pub mod postgres;
mod retry;
mod rows;
mod runs;
pub mod sqlite;
mod state;

/// What is done to a table in one transaction.
pub struct Changes<'s> {
    /// Records and deletions, each key once and in the order of the keys; without keys, the records as they were staged.
    pub rows: Rows<'s>,
    /// Whether they are the whole set.
    pub base: BuildsOn,
    /// Parents all of whose records are gone, but for those among `rows`.
    pub parents: &'s Parents,
    /// What was set aside, and takes what does not fit.
    pub rejected: &'s mut Rejecting,
    /// The number of the generation that is being made.
    pub generation: u64,
    /// When it is committed, RFC 3339 in UTC: what `_updated_at` says of the rows that change.
    pub committed_at: &'s str,
    /// Whether keys of two JSON types can be written alike here, and must not.
    pub looks_for_twins: bool,
    /// Whether this job's last commit was made in this table. Rows of any other table are somebody else's.
    pub owned: bool,
    /// What an append run remembers of what it staged, in place of what was remembered before.
    pub remembered: Option<&'s [u8]>,
    /// Of records without keys that are, byte for byte, those of the last commit: how many rows those were.
    pub same_as_last: Option<u64>,
}

/// A database, and one transaction at a time in it.
pub trait Connection {
    /// The job's row as it is now, read outside of a transaction; none before the first commit.
    fn state(&mut self) -> Result<Option<StateRow>, Failure>;

    /// Begins to load the first set of a job while the component runs, if that can be done without anybody waiting for it. What comes
    /// of it is kept until the next [`begin`](Self::begin) or [`roll_back`](Self::roll_back).
    fn ahead<'c>(&'c self, _layout: &'c Layout) -> Option<Box<dyn Ahead + 'c>> {
        None
    }

    /// What `_updated_at` says of rows that were loaded ahead, all of them; none where there are no such rows.
    fn ahead_at(&self) -> Option<Timestamp> {
        None
    }

    /// Begins a transaction and holds the job's row in it. `Err` with [`Outcome::TryLater`]: it is no longer the one of
    /// generation `parent`, as somebody else committed meanwhile; with [`Outcome::OutputUnusable`]: it is gone.
    fn begin(&mut self, parent: Option<u64>) -> Result<(), Failure>;

    /// What the job's last append run remembered, read in the transaction; none before the first.
    fn remembered(&mut self) -> Result<Option<Vec<u8>>, Failure>;

    /// Makes the table what `changes` say. `Err`: the transaction is of no use any more.
    fn apply(
        &mut self,
        plan: &OutputPlan,
        layout: &Layout,
        changes: Changes<'_>,
    ) -> Result<Applied, Failure>;

    /// Writes the job's row and commits. `Ok`: it survives a power cut. `Err`: nothing has changed, unless it says
    /// `committed: unknown`.
    fn commit(&mut self, row: &StateRow) -> Result<(), Failure>;

    /// Gives up the transaction, if there is one.
    fn roll_back(&mut self);

    /// The failure, with who was in the way if it is that somebody was. Outside of a transaction.
    fn blamed(&self, failure: Failure) -> Failure {
        failure
    }

    /// What holds the job, if it is held. Outside of a transaction.
    fn held(&mut self) -> Result<Option<Held>, Failure>;

    /// Holds the job, in the transaction.
    fn hold(&mut self, held: &Held) -> Result<(), Failure>;

    /// Releases it, outside of a transaction. Returns whether it was held.
    fn release(&mut self) -> Result<bool, Failure>;

    /// The generations that the job can go back to from what is in `table`; none where no history is kept.
    fn kept(&mut self, table: &str) -> Result<Option<Kept>, Failure>;

    /// The newest of them whose number is at most this.
    fn kept_row(&mut self, at_most: u64) -> Result<Option<StateRow>, Failure>;

    /// Makes the rows of the table what they were in an earlier generation, in the transaction. `Err`: it is of no use any more.
    fn go_back(
        &mut self,
        plan: &OutputPlan,
        layout: &Layout,
        back: Back<'_>,
    ) -> Result<Applied, Failure>;

    /// The summary of the job's last run that is recorded as ended. Outside of a transaction, as all that follow.
    fn recorded(&mut self) -> Result<Option<String>, Failure>;

    /// Writes this row, in place of the one of the same run, and removes the oldest beyond the limit.
    fn record(&mut self, run: &RunRow) -> Result<Recorded, Failure>;

    /// Removes the row of this run, if there is one.
    fn forget(&mut self, run_id: &str) -> Result<(), Failure>;

    /// `Err`: a run could not be recorded. What it takes is done, and rolled back.
    fn try_to_record(&mut self, run: &RunRow) -> Result<(), Failure>;
}

/// Takes the records of a first load one by one, while the component runs; dropped, it is as if there were none.
pub trait Ahead {
    /// Takes the next record and its key. `Err`: the run must end.
    fn take(&mut self, key: &[u8], record: &[u8]) -> Result<(), Failure>;

    /// These were all. `Err`: the run must end.
    fn finish(self: Box<Self>) -> Result<(), Failure>;
}

/// A table and its state, at the last commit.
pub struct Database<'r, C> {
    context: SinkContext<'r>,
    connection: C,
    last: Option<(GenerationName, Manifest)>,
    output: &'r OutputPlan,
    mode: WriteMode,
    keys: Keys,
}

/// A transaction that holds everything but the state.
struct TakenRows<'s, 'r, C: Connection> {
    database: &'s mut Database<'r, C>,
    staging: &'s RunFolder,
    extent: Extent,
    /// Whether the run has a further portion to come.
    more: bool,
    totals: Totals,
    first_rejected: Option<Rejection>,
    first_differing: Option<Differing>,
    files: BTreeMap<String, FileRecord>,
    key_kinds: KeyKinds,
    now: Timestamp,
}

/// What was applied.
struct Made {
    applied: Applied,
    /// How many lines of what was staged were read for it.
    read: changes::Read,
    /// What was staged and replaced by a later record of the same key.
    superseded: Tally,
    /// What the manifest says of it.
    files: BTreeMap<String, FileRecord>,
}

/// Opens the database at the job's last commit.
pub fn open<'r>(
    context: SinkContext<'r>,
    url: &'r DatabaseUrl,
    host: &'r HostPlan,
    mode: WriteMode,
) -> Result<Box<dyn Sink + 'r>, Failure> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let connection =
                Sqlite::open(context.clone(), path, &host.job, host.writers, &host.output)?;
            Ok(Box::new(Database::new(context, connection, host, mode)?))
        }
        DatabaseUrl::Postgres(address) => {
            let connection = Postgres::open(&context, address, host)?;
            Ok(Box::new(Database::new(context, connection, host, mode)?))
        }
    }
}

/// Records a run by a connection of its own: it had none, or has lost it.
pub fn record_apart(
    url: &DatabaseUrl,
    host: &HostPlan,
    run: &RunRow,
    is_trial: IsTrial<'_>,
) -> Result<Recorded, Failure> {
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::record_apart(path, host, run, is_trial),
        DatabaseUrl::Postgres(address) => postgres::record_apart(address, host, run, is_trial),
    }
}

/// What is there for somebody who only looks.
#[derive(Debug, Default)]
pub struct Seen {
    /// The job's row; none before the first commit.
    pub state: Option<StateRow>,
    /// Whether the table that it names is there.
    pub has_table: bool,
    /// What holds the job.
    pub held: Option<Held>,
    /// Rows of that table, where they were asked for; none when the table is missing.
    pub rows: Option<u64>,
    /// The job's runs.
    pub runs: SeenRuns,
}

/// The summaries of the last runs of a job that ended, at most `most`, the newest first. Takes no lock and changes nothing.
pub fn history(url: &DatabaseUrl, host: &HostPlan, most: usize) -> Result<Vec<String>, Failure> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::history(path, &host.job, most, &host.limits),
        DatabaseUrl::Postgres(address) => postgres::history(address, host, most),
    }
}

/// Looks at a job's last commit without a lock, and changes nothing. `count`: also counts the rows of its table.
pub fn look(url: &DatabaseUrl, host: &HostPlan, count: bool) -> Result<Seen, Failure> {
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::look(path, &host.job, count, &host.limits),
        DatabaseUrl::Postgres(address) => postgres::look(address, host, count),
    }
}

impl<'r, C: Connection> Database<'r, C> {
    /// Begins from the job's row. `Err` is 73 when it cannot be trusted.
    pub fn new(
        context: SinkContext<'r>,
        mut connection: C,
        host: &'r HostPlan,
        mode: WriteMode,
    ) -> Result<Self, Failure> {
        sweep_work(&context.lock, context.limits, context.check, context.log)?;
        let last = read_last(&mut connection)?;
        Ok(Self {
            output: &host.output,
            mode,
            keys: sink::record_keys(&host.output, context.replaces_every_parent),
            context,
            connection,
            last,
        })
    }

    /// Applies what was staged, in the transaction that was begun; sorts in `folder`.
    fn apply(
        &mut self,
        (staged, begun): (&Staged, Option<Begun>),
        folder: &Folder,
        base: BuildsOn,
        committed_at: &str,
        rejected: &mut Rejecting,
    ) -> Result<Made, Failure> {
        let SinkContext { limits, check, .. } = self.context;
        let parents = Parents::read(staged, &self.keys, limits, check)?;
        let appends = self.mode == WriteMode::Append;
        let (rows, read, remembered) = if appends {
            self.new_rows(staged, folder)?
        } else if let Some(Begun::Sorted(sorted, read)) = begun {
            (Rows::Keyed(sorted), read, None)
        } else {
            let (rows, read) = Rows::of(staged, &self.keys, &parents, folder, limits, check)?;
            (rows, read, None)
        };
        let last = self.last.as_ref().map(|(_, manifest)| manifest);
        let table = &self.output.table;
        let owned = last.is_some_and(|last| last.table.as_ref() == Some(table));
        if base == BuildsOn::LastCommit && !owned {
            return Err(elsewhere(table, last));
        }
        let digest = match (&rows, base) {
            (Rows::Keyed(_) | Rows::New { .. }, _) => None,
            (Rows::AsStaged(_), BuildsOn::LastCommit) => {
                last.and_then(|last| last.files.get(table).cloned())
            }
            (Rows::AsStaged(_), BuildsOn::Nothing) => {
                Some(digest(staged.records(), &self.output.columns, check)?)
            }
        };
        let layout = Layout::of(self.output, self.mode)?;
        let superseded = match &rows {
            Rows::Keyed(sorted) => sorted.superseded(),
            Rows::AsStaged(_) | Rows::New { .. } => Superseded::default(),
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
            rejected,
            generation: sink::next_number(self.last()),
            committed_at,
            looks_for_twins: !self.context.accepts_twins
                && builds_on::key_kinds(base, last, read.kinds).are_mixed(),
            owned,
            remembered: remembered.as_ref().map(|(digests, _)| &digests[..]),
        };
        let applied = self.connection.apply(self.output, &layout, changes)?;
        let digest = digest.map(|digest| (self.output.table.clone(), digest));
        let remembered = remembered.map(|(_, record)| (DIGESTS.to_owned(), record));
        Ok(Made {
            applied,
            read,
            superseded: superseded.tally(),
            files: digest.into_iter().chain(remembered).collect(),
        })
    }
}

/// Changes make sense on top of the last set alone, and that is in another table.
fn elsewhere(table: &str, last: Option<&Manifest>) -> Failure {
    let last = last.and_then(|last| last.table.as_deref()).unwrap_or("");
    Failure::new(
        Outcome::Settings,
        format!(
            "cannot change the table `{table}`: the last set went into `{last}`; set OUTPUT_TABLE back, or fetch everything with `--full-refresh`"
        ),
    )
}

fn read_last(
    connection: &mut impl Connection,
) -> Result<Option<(GenerationName, Manifest)>, Failure> {
    let row = connection.state()?;
    row.map(|row| row.trusted()).transpose()
}

impl<C: Connection> Sink for Database<'_, C> {
    fn last(&self) -> Option<LastCommit<'_>> {
        self.last
            .as_ref()
            .map(|(name, manifest)| LastCommit { name, manifest })
    }

    fn run_folder(&self) -> Result<RunFolder, Failure> {
        RunFolder::new(&self.context.lock, None, self.context.limits)
    }

    /// Sorts; and loads a first set ahead, in a transaction that keeps nobody waiting.
    fn begin(
        &self,
        mut records: Lines<'_>,
        staging: &RunFolder,
        base: BuildsOn,
    ) -> Result<Option<Begun>, Failure> {
        if self.keys.is_empty() || self.mode == WriteMode::Append {
            return Ok(None);
        }
        if (records.is_empty()).map_err(|error| line_failure(RECORDS, error))? {
            return Ok(None);
        }
        let SinkContext { limits, check, .. } = self.context;
        let folder = staging.root().ensure_folder("begun", 0o700)?;
        let records = Reading::of_records(records, &self.keys);
        let layout = Layout::of(self.output, self.mode)?;
        let mut ahead = match base {
            BuildsOn::Nothing if self.last.is_none() => self.connection.ahead(&layout),
            BuildsOn::Nothing | BuildsOn::LastCommit => None,
        };
        let mut by_key = Sorter::new(&folder, limits);
        let read = records.each(check, |change| {
            // Nothing is deleted of records alone.
            if let Change::Record(key, record) = change {
                by_key.push(key, Some(record))?;
                if let Some(ahead) = &mut ahead {
                    ahead.take(key, record)?;
                }
            }
            Ok(Flow::On)
        })?;
        let sorted = by_key.finish()?;
        // A key that is there twice is found here or, of many records, by the server.
        if let Some(ahead) = ahead.filter(|_| sorted.superseded().tally().records == 0) {
            ahead.finish()?;
        }
        Ok(Some(Begun::Sorted(sorted, read.unwrap_or_default())))
    }

    fn take<'s>(
        &'s mut self,
        staged: &Staged,
        staging: &'s RunFolder,
        extent: Extent,
        begun: Option<Begun>,
    ) -> Result<Box<dyn PendingCommit + 's>, Failure> {
        let last = self.last.as_ref().map(|(_, manifest)| manifest);
        let base = builds_on::of(extent, last, self.mode, &self.output.keys, staged)?;
        let parent = self.last.as_ref().map(|(name, _)| name.number);
        let mut begun = begun.filter(|_| staged.has_no_deletions());
        if begun.is_none() || base == BuildsOn::LastCommit {
            self.connection.roll_back();
        }
        let now = self.connection.ahead_at().unwrap_or_else(Timestamp::now);
        let committed_at = written(now);
        let SinkContext {
            limits, log, check, ..
        } = self.context;
        let (made, rejecting) = patiently((limits, log, check), |retries| {
            // What was begun there is in the way of nobody: it goes with the run's own folder.
            let sorted = staging
                .root()
                .ensure_folder(&format!("attempt-{retries}"), 0o700)?;
            let generation = staging.generation();
            if retries > 0 {
                // What the attempt before set aside is found anew.
                generation.remove_file(REJECTED)?;
            }
            let mut rejecting = Rejecting::copy(staged, generation, check)?;
            let is_begun = self.connection.begin(parent);
            is_begun.map_err(|failure| self.connection.blamed(failure))?;
            let applied = self.apply(
                (staged, begun.take()),
                &sorted,
                base,
                &committed_at,
                &mut rejecting,
            );
            if applied.is_err() {
                self.connection.roll_back();
            }
            let applied = applied.map_err(|failure| self.connection.blamed(failure))?;
            Ok((applied, rejecting))
        })?;
        // From here on the transaction is given up on every way out but the commit.
        let mut taken = TakenRows {
            database: self,
            staging,
            extent,
            more: staged.more,
            totals: Totals::default(),
            first_rejected: None,
            first_differing: None,
            files: made.files,
            key_kinds: KeyKinds::default(),
            now,
        };
        let rejected = rejecting.finish()?;
        let last = taken.database.last.as_ref().map(|(_, manifest)| manifest);
        taken.key_kinds = builds_on::key_kinds(base, last, made.read.kinds);
        taken.totals = Totals::of(
            staged,
            made.read,
            rejected.as_ref(),
            made.applied,
            &made.superseded,
        )?;
        taken.first_differing = made.superseded.first;
        taken.first_rejected = rejected.map(|rejected| rejected.first);
        Ok(Box::new(taken))
    }

    fn go_on(&mut self) -> Result<(), Failure> {
        self.last = read_last(&mut self.connection)?;
        Ok(())
    }

    fn restate(&mut self, restated: &Restated) -> Result<Commit, Failure> {
        let last = self.last().ok_or_else(sink::nothing_to_restate)?;
        let (parent, manifest) = (last.name.number, restated.manifest(last));
        let records = manifest.counts.records;
        let (row, name) = StateRow::restated(manifest.clone())?;
        let SinkContext { limits, check, .. } = self.context;
        read_back(&manifest, &row, limits)?;
        self.connection.begin(Some(parent))?;
        let committed = check().and_then(|()| self.connection.commit(&row));
        if committed.is_err() {
            self.connection.roll_back();
        }
        committed?;
        Ok(Commit {
            generation: name.to_string(),
            records,
            unchanged: true,
        })
    }

    fn held(&mut self) -> Result<Option<Held>, Failure> {
        self.connection.held()
    }

    fn record(&mut self, run: &RunRow, is_trial: IsTrial<'_>) -> Result<Recorded, Failure> {
        runs::record(&mut self.connection, run, is_trial)
    }

    fn recorded(&mut self) -> Result<Option<String>, Failure> {
        self.connection.recorded()
    }

    fn try_to_record(&mut self, run: &RunRow) -> Result<(), Failure> {
        self.connection.try_to_record(run)
    }
}

impl<C: Connection> PendingCommit for TakenRows<'_, '_, C> {
    fn totals(&self) -> Totals {
        self.totals
    }

    fn first_rejected(&self) -> Option<&Rejection> {
        self.first_rejected.as_ref()
    }

    fn first_differing(&self) -> Option<&Differing> {
        self.first_differing.as_ref()
    }

    fn refused(self: Box<Self>, refusal: Failure) -> Failure {
        self.database.connection.roll_back();
        let context = &self.database.context;
        let folder = self.staging.generation();
        rejected::keep(refusal, self.totals.rejected, context, folder)
    }

    fn commit(mut self: Box<Self>, draft: Draft) -> Result<Commit, Failure> {
        let made = ManifestFacts {
            unfinished: self.more,
            csv: None,
            extent: self.extent,
            totals: self.totals,
            files: std::mem::take(&mut self.files),
            key_kinds: self.key_kinds,
            table: Some(self.database.output.table.clone()),
            sorted_by: self
                .database
                .output
                .merged_by(self.database.mode)
                .to_owned(),
        };
        let run_id = self.database.context.lock.run_id().to_owned();
        let mut manifest = draft.manifest(self.database.last(), &run_id, made);
        manifest.finished = written(self.now);
        let (row, name) = StateRow::new(manifest.clone(), self.now);
        read_back(&manifest, &row, self.database.context.limits)?;
        (self.database.context.check)()?;
        self.database.connection.commit(&row)?;
        let SinkContext { lock, log, .. } = &self.database.context;
        refused::forget_refused(lock.folder(), log);
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

/// A row that the next run could not read would end every run from then on. `Err`: as of [`Manifest::read_back`].
fn read_back(manifest: &Manifest, row: &StateRow, limits: &Limits) -> Result<(), Failure> {
    let read = |_: &[u8]| match row.trusted() {
        Ok((_, read)) => Ok(read),
        Err(failure) => Err(failure.message),
    };
    manifest.read_back(row.manifest.as_bytes(), limits, read)
}

/// Somebody else committed while this run was under way.
pub fn overtaken(job: &str) -> Failure {
    Failure::new(
        Outcome::TryLater,
        format!("cannot commit the job `{job}`: somebody else committed it meanwhile"),
    )
}

/// Nobody committed, and the row of the last commit is not there any more.
pub fn vanished(job: &str) -> Failure {
    Failure::new(
        Outcome::OutputUnusable,
        format!(
            "cannot commit the job `{job}`: its row in `{}` disappeared during this run; restore the row or the user's SELECT right; to start over, empty the job's table",
            names::STATE_TABLE
        ),
    )
}
