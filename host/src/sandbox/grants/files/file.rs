//! One file in the staging folder, and the room that all of them share.
//!
//! Every byte is counted before it is written, holes included. A write is made where it is asked for, on the component's
//! own thread: it counts as its CPU time, and none is under way when a call returns.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use super::super::exceeded::Exceeded;

/// What may still be staged.
#[derive(Debug)]
pub struct Room {
    bytes_max: u64,
    bytes: AtomicU64,
    peak_bytes: AtomicU64,
    /// The limit of the whole run, which an error names; this portion of it may have less.
    told_max: u64,
}

impl Room {
    /// Room for `bytes_left`, of `bytes_max` for the whole run.
    pub fn new(bytes_left: u64, bytes_max: u64) -> Self {
        Self {
            bytes_max: bytes_left,
            bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            told_max: bytes_max,
        }
    }

    /// The largest all files were, together.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// The sizes of all files together.
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), Exceeded> {
        let taken = self.bytes().saturating_add(bytes);
        if taken > self.bytes_max {
            return Err(Exceeded::StagedBytes(self.told_max));
        }
        self.bytes.store(taken, Ordering::Relaxed);
        self.peak_bytes.fetch_max(taken, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let left = self.bytes().saturating_sub(bytes);
        self.bytes.store(left, Ordering::Relaxed);
    }
}

/// Why a file could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The system's word; the component's to deal with.
    Os(Errno),
    /// A limit, which ends the run.
    Exceeded(Exceeded),
}

/// A file of the staging folder. It was made by this run, and no name is looked up for it again.
#[derive(Debug)]
pub struct StagedFile {
    file: OwnedFd,
    size: AtomicU64,
    only_grew: AtomicBool,
    room: Arc<Room>,
    /// Tells it from the others.
    pub number: u64,
}

impl StagedFile {
    /// The file behind `file`, which is empty.
    pub fn new(file: OwnedFd, number: u64, room: Arc<Room>) -> Self {
        Self {
            file,
            size: AtomicU64::new(0),
            only_grew: AtomicBool::new(true),
            room,
            number,
        }
    }

    /// How long it is, holes included.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Whether every write was one at its end: who read a part of it while it was written, read what is still there.
    pub fn only_grew(&self) -> bool {
        self.only_grew.load(Ordering::Relaxed)
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), WriteError> {
        self.changes_at(offset);
        self.reserve(offset, bytes.len())?;
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.file, bytes, offset) {
                Ok(0) => return Err(self.broken(Errno::IO)),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// Reads at most `bytes_max` bytes from `offset`; none at the end.
    pub fn read(&self, bytes_max: usize, offset: u64) -> Result<Vec<u8>, Errno> {
        // What is not there is not made room for.
        let there = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; bytes_max.min(there)];
        loop {
            match rustix::io::pread(&self.file, &mut bytes[..], offset) {
                Ok(read) => {
                    bytes.truncate(read);
                    return Ok(bytes);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Cuts it, or makes it longer with a hole.
    pub fn set_size(&self, size: u64) -> Result<(), WriteError> {
        self.changes_at(size);
        self.grow_to(size)?;
        rustix::fs::ftruncate(&self.file, size).map_err(|error| self.broken(error))?;
        self.shrunk_to(size);
        Ok(())
    }

    fn changes_at(&self, offset: u64) {
        if offset != self.size() {
            self.only_grew.store(false, Ordering::Relaxed);
        }
    }

    /// After a write that did not work: counts what is there, not what was to be.
    fn broken(&self, error: Errno) -> WriteError {
        if let Ok(stat) = rustix::fs::fstat(&self.file) {
            self.shrunk_to(stat.st_size.unsigned_abs());
        }
        WriteError::Os(error)
    }

    fn shrunk_to(&self, size: u64) {
        let gone = self.size().saturating_sub(size);
        self.room.give_back(gone);
        self.size.fetch_min(size, Ordering::Relaxed);
    }

    fn reserve(&self, offset: u64, bytes: usize) -> Result<(), WriteError> {
        if bytes == 0 {
            return Ok(());
        }
        let end = offset.checked_add(bytes as u64);
        self.grow_to(end.unwrap_or(u64::MAX))
    }

    fn grow_to(&self, size: u64) -> Result<(), WriteError> {
        let growth = size.saturating_sub(self.size());
        self.room.take(growth).map_err(WriteError::Exceeded)?;
        self.size.fetch_max(size, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(bytes_left: u64) -> (StagedFile, StagedFile) {
        let room = Arc::new(Room::new(bytes_left, 1_000));
        let file = |number| {
            let file = tempfile::tempfile().unwrap();
            StagedFile::new(file.into(), number, Arc::clone(&room))
        };
        (file(1), file(2))
    }

    fn is_too_much(written: Result<(), WriteError>) {
        let Err(WriteError::Exceeded(limit)) = written else {
            panic!("{written:?}");
        };
        assert_eq!(limit, Exceeded::StagedBytes(1_000));
    }

    #[test]
    fn all_of_the_room_can_be_used_and_no_byte_more() {
        let (one, two) = files(10);

        one.write(b"12345", 0).unwrap();
        two.write(b"12345", 0).unwrap();

        is_too_much(two.write(b"6", 5));
        assert_eq!((one.size(), two.size(), one.room.bytes()), (5, 5, 10));
    }

    #[test]
    fn a_hole_takes_as_much_room_as_what_would_fill_it() {
        let (one, _) = files(10);

        is_too_much(one.write(b"x", 10));
        is_too_much(one.write(b"x", u64::MAX));
        is_too_much(one.set_size(11));

        assert_eq!(one.room.bytes(), 0);
        one.write(b"x", 9).unwrap();
        assert_eq!(one.room.bytes(), 10);
    }

    #[test]
    fn what_is_written_over_is_counted_once_and_what_is_cut_no_more() {
        let (one, two) = files(10);
        one.write(b"1234567890", 0).unwrap();

        one.write(b"abc", 0).unwrap();
        one.set_size(4).unwrap();
        two.write(b"123456", 0).unwrap();

        assert_eq!(one.read(100, 0).unwrap(), b"abc4");
        assert_eq!(one.room.bytes(), 10);
    }

    #[test]
    fn a_file_only_grew_where_every_write_was_at_its_end() {
        type Change = fn(&StagedFile) -> Result<(), WriteError>;
        let changes: [(Change, bool); 6] = [
            (|file| file.write(b"45", 3), true),
            (|file| file.set_size(3), true),
            (|file| file.write(b"x", 2), false),
            (|file| file.write(b"x", 4), false),
            (|file| file.set_size(2), false),
            (|file| file.set_size(4), false),
        ];
        for (change, only_grew) in changes {
            let (file, _) = files(10);
            file.write(b"123", 0).unwrap();

            change(&file).unwrap();

            assert_eq!(file.only_grew(), only_grew);
        }
    }

    #[test]
    fn after_a_write_that_did_not_work_only_what_is_there_is_counted() {
        let file = rustix::fs::open(
            "/dev/full",
            rustix::fs::OFlags::RDWR,
            rustix::fs::Mode::empty(),
        );
        let room = Arc::new(Room::new(10, 1_000));
        let full = StagedFile::new(file.unwrap(), 1, room);

        let written = full.write(b"12345", 0);

        assert!(matches!(written, Err(WriteError::Os(Errno::NOSPC))));
        assert_eq!(full.room.bytes(), 0);
    }
}
