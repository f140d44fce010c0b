//! Sinks: where staged records become the published set.
//!
//! A sink begins from its last commit, takes what was staged in order, and then commits data and state as one or changes
//! nothing. [`files`] is the first; a database takes the same steps inside one transaction.

use std::collections::BTreeMap;

use crate::manifest::Component;
use crate::outcome::Failure;
use crate::plan::{OutputFormat, WriteMode};
use crate::publish::Commit;
use crate::staged::{Rejection, Staged};

pub mod files;

mod changes;
mod key;
mod last;
mod merge;
mod output;
mod parents;
mod sort;

#[cfg(test)]
pub mod world;

pub use files::Files;

/// Asked now and then while a sink works: `Err` ends the run (its deadline, a signal). Not asked after the commit.
pub type Check<'r> = &'r dyn Fn() -> Result<(), Failure>;

/// Takes what was staged.
pub trait Sink {
    /// What was taken, checked and counted, and can be committed.
    type Taken: Taken;

    /// Takes what was staged on top of the last commit. `Err`: nothing has changed for readers.
    fn take(self, staged: &Staged, extent: Extent) -> Result<Self::Taken, Failure>;
}

/// What a sink took, ready for the gates and then to be committed; dropped, it changes nothing.
pub trait Taken {
    /// How many records there would be, and were staged.
    fn totals(&self) -> Totals;

    /// The first record that was set aside, if one was.
    fn first_rejected(&self) -> Option<&Rejection>;

    /// Takes a gate's refusal: nothing is committed. What was set aside is kept for a person, and the text says where.
    fn refused(self, refusal: Failure) -> Failure;

    /// Makes data and state what readers and the next run see, as one. `Err`: nothing has changed, unless it says
    /// `committed: unknown`.
    fn commit(self, draft: Draft) -> Result<Commit, Failure>;
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

/// How the published set is made.
#[derive(Debug, Clone)]
pub struct Target {
    /// `OUTPUT_FORMAT`.
    pub format: OutputFormat,
    /// `WRITE_MODE`.
    pub mode: WriteMode,
    /// `PRIMARY_KEY`: JSON Pointers.
    pub keys: Vec<String>,
    /// `REPLACE_BY`: the JSON Pointer to a record's parent.
    pub replace_by: Option<String>,
    /// `OUTPUT_MODE`; umask stands without it.
    pub file_mode: Option<u32>,
    /// `--adopt`: an earlier script's files are kept elsewhere when the new set is published.
    pub adopt: bool,
}

/// How many of what, counted by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Records in the set to be published.
    pub records: u64,
    /// Records staged.
    pub staged: u64,
    /// Deletions staged.
    pub deleted: u64,
    /// Records of the last published set that they take away.
    pub removed: u64,
    /// Records set aside.
    pub rejected: u64,
    /// Whether the set is, byte for byte, the one published last.
    pub unchanged: bool,
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
    /// The cursor, for people.
    pub cursor: Option<String>,
    /// The state for the next run.
    pub state: String,
    /// sha256 in hex of each data-shaping setting, by name.
    pub settings: BTreeMap<String, String>,
}
