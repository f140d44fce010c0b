//! One line of what was staged: how often the deadline is looked at, and what a line is that cannot be used.

use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::records::key::KeyError;
use crate::staging::lines::LinesError;

/// Lines between two looks at the deadline.
const CHECK_LINES: u64 = 4096;
/// After a longer line there is one too.
const LONG_LINE_BYTES: usize = 64 * 1024;

/// Asks `check` every so many lines, and after each long one.
pub fn check_at(check: Check<'_>, lines: u64, line_bytes: usize) -> Result<(), Failure> {
    if lines.is_multiple_of(CHECK_LINES) || line_bytes >= LONG_LINE_BYTES {
        check()?;
    }
    Ok(())
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
pub fn key_failure(name: &str, number: u64, error: &KeyError) -> Failure {
    let place = match error {
        KeyError::NotJson(_) => {
            return Failure::broken(format!("line {number} of `{name}` {error}"));
        }
        KeyError::Missing(place) | KeyError::Twice(place) | KeyError::NoKey { place, .. } => place,
    };
    Failure::new(
        Outcome::GateRefused,
        format!(
            "record {number} of this run (line {number} of `{name}`) {error}; set {} to what every record has, or drop such records",
            place.setting
        ),
    )
}
