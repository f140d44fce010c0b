//! The records that a component stages, read while it still runs: once, on one thread, for two readers.
//!
//! The component can change what it wrote. So what is read this way is valid only if the file that is there after the component has
//! ended is the one that was read to its end ([`Followed::is_all_of`]), and was written to only at its end (`Used::staged_only_grew`).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::folder::Folder;
use crate::limits::{FOLLOWED_PIECE_BYTES_MAX, FOLLOWED_PIECES_MAX};
use crate::staging::read::{Identity, RECORDS, Staged, StagedFile, plain_file};

/// How long to wait before a look for more, at first and after many looks without success.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Reads the file, waits where it has no more yet, and passes on what it read.
pub struct FirstReader {
    input: Folder,
    file: Option<StagedFile>,
    offset: u64,
    second: Option<SyncSender<Vec<u8>>>,
    shared: Arc<Shared>,
}

/// Reads what the first reader has read, and waits for it.
pub struct SecondReader {
    pieces: Receiver<Vec<u8>>,
    /// What is left of the last one.
    left: io::Cursor<Vec<u8>>,
    shared: Arc<Shared>,
}

/// Held while the component runs; dropped before it has [`ended`](Self::ended), nothing more is read.
pub struct Running(Arc<Shared>);

/// What the first reader has read.
pub struct Followed(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    component: Component,
    /// Set when the first reader has come to the end.
    read: Option<ReadToTheEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Component {
    #[default]
    Runs,
    HasEnded,
    /// What it staged is of no use.
    HasFailed,
}

struct ReadToTheEnd {
    /// None of a file that never was there.
    file: Option<Identity>,
    bytes: u64,
}

/// Readers of the records in `input`, from the first.
pub fn follow(input: &Folder) -> (FirstReader, SecondReader, Running, Followed) {
    let shared = Arc::new(Shared::default());
    let (second, pieces) = sync_channel(FOLLOWED_PIECES_MAX);
    let first = FirstReader {
        input: input.clone(),
        file: None,
        offset: 0,
        second: Some(second),
        shared: Arc::clone(&shared),
    };
    let second = SecondReader {
        pieces,
        left: io::Cursor::default(),
        shared: Arc::clone(&shared),
    };
    (
        first,
        second,
        Running(Arc::clone(&shared)),
        Followed(shared),
    )
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long, or until the component has ended.
    fn wait(&self, pause: Duration) {
        let runs = |state: &mut State| state.component == Component::Runs;
        let waited = self.ended.wait_timeout_while(self.state(), pause, runs);
        drop(waited);
    }
}

impl Running {
    /// The component has ended with this: where that is well, what it staged is read to its end.
    pub fn ended<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        if result.is_ok() {
            self.0.state().component = Component::HasEnded;
        }
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let component = &mut self.0.state().component;
        if *component == Component::Runs {
            *component = Component::HasFailed;
        }
        self.0.ended.notify_all();
    }
}

impl Followed {
    /// Whether the records of `staged`, whose component has ended, are the file that was read, and as long.
    pub fn is_all_of(&self, staged: &Staged) -> bool {
        let state = self.0.state();
        let Some(read) = &state.read else {
            return false;
        };
        let there = staged.records_file();
        there.map(|there| there.is) == read.file
            && there.map_or(0, |there| there.bytes) == read.bytes
    }
}

impl FirstReader {
    /// The file, once it is there.
    fn opened(&mut self) -> io::Result<Option<&File>> {
        if self.file.is_none() {
            self.file = plain_file(&self.input, RECORDS).map_err(io::Error::other)?;
        }
        Ok(self.file.as_ref().map(|staged| &staged.file))
    }

    /// Passes on what was read. Nobody may be listening any more.
    fn pass_on(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        if let Some(second) = &self.second
            && second.send(bytes.to_vec()).is_err()
        {
            self.second = None;
        }
    }

    fn end(&mut self) {
        self.shared.state().read = Some(ReadToTheEnd {
            file: self.file.as_ref().map(|staged| staged.is),
            bytes: self.offset,
        });
        self.second = None;
    }
}

impl Read for FirstReader {
    /// `Ok(0)`: the component has ended, and all is read. `Err`: it failed, or the file is not what it may be.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at_once = into.len().min(FOLLOWED_PIECE_BYTES_MAX);
        let into = &mut into[..at_once];
        let (mut pause, longest) = PAUSE;
        loop {
            // Asked before the look: what it wrote last is then seen.
            let component = self.shared.state().component;
            if component == Component::HasFailed {
                return Err(io::Error::other("the component failed"));
            }
            let offset = self.offset;
            let read = match self.opened()? {
                Some(file) => file.read_at(into, offset)?,
                None => 0,
            };
            if read > 0 {
                self.pass_on(&into[..read]);
                return Ok(read);
            }
            if component == Component::HasEnded {
                self.end();
                return Ok(0);
            }
            self.shared.wait(pause);
            pause = longest.min(2 * pause);
        }
    }
}

impl Read for SecondReader {
    /// `Ok(0)`: the first reader has come to the end. `Err`: it has given up.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.left.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            match self.pieces.recv() {
                Ok(piece) => self.left = io::Cursor::new(piece),
                Err(_) if self.shared.state().read.is_some() => return Ok(0),
                Err(_) => return Err(io::Error::other("not all of it was read")),
            }
        }
    }
}

#[cfg(test)]
mod tests;
