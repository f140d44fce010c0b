//! Reads what was staged: each record checked and given its key, each deletion put between the records where it belongs.

use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::records::key::{KeyError, Keys};
use crate::records::parents::Parents;
use crate::staging::lines::LinesError;
use crate::staging::read::{DELETED, RECORDS, Staged, object};

mod deletions;

pub use deletions::{Deletions, Gone};

/// Lines between two looks at the deadline.
const CHECK_LINES: u64 = 4096;
/// After a longer line there is one too.
const LONG_LINE_BYTES: usize = 64 * 1024;

/// How many lines were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Read {
    /// Of `records.ndjson`.
    pub staged: u64,
    /// Of `deleted.ndjson`.
    pub deleted: u64,
}

/// Asks `check` every so many lines, and after each long one.
pub fn check_at(check: Check<'_>, lines: u64, line_bytes: usize) -> Result<(), Failure> {
    if lines.is_multiple_of(CHECK_LINES) || line_bytes >= LONG_LINE_BYTES {
        check()?;
    }
    Ok(())
}

/// One thing that was staged.
pub enum Change<'l> {
    /// A record: its key and its text.
    Record(&'l [u8], &'l [u8]),
    /// A deletion of a key; also in the place of a record whose parent was replaced after it.
    Deletion(&'l [u8]),
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    On,
    /// No: the rest is not wanted.
    Stop,
}

/// Reads all of it in the order in which it was staged. `None` when `take` stopped it. Lines that name a parent are counted
/// here; what they did is in `parents`.
///
/// `Err`: 70 when a line is not what the contract says, 65 when a record has no usable key, or what `take` or `check` said.
pub fn read(
    staged: &Staged,
    keys: &Keys,
    parents: &Parents,
    check: Check<'_>,
    mut take: impl FnMut(Change<'_>) -> Result<Flow, Failure>,
) -> Result<Option<Read>, Failure> {
    let mut deletions = Deletions::new(staged, keys)?;
    let mut records = staged.records();
    let (mut key, mut parent) = (Vec::new(), Vec::new());
    let mut read = Read::default();
    loop {
        // A deletion comes after the first `at` records, so before the next one.
        while deletions.at.is_some_and(|at| at <= read.staged) {
            read.deleted += 1;
            check_at(check, read.deleted, deletions.value.len())?;
            if deletions.gone == Gone::Key
                && take(Change::Deletion(&deletions.value))? == Flow::Stop
            {
                return Ok(None);
            }
            deletions.advance()?;
        }
        let number = records.number() + 1;
        let Some(line) = records
            .next_line()
            .map_err(|error| line_failure(RECORDS, error))?
        else {
            break;
        };
        check_at(check, read.staged, line.len())?;
        let text = object(RECORDS, number, line)?;
        keys.read_both(text, &mut key, &mut parent)
            .map_err(|error| key_failure(RECORDS, number, &error))?;
        let change = if parents.take_staged(&parent, read.staged) {
            Change::Deletion(&key)
        } else {
            Change::Record(&key, line)
        };
        read.staged += 1;
        if take(change)? == Flow::Stop {
            return Ok(None);
        }
    }
    match deletions.at {
        None => Ok(Some(read)),
        Some(at) => Err(Failure::broken(format!(
            "line {} of `{DELETED}` says `\"at\":{at}`, and {} records were staged",
            deletions.number(),
            read.staged
        ))),
    }
}

/// A file of the component that cannot be read to its end.
pub fn line_failure(name: &str, error: LinesError) -> Failure {
    match error {
        LinesError::Io(error) => Failure::new(
            Outcome::IoFailed,
            format!("cannot read the staged `{name}`: {error}"),
        ),
        LinesError::TooLong { .. } | LinesError::CutOff => {
            Failure::broken(format!("`{name}`: {error}"))
        }
    }
}

/// A line without a usable key: the component's fault when it is not JSON, the data's otherwise.
fn key_failure(name: &str, number: u64, error: &KeyError) -> Failure {
    let place = match error {
        KeyError::NotJson(_) => {
            return Failure::broken(format!("line {number} of `{name}` {error}"));
        }
        KeyError::Missing(place) | KeyError::Twice(place) | KeyError::NoKey { place, .. } => place,
    };
    Failure::new(
        Outcome::GateRefused,
        format!(
            "line {number} of what was staged (`{name}`) {error}; set {} to what every record has, or drop such records",
            place.setting
        ),
    )
}
