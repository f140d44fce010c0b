//! What goes into a table, row by row.

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::changes::{self, Flow, Reading, line_failure};
use crate::records::key::Keys;
use crate::records::parents::Parents;
use crate::records::sort::{Change, Sorted};
use crate::sink::dedup::Compared;
use crate::staging::lines::Lines;
use crate::staging::read::{RECORDS, Staged};

/// Rows in their order.
pub enum Rows<'s> {
    /// By key: the last version of each.
    Keyed(Sorted),
    /// Without keys: the records as they were staged.
    AsStaged(Lines<'s>),
    /// To be added to what is there: the records as they were staged, but for repeats.
    New {
        records: Lines<'s>,
        compared: Compared,
    },
}

impl<'s> Rows<'s> {
    /// The rows of what was staged, and how many lines were read for them. All of it is checked before the first row is
    /// given out. `Err` is that of [`changes::read`].
    pub fn of(
        staged: &'s Staged,
        keys: &Keys,
        parents: &Parents,
        folder: &Folder,
        limits: &Limits,
        check: Check<'_>,
    ) -> Result<(Self, changes::Read), Failure> {
        if keys.is_empty() {
            // Without keys a deletion names nothing: what is deleted was not staged in the first place.
            let read = changes::read(staged, keys, parents, check, |_| Ok(Flow::On))?;
            return Ok((Self::AsStaged(staged.records()), read.unwrap_or_default()));
        }
        let reading = Reading::of(staged, keys, parents)?;
        let (sorted, read) = reading.sorted(folder, limits, check)?;
        Ok((Self::Keyed(sorted), read))
    }

    /// Writes the next row into `change`; `false` after the last.
    pub fn next(&mut self, change: &mut Change) -> Result<bool, Failure> {
        match self {
            Self::Keyed(sorted) => sorted.next(change),
            Self::AsStaged(records) => next_record(records, change),
            Self::New { records, compared } => {
                while next_record(records, change)? {
                    if !compared.next_is_repeat()? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

fn next_record(records: &mut Lines<'_>, change: &mut Change) -> Result<bool, Failure> {
    let line = records.next_line();
    let Some(line) = line.map_err(|error| line_failure(RECORDS, error))? else {
        return Ok(false);
    };
    change.deleted = false;
    change.record.clear();
    change.record.extend_from_slice(line);
    Ok(true)
}
