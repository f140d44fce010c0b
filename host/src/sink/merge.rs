//! Merges sorted changes into the last published set: what is parsed follows the change, the rest is copied in blocks.

use std::cmp::Ordering;

use crate::outcome::{Failure, Outcome};
use crate::sink::Check;
use crate::sink::changes::CHECK_LINES;
use crate::sink::key::Keys;
use crate::sink::last::{Block, LastRecords};
use crate::sink::output::Output;
use crate::sink::sort::{Change, Sorted};

/// Writes the set that is `last` with `changes` made to it, sorted by key.
///
/// `last` must be sorted by `keys` and framed like `output`. `Err`: 73 when it is not what was published, or 74.
pub fn merge(
    mut last: LastRecords<'_>,
    mut changes: Sorted,
    keys: &Keys,
    output: &mut Output,
    check: Check<'_>,
) -> Result<(), Failure> {
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
            write_change(output, &change)?;
            more = changes.next(&mut change)?;
        }
        output.write(block.joined(from, block.len()), (block.len() - from) as u64)?;
    }
    while more {
        write_change(output, &change)?;
        more = changes.next(&mut change)?;
    }
    Ok(())
}

/// Writes the sorted records alone: the set begins from nothing.
pub fn write_all(
    mut changes: Sorted,
    output: &mut Output,
    check: Check<'_>,
) -> Result<(), Failure> {
    let mut change = Change::default();
    while changes.next(&mut change)? {
        write_change(output, &change)?;
        if output.records().is_multiple_of(CHECK_LINES) {
            check()?;
        }
    }
    Ok(())
}

fn write_change(output: &mut Output, change: &Change) -> Result<(), Failure> {
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
    let text = std::str::from_utf8(record).map_err(|error| error.to_string());
    let read = text.and_then(|text| {
        keys.read(text, key).map_err(|error| error.to_string())?;
        Ok(text)
    });
    read.map_err(|error| {
        let message = format!("merge with the last generation: a record of it {error}; run with `--full-refresh` to fetch everything anew");
        Failure::new(Outcome::OutputUnusable, message)
    })
}
