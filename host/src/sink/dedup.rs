//! What the last run staged, so that a record which a look-back or an inclusive cursor brings again is not appended again.
//!
//! Of each record the first 16 bytes of the sha256 of its text are remembered, sorted, in one file. All is sorted and merged
//! as streams, so memory has a bound whatever the number of records; and what is written of a record, and where, is the
//! sink's business.

use std::fs::File;
use std::io::{BufReader, Read as _};

use sha2::{Digest as _, Sha256};

use crate::folder::{Doing as _, Folder};
use crate::hash::hex;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::records::changes::{self, Flow, check_at};
use crate::records::key::Keys;
use crate::records::parents::Parents;
use crate::records::sort::{Change, Sorted, Sorter};
use crate::settings::data_file::Compression;
use crate::sink::files::write::{BARE, Output};
use crate::sink::manifest::FileRecord;
use crate::staging::read::Staged;

/// Of the sha256 of a record so many bytes are kept: two records that differ have the same ones once in 2^64 records.
pub const DIGEST_BYTES: usize = 16;
/// What is read of the remembered ones at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// Where the second list is sorted, apart from the first.
const FOLDER: &str = "repeats";
/// The file is for us alone: with it one could ask whether a record one has guessed is there.
const MODE: u32 = 0o600;

type Digest = [u8; DIGEST_BYTES];

/// Takes what this run stages, record by record.
pub struct Repeats {
    /// A digest and the record's place in the run, for each.
    taken: Sorter,
    places: u64,
    folder: Folder,
    limits: Limits,
}

/// What was taken, held against what is remembered: which records are repeats, in the order in which they were staged.
pub struct Compared {
    /// How many are none.
    pub new: u64,
    repeats: Sorted,
    next: Option<u64>,
    place: u64,
}

impl Repeats {
    /// Sorts within the limits, with its files in `folder`.
    pub fn new(folder: &Folder, limits: &Limits) -> Self {
        Self {
            taken: Sorter::new(folder, limits),
            places: 0,
            folder: folder.clone(),
            limits: limits.clone(),
        }
    }

    /// Takes all that was staged, and counts it. Each record has its key, where there is a PRIMARY_KEY.
    pub fn of(
        staged: &Staged,
        keys: &Keys,
        folder: &Folder,
        limits: &Limits,
        check: Check<'_>,
    ) -> Result<(Self, changes::Read), Failure> {
        let mut repeats = Self::new(folder, limits);
        let read = changes::read(staged, keys, &Parents::default(), check, |staging| {
            match staging {
                changes::Change::Record(_, record) => repeats.take(record)?,
                changes::Change::Deletion(_) => {
                    return Err(Failure::broken(
                        "it staged a deletion that it did not report",
                    ));
                }
            }
            Ok(Flow::On)
        })?;
        Ok((repeats, read.unwrap_or_default()))
    }

    /// Takes the next staged record.
    pub fn take(&mut self, record: &[u8]) -> Result<(), Failure> {
        let mut key = [0; DIGEST_BYTES + 8];
        key[..DIGEST_BYTES].copy_from_slice(&Sha256::digest(record)[..DIGEST_BYTES]);
        key[DIGEST_BYTES..].copy_from_slice(&self.places.to_be_bytes());
        self.places += 1;
        self.taken.push(&key, None)
    }

    /// Tells repeats from the rest, and writes into `digests` what is to be remembered: what was taken, and on top of that
    /// all of `last` if `keep`. A record is a repeat if it is in `last`, or was taken before.
    ///
    /// `Err`: 73 when `last` is not what was written, or 74.
    pub fn compare(
        self,
        mut last: Remembered<'_>,
        keep: bool,
        digests: &mut Output,
        check: Check<'_>,
    ) -> Result<Compared, Failure> {
        let folder = self.folder.ensure_folder(FOLDER, 0o700)?;
        let mut repeats = Sorter::new(&folder, &self.limits);
        let mut taken = self.taken.finish()?;
        let (mut change, mut before) = (Change::default(), None);
        let (mut new, mut looked_at) = (0, 0_u64);
        last.advance()?;
        while taken.next(&mut change)? {
            looked_at += 1;
            check_at(check, looked_at, 0)?;
            let (digest, place) = change.key.split_at(DIGEST_BYTES);
            let digest = Digest::try_from(digest).expect("a key begins with a digest");
            if before == Some(digest) {
                repeats.push(place, None)?;
                continue;
            }
            last.pass(|old| old < digest, keep, digests)?;
            if last.head == Some(digest) {
                repeats.push(place, None)?;
                last.advance()?;
            } else {
                new += 1;
            }
            digests.write(&digest, 1)?;
            before = Some(digest);
        }
        last.pass(|_| true, keep, digests)?;
        let mut compared = Compared {
            new,
            repeats: repeats.finish()?,
            next: None,
            place: 0,
        };
        compared.advance()?;
        Ok(compared)
    }
}

impl Compared {
    /// Whether the next staged record is a repeat.
    pub fn next_is_repeat(&mut self) -> Result<bool, Failure> {
        let is_repeat = self.next == Some(self.place);
        self.place += 1;
        if is_repeat {
            self.advance()?;
        }
        Ok(is_repeat)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        let mut change = Change::default();
        let more = self.repeats.next(&mut change)?;
        let place = || {
            let bytes = <[u8; 8]>::try_from(&change.key[..]);
            u64::from_be_bytes(bytes.expect("a place is eight bytes"))
        };
        self.next = more.then(place);
        Ok(())
    }
}

/// Begins the file of what is to be remembered.
pub fn create(folder: &Folder, name: &str) -> Result<Output, Failure> {
    Output::create(folder, name, BARE, Compression::None, Some(MODE))
}

/// What an earlier run remembered, read in its order, and believed only when it is what was written, to the last byte.
pub struct Remembered<'f> {
    file: Option<BufReader<&'f File>>,
    record: Option<&'f FileRecord>,
    shown: String,
    hash: Sha256,
    head: Option<Digest>,
}

impl<'f> Remembered<'f> {
    /// Nothing: there was no such run.
    pub fn nothing() -> Self {
        Self {
            file: None,
            record: None,
            shown: String::new(),
            hash: Sha256::new(),
            head: None,
        }
    }

    /// The opened `file`, of which the manifest says `record`; `shown` is its name for messages.
    pub fn read(file: &'f File, record: &'f FileRecord, shown: String) -> Self {
        Self {
            file: Some(BufReader::with_capacity(BLOCK_BYTES, file)),
            record: Some(record),
            shown,
            ..Self::nothing()
        }
    }

    /// Passes over the next ones while they are `before`, and writes them down if `keep`.
    fn pass(
        &mut self,
        before: impl Fn(Digest) -> bool,
        keep: bool,
        digests: &mut Output,
    ) -> Result<(), Failure> {
        while let Some(old) = self.head.filter(|old| before(*old)) {
            if keep {
                digests.write(&old, 1)?;
            }
            self.advance()?;
        }
        Ok(())
    }

    /// Makes the next one the head; none after the last, and only when all was as written.
    fn advance(&mut self) -> Result<(), Failure> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let (mut next, mut filled) = ([0; DIGEST_BYTES], 0);
        while filled < DIGEST_BYTES {
            match file.read(&mut next[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing(|| format!("cannot read `{}`", self.shown)),
            }
        }
        self.hash.update(&next[..filled]);
        match filled {
            DIGEST_BYTES => self.head = Some(next),
            0 => {
                let found = hex(&std::mem::take(&mut self.hash).finalize());
                if self.record.is_some_and(|record| record.sha256 != found) {
                    return Err(self.damaged());
                }
                (self.file, self.head) = (None, None);
            }
            _ => return Err(self.damaged()),
        }
        Ok(())
    }

    fn damaged(&self) -> Failure {
        let message = format!(
            "cannot compare with what `{}` remembers: its bytes are not the ones that were written; restore it from a backup, or return to an older generation",
            self.shown
        );
        Failure::new(Outcome::OutputUnusable, message)
    }
}

#[cfg(test)]
mod tests;
