//! The past of a table (OUTPUT_HISTORY): in a table beside it the rows that were replaced or deleted, with the generations in which
//! they were valid, and in `tidegate_history` the manifest of each generation that can be gone back to.
//!
//! A row of the table is valid since its `_generation`. One of the history was valid from `_from_generation` on and before
//! `_to_generation`. Both are written in the transaction of the change, so they are never of two minds.

use jiff::Timestamp;

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};

pub use crate::settings::host::history_of as table_of;

use super::state::{StateRow, written};

/// Begins and ends of rows, by time and by generation.
pub const VALID_FROM: &str = "_valid_from";
pub const VALID_TO: &str = "_valid_to";
pub const FROM_GENERATION: &str = "_from_generation";
pub const TO_GENERATION: &str = "_to_generation";
/// In the order in which they are written.
pub const CONTROLS: [&str; 4] = [VALID_FROM, FROM_GENERATION, VALID_TO, TO_GENERATION];

/// The generations of a job that can be gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub oldest: u64,
    pub newest: u64,
    /// The last one that changed a row: all from it on are the same set.
    pub last_change: u64,
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Rows that were replaced or deleted before this go.
    pub cutoff: Timestamp,
    /// The oldest generation that is kept, whatever its age.
    pub oldest: u64,
}

impl Span {
    /// What is kept at the commit of `generation`, made at this time.
    pub fn at(committed_at: &str, generation: u64, limits: &Limits) -> Self {
        let now: Timestamp = committed_at.parse().unwrap_or_default();
        let cutoff = now.saturating_sub(limits.history_kept).unwrap_or_default();
        Self {
            cutoff,
            oldest: generation.saturating_sub(limits.history_generations - 1),
        }
    }

    /// The time, as rows have it.
    pub fn written(self) -> String {
        written(self.cutoff)
    }
}

/// A job that is held: no run changes its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// RFC 3339 in UTC.
    pub since: String,
    /// The number of the generation that stays.
    pub generation: u64,
}

/// What is restored: the rows that were valid in a generation.
#[derive(Debug, Clone, Copy)]
pub struct Back<'b> {
    /// The generation whose rows they are.
    pub to: u64,
    /// The generation that is made of them.
    pub generation: u64,
    /// When it is committed.
    pub committed_at: &'b str,
}

/// 73: the table of the history cannot be used.
pub fn unusable(place: impl std::fmt::Display, table: &str, why: &str, rename: &str) -> Failure {
    Failure::new(
        Outcome::OutputUnusable,
        format!(
            "cannot keep the history in {table} in {place}: {why}; move it away by `{rename}`, and the next run creates it, or set OUTPUT_HISTORY=no"
        ),
    )
}

/// The warning of a history that begins anew, and why.
pub const BEGINS_ANEW: &str = "the history of the table begins anew";

/// Why the history begins anew: whether its table was only now made, and whether the job's last set is in this table; then as `gap`.
pub fn begins_anew(
    (is_made, owned): (bool, bool),
    newest: Option<u64>,
    last: &StateRow,
    (rows, records): (u64, u64),
) -> Option<String> {
    if is_made && newest.is_some() {
        Some("its table is gone".to_owned())
    } else if !owned {
        Some("the last set went into another table".to_owned())
    } else {
        gap(newest, last, rows, records)
    }
}

/// Why a history that has `newest` as its last generation does not go on from `last`; none where it does.
fn gap(newest: Option<u64>, last: &StateRow, rows: u64, records: u64) -> Option<String> {
    if rows != records {
        return Some(format!(
            "the table has {rows} rows, and {records} were committed: somebody else wrote to it"
        ));
    }
    match newest {
        Some(newest) if newest != last.generation => Some(format!(
            "it ends with generation {newest}, and the last commit is {}: runs between them did not keep it",
            last.generation
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(generation: u64) -> StateRow {
        StateRow {
            job: "orders".into(),
            generation,
            parent: None,
            state: String::new(),
            manifest: String::new(),
            committed_at: String::new(),
        }
    }

    #[test]
    fn a_history_goes_on_from_its_own_last_generation_and_an_untouched_table() {
        assert_eq!(gap(None, &last(7), 3, 3), None);
        assert_eq!(gap(Some(7), &last(7), 3, 3), None);
        assert!(
            gap(Some(5), &last(7), 3, 3)
                .unwrap()
                .contains("generation 5")
        );
        assert!(gap(Some(7), &last(7), 2, 3).unwrap().contains("2 rows"));
    }

    #[test]
    fn what_is_kept_is_bounded_by_time_and_number() {
        let limits = Limits::default();
        let span = Span::at("2026-11-28T00:00:00.000Z", 20_000, &limits);

        assert_eq!(span.written(), "2026-08-30T00:00:00.000Z");
        assert_eq!(span.oldest, 10_001);
        assert_eq!(Span::at("2026-11-28T00:00:00.000Z", 3, &limits).oldest, 0);
    }
}
