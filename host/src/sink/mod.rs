//! Sinks: where staged records become the published set.
//!
//! A sink begins from its last commit, takes what was staged in order, and then commits data and state as one or changes
//! nothing. [`Files`] publishes a folder by one rename; [`database::Database`] does the same steps inside one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::folder::lock::Lock;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::records::key::KeyKinds;
use crate::records::shape::Shape;
use crate::records::sort::Sorted;
use crate::records::superseded::{Differing, Tally};
use crate::records::{changes, key};
use crate::settings::host::{HostPlan, OutputPlan};
use crate::settings::plan::WriteMode;
use crate::sink::builds_on::BuildsOn;
use crate::sink::database::past::Held;
use crate::sink::database::{IsTrial, Recorded, RunRow};
use crate::sink::files::retire::Keep;
use crate::sink::files::write::SetFile;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::{Component, CsvLayout, FileRecord, Manifest, Window};
use crate::staging::lines::Lines;
use crate::staging::read::{self, Staged};
use crate::staging::rejection::Rejection;
use crate::staging::run_folder::RunFolder;

pub mod database;
pub mod files;

mod dedup;

pub mod builds_on;
pub mod generation_name;
pub mod manifest;
pub mod refused;
mod rejected;
mod twins;

pub use files::Files;

/// A place that keeps data and state together.
pub trait Sink {
    /// The last commit, from which this run goes on; none before the first.
    fn last(&self) -> Option<LastCommit<'_>>;

    /// A new folder for the component to stage into.
    fn run_folder(&self) -> Result<RunFolder, Failure>;

    /// Begins with the records that a component stages, while it still runs. The result is valid only if these are all that it
    /// stages, and build on `base`. `None`: nothing can be done before it has ended. Readers see nothing of it, and nobody waits for it.
    fn begin(
        &self,
        _records: Lines<'_>,
        _staging: &RunFolder,
        _base: BuildsOn,
    ) -> Result<Option<Begun>, Failure> {
        Ok(None)
    }

    /// Takes what was staged in `staging` on top of the last commit; `begun` is what was begun with all of its records. `Err`:
    /// nothing has changed for readers.
    fn take<'s>(
        &'s mut self,
        staged: &Staged,
        staging: &'s RunFolder,
        extent: Extent,
        begun: Option<Begun>,
    ) -> Result<Box<dyn PendingCommit + 's>, Failure>;

    /// Reads the last commit anew: one was just made.
    fn go_on(&mut self) -> Result<(), Failure>;

    /// Commits the last set once more, with another state. `Err`: as of [`PendingCommit::commit`].
    fn restate(&mut self, restated: &Restated) -> Result<Commit, Failure>;

    /// Removes what older commits need no longer. Never fails: it warns.
    fn retire(&self) {}

    /// What holds the job where the data is; folders have that in a file of their own.
    fn held(&mut self) -> Result<Option<Held>, Failure> {
        Ok(None)
    }

    /// Writes how this run is going or ended beside the data, unless it is a trial. `Err` changes nothing of the run; where it
    /// may pass, another connection may do.
    fn record(&mut self, _run: &RunRow, _is_trial: IsTrial<'_>) -> Result<Recorded, Failure> {
        Ok(Recorded::Elsewhere)
    }

    /// The summary of the job's last run that is recorded as ended, where runs are recorded beside the data.
    fn recorded(&mut self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// `Err`: a run could not be recorded. Nothing is changed.
    fn try_to_record(&mut self, _run: &RunRow) -> Result<(), Failure> {
        Ok(())
    }
}

/// What a sink made of staged records alone.
pub enum Begun {
    /// The files of a set that builds on nothing, and what it makes of the last one.
    Set(Vec<SetFile>, changes::Read, Difference),
    /// The last version of each key.
    Sorted(Sorted, changes::Read),
}

/// What a sink took, ready for the gates and then to be committed; dropped, it changes nothing.
pub trait PendingCommit {
    /// How many records there would be, and were staged.
    fn totals(&self) -> Totals;

    /// The first record that was set aside, if one was.
    fn first_rejected(&self) -> Option<&Rejection>;

    /// The first two records with one key that differ.
    fn first_differing(&self) -> Option<&Differing>;

    /// Takes a gate's refusal: nothing is committed. What was set aside is kept for a person, and the text says where.
    fn refused(self: Box<Self>, refusal: Failure) -> Failure;

    /// Makes data and state what readers and the next run see, as one. `Err`: nothing has changed, unless it says
    /// `committed: unknown`.
    fn commit(self: Box<Self>, draft: Draft) -> Result<Commit, Failure>;
}

/// What a commit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The name of the generation that readers see now.
    pub generation: String,
    /// Records in its set, or in all segments.
    pub records: u64,
    /// Whether that is what they saw before.
    pub unchanged: bool,
}

/// A commit that was made.
#[derive(Debug, Clone, Copy)]
pub struct LastCommit<'s> {
    pub name: &'s GenerationName,
    /// What it holds, and the state with which the next run begins.
    pub manifest: &'s Manifest,
}

/// What every sink works with.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, or of where the run works"
)]
#[derive(Clone)]
pub struct SinkContext<'r> {
    /// The lock on the folder in which the run works.
    pub lock: Arc<Lock>,
    /// Whether that folder is there after the run.
    pub folder_stays: bool,
    /// `--adopt`: an earlier script's files are kept elsewhere when the new set is published.
    pub adopt: bool,
    /// `--dry-run`: nothing that is missing is made.
    pub dry_run: bool,
    /// `--accept-change PRIMARY_KEY`: two keys may be written alike.
    pub accepts_twins: bool,
    /// Whether no record is staged but of a parent that is replaced.
    pub replaces_every_parent: bool,
    /// The limits of the run.
    pub limits: &'r Limits,
    /// Asked now and then. After the commit only by what the next run can go on with.
    pub check: Check<'r>,
    /// The log of the run.
    pub log: &'r Log,
}

/// Opens the sink that the plan names, at its last commit.
///
/// `Err` with [`Outcome::TryLater`] may mean that another run of this job is under way.
pub fn open<'r>(
    context: SinkContext<'r>,
    host: &'r HostPlan,
    mode: WriteMode,
) -> Result<Box<dyn Sink + 'r>, Failure> {
    match &host.database {
        None => Ok(Box::new(Files::open(
            context,
            Keep {
                sets: host.keep_generations,
                span: host.keep_for,
            },
            &host.output,
            mode,
        )?)),
        Some(url) => database::open(context, url, host, mode),
    }
}

/// The pointers of `PRIMARY_KEY` and `REPLACE_BY`, ready to be read from records.
fn record_keys(output: &OutputPlan, replaces_every_parent: bool) -> key::Keys {
    let keys = key::Keys::new(&output.keys);
    match &output.replace_by {
        None => keys,
        Some(pointer) => keys.with_parent(pointer, replaces_every_parent),
    }
}

/// What the staged records are, as the component reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All records there are.
    Everything,
    /// Records that are new or changed.
    Changes,
    /// Nothing is staged, for nothing changed.
    NothingNew,
}

impl Extent {
    /// The word in logs and manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Changes => "changes",
            Self::NothingNew => "nothing-new",
        }
    }
}

/// How many of what, counted by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Records in the set to be published; under append in all segments.
    pub records: u64,
    pub staged: u64,
    pub deleted: u64,
    /// Records of the last published set that they take away.
    pub removed: u64,
    /// What it makes of the last published set.
    pub difference: Difference,
    /// Records that the component or the sink set aside.
    pub rejected: u64,
    /// Those of the sink: they were staged, and do not fit.
    pub set_aside: u64,
    /// Records that a later one of the same key replaced.
    pub superseded: u64,
    /// Those among them that were not the same.
    pub differing: u64,
    /// Whether the set is, byte for byte, the one published last; under append, whether nothing is added.
    pub unchanged: bool,
}

/// What a commit makes of the records that were there, by key; none of what is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Difference {
    /// Records that were not there.
    pub new: Option<u64>,
    /// Records that are others now.
    pub changed: Option<u64>,
    /// Records that are there no more.
    pub gone: Option<u64>,
}

impl Difference {
    /// All of it is known.
    pub const fn of(new: u64, changed: u64, gone: u64) -> Self {
        Self {
            new: Some(new),
            changed: Some(changed),
            gone: Some(gone),
        }
    }

    /// What is known of two sets by their sizes alone.
    pub const fn of_sizes(before: u64, now: u64) -> Self {
        match (before, now) {
            (0, now) => Self::of(now, 0, 0),
            (before, 0) => Self::of(0, 0, before),
            _ => Self {
                new: None,
                changed: None,
                gone: None,
            },
        }
    }

    /// The same of a commit that changed nothing, as far as it is not known otherwise.
    const fn or_none(self) -> Self {
        const fn or_none(known: Option<u64>) -> Option<u64> {
            match known {
                None => Some(0),
                known => known,
            }
        }
        Self {
            new: or_none(self.new),
            changed: or_none(self.changed),
            gone: or_none(self.gone),
        }
    }
}

/// What a run makes of what was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Records that there are now.
    pub records: u64,
    /// Records that were there and are taken away by a deletion or a replaced parent.
    pub removed: u64,
    /// What it makes of those that were there.
    pub difference: Difference,
    /// Whether nothing was added, changed or taken away.
    pub unchanged: bool,
}

impl Totals {
    /// What was read of `staged`, held to what the component reported, and what it came to. `Err` is 70.
    fn of(
        staged: &Staged,
        read: changes::Read,
        rejected: Option<&rejected::Rejected>,
        applied: Applied,
        superseded: &Tally,
    ) -> Result<Self, Failure> {
        let set_aside = rejected.map_or(0, |found| found.set_aside);
        let rejected = rejected.map_or(0, |found| found.record.records);
        staged.counted(read::Counts {
            staged: read.staged,
            deleted: read.deleted,
            rejected: rejected - set_aside,
        })?;
        Ok(Self {
            records: applied.records,
            staged: read.staged - set_aside,
            deleted: read.deleted,
            removed: applied.removed,
            difference: if applied.unchanged {
                applied.difference.or_none()
            } else {
                applied.difference
            },
            rejected,
            set_aside,
            superseded: superseded.records,
            differing: superseded.differing,
            unchanged: applied.unchanged,
        })
    }
}

/// What a commit records besides the data.
#[derive(Debug, Clone)]
pub struct Draft {
    /// `JOB_NAME`.
    pub job: String,
    /// The component that staged it.
    pub component: Component,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// Records found in the source's answers, as reported.
    pub fetched: u64,
    /// Answers read, as reported.
    pub pages: u64,
    /// The range of the cursor that was read again, where only one was.
    pub window: Option<Window>,
    /// The cursor, for people.
    pub cursor: Option<String>,
    /// The state for the next run.
    pub state: String,
    /// What the records are made of.
    pub shape: Option<Shape>,
    /// sha256 in hex of each data-shaping setting, by name.
    pub settings: BTreeMap<String, String>,
}

/// What a person makes of the state of the last commit.
#[derive(Debug, Clone)]
pub struct Restated {
    /// The state for the next run.
    pub state: String,
    /// The cursor, for people.
    pub cursor: Option<String>,
    /// Whether the next run fetches everything, whatever the state says.
    pub fetch_everything: bool,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

impl Restated {
    /// The manifest of a generation that has this state and the data of `last`.
    fn manifest(&self, last: LastCommit<'_>) -> Manifest {
        Manifest {
            generation: next_number(Some(last)),
            parent: Some(last.name.to_string()),
            restated: Some(self.at.clone()),
            cursor: self.cursor.clone(),
            state: self.state.clone(),
            fetch_everything: self.fetch_everything,
            ..last.manifest.clone()
        }
    }
}

/// `Err` (64): nothing was committed, so there is no state.
fn nothing_to_restate() -> Failure {
    let message = "nothing was published: the state of a job comes with its first set";
    Failure::new(Outcome::Usage, message)
}

/// What a sink adds to a draft.
#[derive(Debug)]
pub struct ManifestFacts {
    /// Whether the run has a further portion to come.
    pub unfinished: bool,
    /// Of which types the keys are.
    pub key_kinds: KeyKinds,
    /// How a csv file is laid out, if there is one.
    pub csv: Option<CsvLayout>,
    pub extent: Extent,
    /// How many of what.
    pub totals: Totals,
    /// The files of the generation, but for the manifest.
    pub files: BTreeMap<String, FileRecord>,
    /// The table that holds the records, in a database.
    pub table: Option<String>,
    /// The JSON Pointers by which the set is sorted and free of repeats; none when it is not.
    pub sorted_by: Vec<String>,
}

impl Draft {
    /// The manifest of the generation after `last`, made by the run `run_id`; when it is finished is the commit's to say.
    fn manifest(self, last: Option<LastCommit<'_>>, run_id: &str, made: ManifestFacts) -> Manifest {
        // A range that was read again is not everything.
        let fetch_everything =
            self.window.is_some() && last.is_some_and(|last| last.manifest.fetch_everything);
        Manifest {
            format: manifest::FORMAT,
            generation: next_number(last),
            parent: last.map(|last| last.name.to_string()),
            run_id: run_id.to_owned(),
            job: self.job,
            component: self.component,
            started: self.started,
            finished: String::new(),
            restated: None,
            extent: made.extent.word().to_owned(),
            window: self.window,
            unfinished: made.unfinished,
            files: made.files,
            table: made.table,
            sorted_by: made.sorted_by,
            key_kinds: made.key_kinds,
            csv: made.csv,
            shape: self.shape,
            counts: manifest::Counts {
                records: made.totals.records,
                staged: made.totals.staged,
                deleted: made.totals.deleted,
                rejected: made.totals.rejected,
                fetched: self.fetched,
                pages: self.pages,
            },
            cursor: self.cursor,
            state: self.state,
            fetch_everything,
            settings: self.settings,
        }
    }
}

/// The number of the generation after `last`.
fn next_number(last: Option<LastCommit<'_>>) -> u64 {
    last.map_or(1, |last| last.name.number + 1)
}

#[cfg(test)]
pub mod tests;
