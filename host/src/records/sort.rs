//! Sorts what was staged by key, in bounded memory: what does not fit is sorted in files that are merged.
//!
//! Of several versions of a key the one pushed last stands. What a version means, a record or a deletion, is the caller's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

use crate::folder::{Doing as _, Folder};
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::records::superseded::Superseded;

/// What is read or written of a sorted file at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// Stands for the length of a record where a deletion stands.
const DELETION: u32 = u32::MAX >> 1;
/// Added to the length where the last published set had a record of that key.
const PUBLISHED: u32 = 1 << 31;

/// The last version of one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub key: Vec<u8>,
    /// Whether there is no record of that key any more.
    pub deleted: bool,
    /// Whether an earlier version was pushed as a published one.
    pub published: bool,
    /// The record; empty when it is deleted.
    pub record: Vec<u8>,
}

/// Takes changes in any order.
pub struct Sorter {
    folder: Folder,
    buffer_bytes: usize,
    runs_max: usize,
    /// Keys and records, one after the other.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Names of sorted files, oldest first.
    runs: Vec<String>,
    files_made: u64,
    superseded: Superseded,
}

/// Where one change lies in the arena.
#[derive(Clone, Copy)]
struct Entry {
    /// The first bytes of the key: enough to tell most keys apart without a look at the arena.
    prefix: u64,
    at: usize,
    key_bytes: u32,
    /// The length, [`DELETION`] in its place, and perhaps [`PUBLISHED`].
    record_bytes: u32,
}

impl Entry {
    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.at..self.at + self.key_bytes as usize]
    }

    fn record<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let at = self.at + self.key_bytes as usize;
        let bytes = match self.record_bytes & !PUBLISHED {
            DELETION => 0,
            bytes => bytes as usize,
        };
        &arena[at..at + bytes]
    }

    fn is_deletion(&self) -> bool {
        self.record_bytes & !PUBLISHED == DELETION
    }

    fn is_published(&self) -> bool {
        self.record_bytes & PUBLISHED != 0
    }
}

impl Sorter {
    /// Sorts within the limits, with its files in `folder`.
    pub fn new(folder: &Folder, limits: &Limits) -> Self {
        Self {
            folder: folder.clone(),
            buffer_bytes: limits.sort_buffer_bytes,
            runs_max: limits.sort_runs.max(2),
            arena: Vec::new(),
            entries: Vec::new(),
            runs: Vec::new(),
            files_made: 0,
            superseded: Superseded::default(),
        }
    }

    /// Takes one version of a key, later than all before: its record, or `None` for a deletion. No key is empty.
    pub fn push(&mut self, key: &[u8], record: Option<&[u8]>) -> Result<(), Failure> {
        self.add(key, record, 0)
    }

    /// The same for a version of the last published set.
    pub fn push_published(&mut self, key: &[u8], record: Option<&[u8]>) -> Result<(), Failure> {
        self.add(key, record, PUBLISHED)
    }

    fn add(&mut self, key: &[u8], record: Option<&[u8]>, published: u32) -> Result<(), Failure> {
        assert!(
            !key.is_empty(),
            "every pointer of PRIMARY_KEY adds to the key"
        );
        let bytes = key.len() + record.map_or(0, <[u8]>::len);
        let held = self.arena.len() + (self.entries.len() + 1) * size_of::<Entry>();
        if held + bytes > self.buffer_bytes && !self.entries.is_empty() {
            self.spill()?;
        }
        if self.arena.capacity() == 0 {
            // At once: growing by doubling would need half as much again for a moment. Untouched pages cost nothing.
            self.arena.reserve_exact(self.buffer_bytes);
        }
        let mut prefix = [0; 8];
        let prefix_bytes = key.len().min(8);
        prefix[..prefix_bytes].copy_from_slice(&key[..prefix_bytes]);
        // Lines, and so keys and records, are limited to far less than two GiB.
        let length = |bytes: usize| {
            let length = u32::try_from(bytes).ok();
            length
                .filter(|bytes| *bytes < DELETION)
                .expect("a line is shorter than 2 GiB")
        };
        self.entries.push(Entry {
            prefix: u64::from_be_bytes(prefix),
            at: self.arena.len(),
            key_bytes: length(key.len()),
            record_bytes: record.map_or(DELETION, |record| length(record.len())) | published,
        });
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(record.unwrap_or_default());
        Ok(())
    }

    /// The last version of each key, sorted by key.
    pub fn finish(mut self) -> Result<Sorted, Failure> {
        if self.runs.is_empty() {
            self.sort();
            let (arena, entries) = (
                std::mem::take(&mut self.arena),
                std::mem::take(&mut self.entries),
            );
            let entries = entries.into_iter();
            return Ok(Sorted {
                changes: SortedIn::Memory { arena, entries },
                superseded: self.superseded,
            });
        }
        self.spill()?;
        self.arena = Vec::new();
        self.entries = Vec::new();
        while self.runs.len() > self.runs_max {
            // Neighbours only, so that a later file still holds later versions.
            for group in std::mem::take(&mut self.runs).chunks(self.runs_max) {
                let (name, file) = self.new_file()?;
                let mut merged = Merge::open(&self.folder, group, &self.superseded)?;
                let mut out = BufWriter::with_capacity(BLOCK_BYTES, file);
                let mut change = Change::default();
                while merged.next(&mut change)? {
                    let record = (!change.deleted).then_some(&change.record[..]);
                    write(&mut out, &change.key, record, change.published)
                        .doing(|| format!("cannot write `{}`", self.folder.shown(&name)))?;
                }
                out.flush()
                    .doing(|| format!("cannot write `{}`", self.folder.shown(&name)))?;
                for name in group {
                    self.folder.remove_file(name)?;
                }
                self.runs.push(name);
            }
        }
        Ok(Sorted {
            changes: SortedIn::Files(Merge::open(&self.folder, &self.runs, &self.superseded)?),
            superseded: self.superseded,
        })
    }

    /// Sorts what is in memory and drops all but the last version of each key.
    fn sort(&mut self) {
        let (arena, superseded) = (&self.arena, &self.superseded);
        // Later versions first: they lie further back.
        self.entries.sort_unstable_by(|a, b| {
            a.prefix
                .cmp(&b.prefix)
                .then_with(|| a.key(arena).cmp(b.key(arena)))
                .then(b.at.cmp(&a.at))
        });
        self.entries.dedup_by(|later, first| {
            let same = later.prefix == first.prefix && later.key(arena) == first.key(arena);
            if same {
                if !later.is_deletion() && !later.is_published() {
                    let newer = (!first.is_deletion()).then(|| first.record(arena));
                    superseded.count(later.record(arena), newer);
                }
                first.record_bytes |= later.record_bytes & PUBLISHED;
            }
            same
        });
    }

    /// Moves what is in memory to a sorted file.
    fn spill(&mut self) -> Result<(), Failure> {
        self.sort();
        let (name, file) = self.new_file()?;
        let doing = || format!("cannot write `{}`", self.folder.shown(&name));
        let mut out = BufWriter::with_capacity(BLOCK_BYTES, file);
        for entry in &self.entries {
            let record = (!entry.is_deletion()).then(|| entry.record(&self.arena));
            let key = entry.key(&self.arena);
            write(&mut out, key, record, entry.is_published()).doing(doing)?;
        }
        out.flush().doing(doing)?;
        self.runs.push(name);
        self.entries.clear();
        self.arena.clear();
        // A line longer than the whole buffer may have made it grow.
        self.arena.shrink_to(self.buffer_bytes);
        Ok(())
    }

    fn new_file(&mut self) -> Result<(String, File), Failure> {
        let name = format!("sort-{}", self.files_made);
        self.files_made += 1;
        let file = self.folder.create(&name, 0o600)?;
        Ok((name, file))
    }
}

fn write(
    out: &mut impl Write,
    key: &[u8],
    record: Option<&[u8]>,
    published: bool,
) -> std::io::Result<()> {
    let length = |bytes: usize| u32::try_from(bytes).map_err(std::io::Error::other);
    let record_bytes = record.map_or(Ok(DELETION), |record| length(record.len()))?;
    let published = if published { PUBLISHED } else { 0 };
    out.write_all(&length(key.len())?.to_le_bytes())?;
    out.write_all(&(record_bytes | published).to_le_bytes())?;
    out.write_all(key)?;
    out.write_all(record.unwrap_or_default())
}

/// Changes in the order of their keys, each key once.
pub struct Sorted {
    changes: SortedIn,
    superseded: Superseded,
}

enum SortedIn {
    Memory {
        arena: Vec<u8>,
        entries: std::vec::IntoIter<Entry>,
    },
    Files(Merge),
}

impl Sorted {
    /// What a later version replaced among what was pushed, but for the last published set; whole when the last change was
    /// read.
    pub fn superseded(&self) -> Superseded {
        self.superseded.clone()
    }

    /// Writes the next change into `change`; `false` after the last.
    pub fn next(&mut self, change: &mut Change) -> Result<bool, Failure> {
        match &mut self.changes {
            SortedIn::Files(merge) => merge.next(change),
            SortedIn::Memory { arena, entries } => {
                let Some(entry) = entries.next() else {
                    return Ok(false);
                };
                change.key.clear();
                change.key.extend_from_slice(entry.key(arena));
                change.deleted = entry.is_deletion();
                change.published = entry.is_published();
                change.record.clear();
                change.record.extend_from_slice(entry.record(arena));
                Ok(true)
            }
        }
    }
}

/// Sorted files, read together.
struct Merge {
    files: Vec<BufReader<File>>,
    /// The next change of each file. Among equal keys the one of the latest file comes first.
    heads: BinaryHeap<Reverse<Head>>,
    superseded: Superseded,
}

#[derive(PartialEq, Eq)]
struct Head {
    change: Change,
    file: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.change
            .key
            .cmp(&other.change.key)
            .then(other.file.cmp(&self.file))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge {
    fn open(folder: &Folder, names: &[String], superseded: &Superseded) -> Result<Self, Failure> {
        let mut merge = Self {
            files: Vec::new(),
            heads: BinaryHeap::new(),
            superseded: superseded.clone(),
        };
        for name in names {
            let opened = folder.file(name)?.map(|(file, _)| file);
            let file = opened
                .ok_or(std::io::ErrorKind::NotFound)
                .doing(|| format!("cannot open `{}`", folder.shown(name)))?;
            merge
                .files
                .push(BufReader::with_capacity(BLOCK_BYTES, file));
            let mut change = Change::default();
            let file = merge.files.len() - 1;
            if read(&mut merge.files[file], &mut change)? {
                merge.heads.push(Reverse(Head { change, file }));
            }
        }
        Ok(merge)
    }

    fn next(&mut self, change: &mut Change) -> Result<bool, Failure> {
        let Some(mut first) = self.heads.peek_mut() else {
            return Ok(false);
        };
        std::mem::swap(&mut first.0.change, change);
        refill(&mut self.files, first)?;
        // Earlier versions of the same key.
        while let Some(next) = self.heads.peek_mut()
            && next.0.change.key == change.key
        {
            let older = &next.0.change;
            if !older.deleted && !older.published {
                let newer = (!change.deleted).then_some(&change.record[..]);
                self.superseded.count(&older.record, newer);
            }
            change.published |= older.published;
            refill(&mut self.files, next)?;
        }
        Ok(true)
    }
}

/// Replaces a file's head by its next change.
fn refill(
    files: &mut [BufReader<File>],
    mut head: PeekMut<'_, Reverse<Head>>,
) -> Result<(), Failure> {
    let file = head.0.file;
    if !read(&mut files[file], &mut head.0.change)? {
        PeekMut::pop(head);
    }
    Ok(())
}

fn read(file: &mut BufReader<File>, change: &mut Change) -> Result<bool, Failure> {
    let doing = || "cannot read back what was sorted";
    let (mut key, mut record) = ([0; 4], [0; 4]);
    match file.read(&mut key[..1]).doing(doing)? {
        0 => return Ok(false),
        _ => file.read_exact(&mut key[1..]).doing(doing)?,
    }
    file.read_exact(&mut record).doing(doing)?;
    let (key, record) = (u32::from_le_bytes(key), u32::from_le_bytes(record));
    change.published = record & PUBLISHED != 0;
    let record = record & !PUBLISHED;
    change.deleted = record == DELETION;
    change.key.resize(key as usize, 0);
    file.read_exact(&mut change.key).doing(doing)?;
    change
        .record
        .resize(if change.deleted { 0 } else { record as usize }, 0);
    file.read_exact(&mut change.record).doing(doing)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
