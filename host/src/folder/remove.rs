//! Removes a whole tree that somebody hostile may have built, or may be moving about while it is removed.
//!
//! Whoever does what meanwhile:
//! - Nothing outside the tree is removed. The way up is `..`, and the folder it leads to must be the one that was left on the
//!   way down (device and inode); so must a folder that was emptied be the one under its name. Otherwise removing stops.
//! - What belongs to another user stays, for root too, and so does what this user may not open or remove; with it the folders
//!   around it. The rest goes.
//! - No link is followed and no mount point crossed.
//!
//! One folder is held at a time and nothing recurses, so depth costs a few bytes a level. Between the last look at an entry and
//! its removal, who may write to that very folder can put another one in its place: an entry of this user that they could have
//! removed themselves, or an empty folder.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RawMode, Statx, StatxAttributes, StatxFlags,
};
use rustix::io::Errno;

use crate::limits::REMOVAL_TRIES_MAX;
use crate::outcome::{Failure, Outcome};

use crate::process::stop::Check;

/// Entries of a folder between two questions whether to stop.
const ENTRIES_UNASKED: usize = 64;

/// How much may be removed, and for how long.
#[derive(Clone, Copy)]
pub struct Bounds<'r> {
    /// Folders below the one that is removed.
    pub folders_max: usize,
    /// Asked at every folder, and every few files: `Err` stops, and leaves the rest.
    pub check: Check<'r>,
}

/// Why a part was left.
#[derive(Debug)]
pub enum NotRemoved {
    /// The operating system refused.
    Io(io::Error),
    /// It was to stop.
    Stopped(Failure),
    /// This belongs to that user.
    Foreign(String, u32),
    /// Another file system is mounted here.
    Mounted(String),
    /// Somebody moved or replaced this while it was removed.
    Moved(String),
    /// It holds too many folders.
    TooMany,
}

impl From<Errno> for NotRemoved {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// `Err` once `time` has passed. For removing what the next run can go on with.
pub fn within(time: Duration) -> impl Fn() -> Result<(), Failure> {
    let since = Instant::now();
    move || {
        if since.elapsed() < time {
            return Ok(());
        }
        let message = format!(
            "not all was removed within {} s; the next run continues",
            time.as_secs()
        );
        Err(Failure::new(Outcome::TryLater, message))
    }
}

/// Removes `name` in `parent` and all below it. Nothing there is fine. `Err` leaves a part of it.
pub fn all(parent: BorrowedFd<'_>, name: &str, bounds: Bounds<'_>) -> Result<(), NotRemoved> {
    let name = CString::new(name).map_err(|error| NotRemoved::Io(error.into()))?;
    let mut tries = 1;
    loop {
        match once(parent, &name, bounds) {
            Err(NotRemoved::Io(error))
                if Errno::from_io_error(&error) == Some(Errno::NOTEMPTY)
                    && tries < REMOVAL_TRIES_MAX =>
            {
                tries += 1;
            }
            result => return result,
        }
    }
}

/// What tells a folder from all others: device and inode.
type Identity = (u32, u32, u64);

/// A folder on the way down.
struct Level {
    name: CString,
    identity: Identity,
    /// Folders in it that are still to be removed.
    folders: Vec<CString>,
    /// Whether something in it stays, and so it does.
    stays: bool,
}

/// A tree that is being removed.
struct Removal<'r> {
    bounds: Bounds<'r>,
    us: u32,
    folders_left: usize,
    /// The first of what stays.
    kept: Option<NotRemoved>,
    /// From the top to the folder in hand.
    levels: Vec<Level>,
}

fn once(parent: BorrowedFd<'_>, name: &CStr, bounds: Bounds<'_>) -> Result<(), NotRemoved> {
    let mut removal = Removal {
        bounds,
        us: rustix::process::geteuid().as_raw(),
        folders_left: bounds.folders_max,
        kept: None,
        levels: Vec::new(),
    };
    let Some(status) = look(parent, name)? else {
        return Ok(());
    };
    if !is_folder(&status) {
        removal.remove_file(parent, name, &status)?;
    } else if let Some(top) = removal.enter(parent, name, device_around(parent, &status)?)? {
        // Held until it is gone: its inode is nobody else's so long.
        let (_held, top) = removal.empty(top)?;
        if !top.stays {
            removal.remove_emptied(parent, &top)?;
        }
    }
    removal.kept.map_or(Ok(()), Err)
}

impl Removal<'_> {
    /// Empties the folder that was just entered, which is `here`, as far as nothing stays.
    fn empty(&mut self, mut here: OwnedFd) -> Result<(OwnedFd, Level), NotRemoved> {
        loop {
            (self.bounds.check)().map_err(NotRemoved::Stopped)?;
            let level = self.levels.last_mut().expect("the top is left last");
            let device = (level.identity.0, level.identity.1);
            if let Some(below) = level.folders.pop() {
                if let Some(entered) = self.enter(here.as_fd(), &below, device)? {
                    here = entered;
                }
                continue;
            }
            let done = self.levels.pop().expect("it was there just now");
            let Some(above) = self.levels.last_mut() else {
                return Ok((here, done));
            };
            above.stays |= done.stays;
            let identity = above.identity;
            let climbed = match open(here.as_fd(), c"..") {
                Ok(climbed) if identity_of(&look_at(climbed.as_fd())?) == identity => climbed,
                Ok(_) | Err(Errno::NOENT) => return Err(NotRemoved::Moved(self.shown(&done.name))),
                Err(error) => return Err(error.into()),
            };
            if !done.stays {
                self.remove_emptied(climbed.as_fd(), &done)?;
            }
            here = climbed;
        }
    }

    /// Opens the folder `name` in `parent`, which is on this device, and removes the files in it. `None`: it stays, or is gone.
    fn enter(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        device: (u32, u32),
    ) -> Result<Option<OwnedFd>, NotRemoved> {
        let folder = match open(parent, name) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(NotRemoved::Moved(self.shown(name))),
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                self.keep(error.into());
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let status = look_at(folder.as_fd())?;
        if self::device(&status) != device || is_mount_point(&status) {
            self.keep(NotRemoved::Mounted(self.shown(name)));
            return Ok(None);
        }
        if status.stx_uid != self.us {
            self.keep(NotRemoved::Foreign(self.shown(name), status.stx_uid));
            return Ok(None);
        }
        self.levels.push(Level {
            name: name.to_owned(),
            identity: identity_of(&status),
            folders: Vec::new(),
            stays: false,
        });
        self.remove_files(&folder)?;
        Ok(Some(folder))
    }

    /// Removes everything in `folder`, the level in hand, that is no folder; those are noted.
    fn remove_files(&mut self, folder: &OwnedFd) -> Result<(), NotRemoved> {
        for (index, entry) in Dir::read_from(folder)?.enumerate() {
            if index % ENTRIES_UNASKED == 0 {
                (self.bounds.check)().map_err(NotRemoved::Stopped)?;
            }
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Some(status) = look(folder.as_fd(), name)? else {
                continue;
            };
            if !is_folder(&status) {
                self.remove_file(folder.as_fd(), name, &status)?;
                continue;
            }
            self.folders_left = self
                .folders_left
                .checked_sub(1)
                .ok_or(NotRemoved::TooMany)?;
            let level = self.levels.last_mut().expect("it was just entered");
            level.folders.push(name.to_owned());
        }
        Ok(())
    }

    fn remove_file(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        status: &Statx,
    ) -> Result<(), NotRemoved> {
        if status.stx_uid != self.us {
            self.keep(NotRemoved::Foreign(self.shown(name), status.stx_uid));
            return Ok(());
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::BUSY) => {
                self.keep(NotRemoved::Mounted(self.shown(name)));
                Ok(())
            }
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                self.keep(error.into());
                Ok(())
            }
            Err(Errno::ISDIR) => Err(NotRemoved::Moved(self.shown(name))),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the folder that was emptied, if it is still the one under its name.
    fn remove_emptied(&self, parent: BorrowedFd<'_>, emptied: &Level) -> Result<(), NotRemoved> {
        match look(parent, &emptied.name)? {
            Some(status) if identity_of(&status) == emptied.identity => Ok(rustix::fs::unlinkat(
                parent,
                &emptied.name,
                AtFlags::REMOVEDIR,
            )?),
            _ => Err(NotRemoved::Moved(self.shown(&emptied.name))),
        }
    }

    /// Notes what stays. Its folder then stays, too.
    fn keep(&mut self, left: NotRemoved) {
        if let Some(level) = self.levels.last_mut() {
            level.stays = true;
        }
        self.kept.get_or_insert(left);
    }

    /// `name` in the level in hand, from the top.
    fn shown(&self, name: &CStr) -> String {
        let names = self.levels.iter().map(|level| level.name.as_c_str());
        let names: Vec<_> = names
            .chain([name])
            .map(|name| name.to_string_lossy().escape_debug().to_string())
            .collect();
        names.join("/")
    }
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// The status of `name` in `folder`, no link followed; `None` when there is nothing.
fn look(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<Statx>, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS) {
        Ok(status) => Ok(Some(status)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn look_at(folder: BorrowedFd<'_>) -> Result<Statx, Errno> {
    rustix::fs::statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

fn is_folder(status: &Statx) -> bool {
    FileType::from_raw_mode(RawMode::from(status.stx_mode)) == FileType::Directory
}

/// The device of the folder that this one is in. Where a mount point is recognized, its own will do.
fn device_around(parent: BorrowedFd<'_>, status: &Statx) -> Result<(u32, u32), Errno> {
    let tells = status.stx_attributes_mask;
    if tells.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(device(status));
    }
    Ok(device(&look_at(parent)?))
}

/// Also one of the same file system; kernels before 5.8 do not tell that one.
fn is_mount_point(status: &Statx) -> bool {
    status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

fn device(status: &Statx) -> (u32, u32) {
    (status.stx_dev_major, status.stx_dev_minor)
}

fn identity_of(status: &Statx) -> Identity {
    (status.stx_dev_major, status.stx_dev_minor, status.stx_ino)
}

#[cfg(test)]
mod tests;
