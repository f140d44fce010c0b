//! Reads what was staged: each record checked and given its key, each deletion put between the records where it belongs.

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::deletions::{Deletions, Gone};
use crate::records::key::{KeyKinds, Keys};
use crate::records::line::key_failure;
use crate::records::parents::Parents;
use crate::records::sort::{Sorted, Sorter};
use crate::staging::lines::Lines;
use crate::staging::read::{DELETED, RECORDS, Staged, object};

pub use crate::records::line::{check_at, line_failure};

/// How many lines were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Read {
    /// Of `records.ndjson`.
    pub staged: u64,
    /// Of `deleted.ndjson`.
    pub deleted: u64,
    /// Of which types the keys are, deleted ones included.
    pub kinds: KeyKinds,
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

/// What was staged, to be read once, in the order in which it was staged.
pub struct Reading<'s> {
    keys: &'s Keys,
    records: Lines<'s>,
    deletions: Deletions<'s>,
    /// Whose records are gone, and where.
    parents: Option<&'s Parents>,
}

impl<'s> Reading<'s> {
    /// All of it. `Err`: the first deletion is not what the contract says (70), or has no usable key (65).
    pub fn of(staged: &'s Staged, keys: &'s Keys, parents: &'s Parents) -> Result<Self, Failure> {
        Ok(Self {
            keys,
            records: staged.records(),
            deletions: Deletions::new(staged, keys)?,
            parents: Some(parents),
        })
    }

    /// Records, and no deletion.
    pub fn of_records(records: Lines<'s>, keys: &'s Keys) -> Self {
        Self {
            keys,
            records,
            deletions: Deletions::none(keys),
            parents: None,
        }
    }

    /// Reads it to its end. `None` when `take` stopped it. Lines that name a parent are counted here; what they did is in
    /// `parents`.
    ///
    /// `Err`: 70 when a line is not what the contract says, 65 when a record has no usable key, or what `take` or `check` said.
    pub fn each(
        self,
        check: Check<'_>,
        mut take: impl FnMut(Change<'_>) -> Result<Flow, Failure>,
    ) -> Result<Option<Read>, Failure> {
        let Self {
            keys,
            mut records,
            mut deletions,
            parents,
        } = self;
        let (mut key, mut parent) = (Vec::new(), Vec::new());
        let mut read = Read::default();
        let place = keys.replaced_parent();
        loop {
            // A deletion comes after the first `at` records, so before the next one.
            while deletions.at.is_some_and(|at| at <= read.staged) {
                read.deleted += 1;
                check_at(check, read.deleted, deletions.value.len())?;
                if deletions.gone == Gone::Key {
                    read.kinds.see(&deletions.value);
                }
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
            read.kinds.see(&key);
            if let (Some(parents), Some(place)) = (parents, &place) {
                parents.hold(&parent, place, number)?;
            }
            let change = if parents.is_some_and(|gone| gone.take_staged(&parent, read.staged)) {
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
}

impl Reading<'_> {
    /// The last version of each key, sorted in `folder`. `Err` is that of [`Reading::each`].
    pub fn sorted(
        self,
        folder: &Folder,
        limits: &Limits,
        check: Check<'_>,
    ) -> Result<(Sorted, Read), Failure> {
        let mut sorter = Sorter::new(folder, limits);
        let read = self.sort_into(&mut sorter, check)?;
        Ok((sorter.finish()?, read))
    }

    /// Reads it to its end into `sorter`. `Err` is that of [`Reading::each`].
    pub fn sort_into(self, sorter: &mut Sorter, check: Check<'_>) -> Result<Read, Failure> {
        let read = self.each(check, |change| {
            match change {
                Change::Record(key, record) => sorter.push(key, Some(record))?,
                Change::Deletion(key) => sorter.push(key, None)?,
            }
            Ok(Flow::On)
        })?;
        Ok(read.unwrap_or_default())
    }
}

/// Reads all of it: [`Reading::each`].
pub fn read(
    staged: &Staged,
    keys: &Keys,
    parents: &Parents,
    check: Check<'_>,
    take: impl FnMut(Change<'_>) -> Result<Flow, Failure>,
) -> Result<Option<Read>, Failure> {
    Reading::of(staged, keys, parents)?.each(check, take)
}
