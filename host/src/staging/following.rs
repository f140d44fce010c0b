//! The records that a component stages, read while it still runs: once, on one thread, for two readers.
//!
//! What is read this way counts only where it is the whole file that is there after the component has ended:
//! [`Staged::is`](super::read::Staged::is).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::folder::Folder;
use crate::limits::{FOLLOWED_PIECE_BYTES_MAX, FOLLOWED_PIECES_MAX};
use crate::staging::read::{RECORDS, StagedFile, plain_file};

/// How long to wait before a look for more, at first and after many looks in vain.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The first reader: reads the file, waits where it has no more yet, and passes on what it read.
pub struct Following {
    input: Folder,
    file: Option<File>,
    offset: u64,
    second: Option<SyncSender<Vec<u8>>>,
    watched: Arc<Watched>,
}

/// The second reader: reads what the first one has read, and waits for it.
pub struct Fed {
    pieces: Receiver<Vec<u8>>,
    /// What is left of the last one.
    left: io::Cursor<Vec<u8>>,
}

/// Held while the component runs; dropped before it has [`ended`](Self::ended), nothing more is read.
pub struct Running(Arc<Watched>);

/// Tells which file was read, and how far.
pub struct Followed(Arc<Watched>);

/// A file, and its first so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
}

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    component: Component,
    read: Option<Prefix>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Component {
    #[default]
    Runs,
    HasEnded,
    /// What it staged is of no use.
    HasFailed,
}

/// Readers of the records in `input`, from the first.
pub fn follow(input: &Folder) -> (Following, Fed, Running, Followed) {
    let watched = Arc::new(Watched::default());
    let (second, pieces) = sync_channel(FOLLOWED_PIECES_MAX);
    let following = Following {
        input: input.clone(),
        file: None,
        offset: 0,
        second: Some(second),
        watched: Arc::clone(&watched),
    };
    let fed = Fed {
        pieces,
        left: io::Cursor::default(),
    };
    (
        following,
        fed,
        Running(Arc::clone(&watched)),
        Followed(watched),
    )
}

impl Watched {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, pause: Duration) {
        let ended = self.ended.wait_timeout_while(self.lock(), pause, |state| {
            state.component == Component::Runs
        });
        drop(ended);
    }
}

impl Running {
    /// The component has ended with this: where that is well, what it staged is read to its end.
    pub fn ended<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        if result.is_ok() {
            self.0.lock().component = Component::HasEnded;
        }
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let component = &mut self.0.lock().component;
        if *component == Component::Runs {
            *component = Component::HasFailed;
        }
        self.0.ended.notify_all();
    }
}

impl Followed {
    /// What was read; none of a file that never was there.
    pub fn read(&self) -> Option<Prefix> {
        self.0.lock().read
    }
}

impl Following {
    /// The file, once it is there.
    fn opened(&mut self) -> io::Result<Option<&File>> {
        if self.file.is_none() {
            let opened = plain_file(&self.input, RECORDS).map_err(io::Error::other)?;
            if let Some(StagedFile { file, whole }) = opened {
                self.watched.lock().read = Some(Prefix { bytes: 0, ..whole });
                self.file = Some(file);
            }
        }
        Ok(self.file.as_ref())
    }

    /// Passes on what was read. Nobody may be listening any more.
    fn pass_on(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        if let Some(read) = &mut self.watched.lock().read {
            read.bytes = self.offset;
        }
        if let Some(second) = &self.second
            && second.send(bytes.to_vec()).is_err()
        {
            self.second = None;
        }
    }
}

impl Read for Following {
    /// `Ok(0)`: the component has ended, and all is read. `Err`: it failed, or the file is not what it may be.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at_once = into.len().min(FOLLOWED_PIECE_BYTES_MAX);
        let into = &mut into[..at_once];
        let (mut pause, longest) = PAUSE;
        loop {
            // Asked before the look: what it wrote last is then seen.
            let component = self.watched.lock().component;
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
            }
            if read > 0 || component == Component::HasEnded {
                return Ok(read);
            }
            self.watched.wait(pause);
            pause = longest.min(2 * pause);
        }
    }
}

impl Read for Fed {
    /// `Ok(0)`: the first reader has come to the end, or has given up.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.left.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            match self.pieces.recv() {
                Ok(piece) => self.left = io::Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests;
