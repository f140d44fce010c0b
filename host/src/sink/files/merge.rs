//! Merges sorted changes into the last published set: what is parsed follows the change, the rest is copied in blocks.

use std::cmp::Ordering;

use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::records::changes::check_at;
use crate::records::key::{KeyError, Keys};
use crate::records::parents::Parents;
use crate::records::sort::{Change, Sorted};
use crate::sink::files::against_last::AgainstLast;
use crate::sink::files::published_set::{Block, LastRecords};
use crate::sink::files::write::SetOutput;

/// What became of the records that were there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// They were deleted.
    pub removed: u64,
    /// They are others now, where that is known.
    pub changed: Option<u64>,
}

/// Writes the set that is `last` with `changes` made to it, sorted by key.
///
/// `last` must be sorted by `keys` and framed like `output`. `Err`: 73 when it is not what was published, or 74.
pub fn merge(
    mut last: LastRecords<'_>,
    mut changes: Sorted,
    keys: &Keys,
    output: &mut SetOutput,
    check: Check<'_>,
) -> Result<Merged, Failure> {
    let (mut removed, mut altered) = (0, 0);
    let mut change = Change::default();
    let mut more = changes.next(&mut change)?;
    let mut finder = Finder {
        keys,
        scratch: Vec::new(),
    };
    while let Some(block) = last.next_block()? {
        check()?;
        let mut from = 0;
        while more && from < block.len() {
            let (to, replaced) = finder.place_of(&change.key, block, from)?;
            output.write(block.joined(from, to), (to - from) as u64)?;
            from = to + usize::from(replaced);
            if to == block.len() {
                break;
            }
            if replaced {
                removed += u64::from(change.deleted);
                altered += u64::from(is_another(&change, block.record(to)));
            }
            write_change(output, &change)?;
            more = changes.next(&mut change)?;
        }
        output.write(block.joined(from, block.len()), (block.len() - from) as u64)?;
    }
    while more {
        write_change(output, &change)?;
        more = changes.next(&mut change)?;
    }
    let altered = Some(altered);
    Ok(Merged {
        removed,
        changed: altered,
    })
}

/// The same where parents were replaced: every record of `last` is read for its parent, and may be framed otherwise.
pub fn merge_replacing(
    mut last: LastRecords<'_>,
    mut changes: Sorted,
    keys: &Keys,
    parents: &Parents,
    output: &mut SetOutput,
    check: Check<'_>,
) -> Result<Merged, Failure> {
    let (mut removed, mut altered) = (0, 0);
    let (mut key, mut parent) = (Vec::new(), Vec::new());
    let mut change = Change::default();
    let mut more = changes.next(&mut change)?;
    while let Some(block) = last.next_block()? {
        check()?;
        for index in 0..block.len() {
            let record = block.record(index);
            read_old(keys, record, &mut key, &mut parent)?;
            while more && change.key < key {
                write_change(output, &change)?;
                more = changes.next(&mut change)?;
            }
            if more && change.key == key {
                removed += u64::from(change.deleted);
                altered += u64::from(is_another(&change, record));
                write_change(output, &change)?;
                more = changes.next(&mut change)?;
            } else if parents.take_published(&parent) {
                removed += 1;
            } else {
                output.write(record, 1)?;
            }
        }
    }
    while more {
        write_change(output, &change)?;
        more = changes.next(&mut change)?;
    }
    let altered = Some(altered);
    Ok(Merged {
        removed,
        changed: altered,
    })
}

/// Writes the sorted records alone, counted `against` the last set. Returns how many published ones among them were deleted.
pub fn write_all(
    mut changes: Sorted,
    output: &mut SetOutput,
    against: &mut AgainstLast<'_>,
    check: Check<'_>,
) -> Result<u64, Failure> {
    let mut removed = 0;
    let mut change = Change::default();
    while changes.next(&mut change)? {
        removed += u64::from(change.published && change.deleted);
        if !change.deleted {
            against.take(&change.key, &change.record);
        }
        write_change(output, &change)?;
        check_at(check, output.records(), change.record.len())?;
    }
    Ok(removed)
}

fn is_another(change: &Change, old: &[u8]) -> bool {
    !change.deleted && change.record != old
}

fn write_change(output: &mut SetOutput, change: &Change) -> Result<(), Failure> {
    if change.deleted {
        return Ok(());
    }
    output.write(&change.record, 1)
}

struct Finder<'k> {
    keys: &'k Keys,
    scratch: Vec<u8>,
}

impl Finder<'_> {
    /// Where `key` belongs among the records of `block` from `from` on, and whether its old record stands there.
    ///
    /// Looks at the last record first, as most blocks lie before the change; then in growing steps, so that many changes
    /// in one block cost no more than reading it.
    fn place_of(
        &mut self,
        key: &[u8],
        block: Block<'_>,
        from: usize,
    ) -> Result<(usize, bool), Failure> {
        let last = block.len() - 1;
        match self.compare(block, last, key)? {
            Ordering::Less => return Ok((block.len(), false)),
            Ordering::Equal => return Ok((last, true)),
            Ordering::Greater => {}
        }
        // Everything before `low` is smaller than the key, everything from `high` on greater.
        let (mut low, mut high) = (from, last);
        let mut step = 1;
        while low < high {
            let at = (low + step - 1).min(low + (high - low) / 2);
            match self.compare(block, at, key)? {
                Ordering::Equal => return Ok((at, true)),
                Ordering::Less => {
                    low = at + 1;
                    step *= 2;
                }
                Ordering::Greater => {
                    high = at;
                    step = 1;
                }
            }
        }
        Ok((low, false))
    }

    fn compare(&mut self, block: Block<'_>, at: usize, key: &[u8]) -> Result<Ordering, Failure> {
        read_old_key(self.keys, block.record(at), &mut self.scratch)?;
        Ok(self.scratch.as_slice().cmp(key))
    }
}

/// Reads the key of a published record.
pub fn read_old_key<'r>(
    keys: &Keys,
    record: &'r [u8],
    key: &mut Vec<u8>,
) -> Result<&'r str, Failure> {
    old(record, |text| keys.read(text, key))
}

/// Reads the key and the parent of a published record.
pub fn read_old<'r>(
    keys: &Keys,
    record: &'r [u8],
    key: &mut Vec<u8>,
    parent: &mut Vec<u8>,
) -> Result<&'r str, Failure> {
    old(record, |text| keys.read_both(text, key, parent))
}

fn old(record: &[u8], read: impl FnOnce(&str) -> Result<(), KeyError>) -> Result<&str, Failure> {
    let text = std::str::from_utf8(record).map_err(|error| error.to_string());
    let read = text.and_then(|text| {
        read(text).map_err(|error| error.to_string())?;
        Ok(text)
    });
    read.map_err(|error| {
        let message = format!("cannot merge with the last generation: a record of it {error}; run with `--full-refresh` to fetch everything again");
        Failure::new(Outcome::OutputUnusable, message)
    })
}
