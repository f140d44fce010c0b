//! Reads what was staged: each record checked and given its key, each deletion put between the records where it belongs.

use crate::outcome::{Failure, Outcome};
use crate::sink::Check;
use crate::sink::key::{KeyError, Keys};
use crate::staged::{DELETED, Deletion, Lines, LinesError, RECORDS, Staged, broken, object};

/// Lines between two looks at the deadline.
pub const CHECK_LINES: u64 = 4096;

/// How many lines were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Read {
    /// Of `records.ndjson`.
    pub staged: u64,
    /// Of `deleted.ndjson`.
    pub deleted: u64,
}

/// One thing that was staged.
pub enum Staging<'l> {
    /// A record: its key and its text.
    Record(&'l [u8], &'l [u8]),
    /// A deletion of a key.
    Deletion(&'l [u8]),
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    On,
    /// No: the rest is not wanted.
    Stop,
}

/// Reads all of it in the order in which it was staged. `None` when `take` stopped it.
///
/// `Err`: 70 when a line is not what the contract says, 65 when a record has no usable key, or what `take` or `check` said.
pub fn read(
    staged: &Staged,
    keys: &Keys,
    check: Check<'_>,
    mut take: impl FnMut(Staging<'_>) -> Result<Flow, Failure>,
) -> Result<Option<Read>, Failure> {
    let mut deletions = Deletions {
        lines: staged.deleted(),
        keys,
        at: None,
        key: Vec::new(),
    };
    let mut records = staged.records();
    let mut key = Vec::new();
    let mut read = Read::default();
    deletions.advance()?;
    loop {
        // A deletion stands after the first `at` records, so before the next one.
        while deletions.at.is_some_and(|at| at <= read.staged) {
            read.deleted += 1;
            if read.deleted.is_multiple_of(CHECK_LINES) {
                check()?;
            }
            if take(Staging::Deletion(&deletions.key))? == Flow::Stop {
                return Ok(None);
            }
            deletions.advance()?;
        }
        if read.staged.is_multiple_of(CHECK_LINES) {
            check()?;
        }
        let number = records.number() + 1;
        let Some(line) = records
            .next_line()
            .map_err(|error| line_failure(RECORDS, error))?
        else {
            break;
        };
        let text = object(RECORDS, number, line)?;
        keys.read(text, &mut key)
            .map_err(|error| key_failure(RECORDS, number, &error))?;
        read.staged += 1;
        if take(Staging::Record(&key, line))? == Flow::Stop {
            return Ok(None);
        }
    }
    match deletions.at {
        None => Ok(Some(read)),
        Some(at) => Err(broken(format!(
            "line {} of `{DELETED}` says `\"at\":{at}`, and {} records were staged",
            deletions.lines.number(),
            read.staged
        ))),
    }
}

/// The deletions, one ahead.
struct Deletions<'s> {
    lines: Lines<'s>,
    keys: &'s Keys,
    /// Where the one at hand stands; none after the last.
    at: Option<u64>,
    key: Vec<u8>,
}

impl Deletions<'_> {
    fn advance(&mut self) -> Result<(), Failure> {
        let number = self.lines.number() + 1;
        let line = self
            .lines
            .next_line()
            .map_err(|error| line_failure(DELETED, error))?;
        let Some(line) = line else {
            self.at = None;
            return Ok(());
        };
        let wrong = |what: String| broken(format!("line {number} of `{DELETED}` {what}"));
        let text = object(DELETED, number, line)?;
        let deletion: Deletion<'_> = serde_json::from_str(text)
            .map_err(|error| wrong(format!("is no deletion: {error}")))?;
        if deletion.key.len() != self.keys.pointers().len() {
            let (has, wants) = (deletion.key.len(), self.keys.pointers().len());
            return Err(wrong(format!(
                "has a key of {has} values, and PRIMARY_KEY has {wants}"
            )));
        }
        if self.at.is_some_and(|before| deletion.at < before) {
            return Err(wrong("stands before the one above it".to_owned()));
        }
        self.keys
            .of_parts(&deletion.key, &mut self.key)
            .map_err(|error| key_failure(DELETED, number, &error))?;
        self.at = Some(deletion.at);
        Ok(())
    }
}

/// A file of the component that cannot be read to its end.
pub fn line_failure(name: &str, error: LinesError) -> Failure {
    match error {
        LinesError::Io(error) => Failure::new(
            Outcome::IoFailed,
            format!("read the staged `{name}`: {error}"),
        ),
        LinesError::TooLong { .. } | LinesError::CutOff => broken(format!("`{name}`: {error}")),
    }
}

/// A line without a usable key: the component's fault when it is not JSON, the data's otherwise.
fn key_failure(name: &str, number: u64, error: &KeyError) -> Failure {
    match error {
        KeyError::NotJson(_) => broken(format!("line {number} of `{name}` {error}")),
        _ => Failure::new(
            Outcome::GateRefused,
            format!(
                "line {number} of what was staged (`{name}`) {error}; set PRIMARY_KEY to what every record has, or drop such records"
            ),
        ),
    }
}
