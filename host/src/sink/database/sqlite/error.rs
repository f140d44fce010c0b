//! SQLite's errors as failures: which exit code, in which words.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Error, ffi};

use crate::outcome::{Failure, Outcome};

/// Which database, for messages.
#[derive(Debug, Clone)]
pub struct DatabaseFile {
    pub path: PathBuf,
}

impl DatabaseFile {
    /// The database in this file.
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Gives an error its outcome and says what was being done.
    pub fn done<T, D: Display>(
        &self,
        result: rusqlite::Result<T>,
        doing: impl FnOnce() -> D,
    ) -> Result<T, Failure> {
        result.map_err(|error| self.failed(&error, doing()))
    }

    /// The failure that an error is.
    pub fn failed(&self, error: &Error, doing: impl Display) -> Failure {
        let (outcome, hint) = match code(error) {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => (Outcome::TryLater, ""),
            ffi::SQLITE_FULL => (Outcome::IoFailed, "; free space and run again"),
            ffi::SQLITE_IOERR | ffi::SQLITE_NOMEM => (Outcome::IoFailed, ""),
            ffi::SQLITE_TOOBIG => (Outcome::GateRefused, "; drop such records"),
            ffi::SQLITE_NOTADB => (
                Outcome::OutputUnusable,
                "; move it away, or name another file in OUTPUT_DATABASE_URL",
            ),
            ffi::SQLITE_CORRUPT => (
                Outcome::OutputUnusable,
                "; restore it from a backup, or move it away and run with `--full-refresh`",
            ),
            ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM => (
                Outcome::OutputUnusable,
                "; this user must be able to write to the file and its folder",
            ),
            _ => (Outcome::OutputUnusable, ""),
        };
        // SQLite's own words: `Error`'s add numbers to them.
        let words = match error {
            Error::SqliteFailure(_, Some(words)) => words.clone(),
            Error::SqliteFailure(code, None) => {
                let text = code.to_string();
                let text = text
                    .split_once(": ")
                    .map_or(text.as_str(), |(_, words)| words);
                text.to_owned()
            }
            other => other.to_string(),
        };
        let message = format!("{doing} in {self}: {words}{hint}");
        Failure::new(outcome, message)
    }

    /// 73: the database is not as it must be.
    pub fn unusable(&self, what: impl Display) -> Failure {
        Failure::new(
            Outcome::OutputUnusable,
            format!("cannot use {self}: {what}"),
        )
    }

    /// 75: another writer holds it.
    pub fn busy(&self, doing: impl Display, waited: Duration) -> Failure {
        Failure::new(
            Outcome::TryLater,
            format!(
                "{doing} in {self}: another program holds the write lock (waited {} s); SQLite does not report which: `fuser -v {}` lists who has the file open",
                waited.as_secs(),
                self.path.display()
            ),
        )
    }
}

impl Display for DatabaseFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`sqlite://{}`", self.path.display())
    }
}

/// Whether it is only that somebody else is writing.
pub fn is_busy(error: &Error) -> bool {
    matches!(code(error), ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED)
}

/// The primary code; 0 of an error that is not SQLite's.
pub fn code(error: &Error) -> i32 {
    match error {
        Error::SqliteFailure(error, _) => error.extended_code & 0xff,
        _ => 0,
    }
}

/// A count as SQLite has it; there are never so many that it would not fit.
pub fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
