//! How runs ended, in `tidegate_runs`: a row a run, written in a short transaction of its own beside that of the data.
//!
//! Best effort, and never an input to a run: for `health` and people. A run that cannot write its row ends as it ends.

use crate::outcome::Failure;

use super::Connection;

/// A run, under way or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Which run.
    pub run_id: String,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// How it ended; none while it is under way.
    pub ended: Option<Ending>,
    /// Everything that is known of it, as one JSON object.
    pub summary: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When, RFC 3339 in UTC.
    pub finished: String,
    pub exit_code: u8,
    /// [`Outcome::word`](crate::outcome::Outcome::word).
    pub outcome: String,
    /// Why it failed.
    pub message: Option<String>,
    /// The generation that readers saw afterwards.
    pub generation: Option<String>,
}

/// The outcomes of what a person does by hand: it is listed with the runs, and says nothing of how the last run ended.
pub const BY_HAND: [&str; 6] = [
    "rolled_back",
    "pinned",
    "unpinned",
    "cursor_set",
    "cursor_cleared",
    "state_imported",
];

/// As SQL has it: the row is that of a run.
pub fn is_a_run() -> String {
    let words = BY_HAND.map(|word| format!("'{word}'")).join(", ");
    format!("coalesce(outcome, '') NOT IN ({words})")
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is there.
    Yes,
    /// Runs are not recorded here.
    Elsewhere,
    /// It was a trial, which says nothing of the job: there is no row of it.
    Trial,
}

/// Whether a run is a trial, by the summary of the run before it.
pub type IsTrial<'t> = &'t dyn Fn(&str) -> bool;

/// What is recorded of a job's runs, for somebody who only looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenRuns {
    /// The summary of the last run that has ended.
    pub ended: Option<String>,
    /// A later one whose end is not recorded.
    pub unended: Option<Unended>,
    /// Why they could not be read.
    pub unread: Option<String>,
}

/// A run whose end is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unended {
    /// What it wrote when it began.
    pub summary: String,
    /// Whether the run lock is held.
    pub is_under_way: bool,
}

/// Writes how a run is going or ended, unless it is a trial. `Err`: there is no such row; where it may pass, the connection is
/// at fault, and another one may do.
pub fn record(
    connection: &mut impl Connection,
    run: &RunRow,
    is_trial: IsTrial<'_>,
) -> Result<Recorded, Failure> {
    // Only a failed run can be a trial.
    let has_failed = (run.ended.as_ref()).is_some_and(|ended| ended.exit_code != 0);
    if has_failed
        && connection
            .recorded()?
            .is_some_and(|before| is_trial(&before))
    {
        connection.forget(&run.run_id)?;
        return Ok(Recorded::Trial);
    }
    connection.record(run)
}
