//! Counts what a whole new set makes of the last one, while it is written: both are read in the order of their keys.
//!
//! Only for the counts: a last set that cannot be read makes them unknown, and is no reason for a run to fail.

use std::cmp::Ordering;
use std::fs::File;
use std::io::Seek as _;

use crate::limits::Limits;
use crate::outcome::Failure;
use crate::records::key::Keys;
use crate::sink::Difference;
use crate::sink::files::generation::Generation;
use crate::sink::files::merge::read_old_key;
use crate::sink::files::published_set::LastRecords;

/// A file of the last set that is sorted by key.
pub struct LastByKey<'g> {
    pub generation: &'g Generation,
    pub name: &'static str,
    pub file: File,
}

/// What a new set is counted against.
pub enum AgainstLast<'l> {
    /// The records of the last set, by key.
    Records(Box<ByKey<'l>>),
    /// So many records; none: nothing is known of them.
    Size(Option<u64>),
}

impl<'l> AgainstLast<'l> {
    /// Counts by key.
    pub fn by_key(last: &'l LastByKey<'_>, keys: &'l Keys, limits: &Limits) -> Self {
        let LastByKey {
            generation,
            name,
            file,
        } = last;
        // It may have been read before: what was staged was in no order then.
        let rewound = (&mut &*file).rewind().ok();
        let records =
            rewound.and_then(|()| LastRecords::to_count(generation, name, file, limits).ok());
        match records {
            Some(records) => Self::Records(Box::new(ByKey {
                records,
                keys,
                block: Vec::new(),
                spans: Vec::new(),
                at: 0,
                key: Vec::new(),
                new: 0,
                changed: 0,
                gone: 0,
                is_over: false,
            })),
            None => Self::Size(None),
        }
    }

    /// Knows no more than how many there were.
    pub const fn by_size(records: Option<u64>) -> Self {
        Self::Size(records)
    }

    /// Takes the next record of the new set, in the order of the keys.
    pub fn take(&mut self, key: &[u8], record: &[u8]) {
        if let Self::Records(last) = self
            && last.take(key, record).is_err()
        {
            *self = Self::Size(None);
        }
    }

    /// What a new set of `records`, all of which were taken, makes of the last one.
    pub fn difference(self, records: u64) -> Difference {
        match self {
            Self::Size(None) => Difference::default(),
            Self::Size(Some(before)) => Difference::of_sizes(before, records),
            Self::Records(last) => last.difference().unwrap_or_default(),
        }
    }
}

/// The records of the last set, and how far they were read.
pub struct ByKey<'l> {
    records: LastRecords<'l>,
    keys: &'l Keys,
    block: Vec<u8>,
    /// Where the records are in it.
    spans: Vec<(usize, usize)>,
    /// The next one among them.
    at: usize,
    /// Its key, or nothing where that was not read yet.
    key: Vec<u8>,
    new: u64,
    changed: u64,
    gone: u64,
    is_over: bool,
}

impl ByKey<'_> {
    fn take(&mut self, key: &[u8], record: &[u8]) -> Result<(), Failure> {
        while self.has_next()? {
            let (from, to) = self.spans[self.at];
            let old = &self.block[from..to];
            // Most are the same, and then no key of them is looked for.
            if old == record {
                self.advance();
                return Ok(());
            }
            if self.key.is_empty() {
                read_old_key(self.keys, old, &mut self.key)?;
            }
            match self.key.as_slice().cmp(key) {
                Ordering::Less => {
                    self.gone += 1;
                    self.advance();
                }
                Ordering::Equal => {
                    self.changed += 1;
                    self.advance();
                    return Ok(());
                }
                Ordering::Greater => break,
            }
        }
        self.new += 1;
        Ok(())
    }

    fn advance(&mut self) {
        self.at += 1;
        self.key.clear();
    }

    /// Whether there is a next one; reads on where there is none in the block.
    fn has_next(&mut self) -> Result<bool, Failure> {
        while self.at == self.spans.len() && !self.is_over {
            self.at = 0;
            self.spans.clear();
            match self.records.next_block()? {
                Some(block) => block.copy(&mut self.block, &mut self.spans),
                None => self.is_over = true,
            }
        }
        Ok(self.at < self.spans.len())
    }

    fn difference(mut self) -> Result<Difference, Failure> {
        while self.has_next()? {
            self.gone += (self.spans.len() - self.at) as u64;
            self.at = self.spans.len();
        }
        Ok(Difference::of(self.new, self.changed, self.gone))
    }
}
