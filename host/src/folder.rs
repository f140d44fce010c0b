//! A held folder: everything below `OUTPUT_DIR` is reached by calls relative to a descriptor that was opened once.
//!
//! Whatever a path is made to mean meanwhile, a [`Folder`] stays what it was. No call follows a link, and only regular
//! files are opened, without waiting for anybody. Renaming is `sink::files` alone, and is not offered here.
//!
//! A run works only in folders that nobody but its user and root can write to ([`Writers`]): who can, could have it remove,
//! replace and publish what they like. The folder is checked when it is opened, and so is every folder that is opened below it.

use std::fmt::Display;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::outcome::{Failure, Outcome};

use remove::NotRemoved;

pub mod lock;
mod remove;
mod temporary;
pub mod trust;
mod writers;

pub use remove::{Bounds, within};
pub use temporary::{Temporary, random_digits, sweep};
pub use writers::{Writers, refuse_foreign_file, unless_unusable};

/// `OUTPUT_DIR` where nothing was said.
const DEFAULT_OUTPUT_DIR: &str = "/data/sync";

/// Gives an error of the operating system its outcome and says what was being done.
pub trait Doing<T> {
    /// `Err`: 74 when the disk is full, read-only or damaged, 73 when the folder is not as it must be.
    fn doing<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, Failure> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            Failure::new(outcome_of(&error), format!("{}: {error}", doing()))
        })
    }
}

fn outcome_of(error: &io::Error) -> Outcome {
    let Some(errno) = Errno::from_io_error(error) else {
        return Outcome::IoFailed;
    };
    match errno {
        Errno::IO
        | Errno::NOSPC
        | Errno::DQUOT
        | Errno::ROFS
        | Errno::FBIG
        | Errno::MFILE
        | Errno::NFILE
        | Errno::NOMEM
        | Errno::INTR
        | Errno::STALE
        | Errno::TIMEDOUT => Outcome::IoFailed,
        _ => Outcome::OutputUnusable,
    }
}

/// What has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Absent,
    /// A symbolic link, with its target.
    Link(String),
    /// A file, a folder or anything else.
    Other,
}

/// A folder that is held open. Clones hold the same one.
#[derive(Debug, Clone)]
pub struct Folder {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    /// Who may write to it and to the folders in it.
    writers: Writers,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// Holds `OUTPUT_DIR`, which is made with its parents where it is missing; its own links are followed, once.
    ///
    /// `Err` is 73, also when others than `writers` can write to it, or 74 when the disk is at fault. That new folders survive
    /// a power cut is `sink::files`' job.
    pub fn open_or_create(
        path: &Path,
        file_mode: Option<u32>,
        writers: Writers,
    ) -> Result<Self, Failure> {
        if let Some(folder) = Self::open_for(path, writers)? {
            return Ok(folder);
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(writers.folder_mode());
        builder.create(path).map_err(|error| {
            let outcome = match outcome_of(&error) {
                // A container without a writable `/data` is no broken disk.
                Outcome::IoFailed if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                    Outcome::OutputUnusable
                }
                outcome => outcome,
            };
            let hint = if path == Path::new(DEFAULT_OUTPUT_DIR) {
                "; choose another folder, such as `OUTPUT_DIR=./data`"
            } else {
                "; make it, or set OUTPUT_DIR to a folder that this user may write to"
            };
            Failure::new(
                outcome,
                format!("cannot create `{}`: {error}{hint}", path.display()),
            )
        })?;
        let folder = Self::open_for(path, writers)?.ok_or_else(|| {
            Failure::new(
                Outcome::OutputUnusable,
                format!(
                    "cannot open `{}`: it vanished as it was made",
                    path.display()
                ),
            )
        })?;
        folder.allow_readers(file_mode)?;
        Ok(folder)
    }

    /// Holds the folder at `path` for somebody who only looks; `None` when there is nothing.
    pub fn open(path: &Path) -> Result<Option<Self>, Failure> {
        Self::open_for(path, Writers::Anybody)
    }

    /// Holds the folder at `path`; `None` when there is nothing, `Err` (73) when others than `writers` can write to it.
    pub fn open_for(path: &Path, writers: Writers) -> Result<Option<Self>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
            Ok(fd) => {
                let folder = Self {
                    fd: Arc::new(fd),
                    path: path.to_owned(),
                    writers,
                };
                folder.refuse_strangers()?;
                Ok(Some(folder))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => {
                Err(error).doing(|| format!("cannot open the folder `{}`", path.display()))
            }
        }
    }

    /// Where it was when it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `name` in this folder, for messages.
    pub fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// A descriptor of its own for somebody else to keep.
    pub fn descriptor(&self) -> Result<OwnedFd, Failure> {
        self.fd
            .try_clone()
            .doing(|| format!("cannot hold `{}`", self.path.display()))
    }

    /// The folder `name` in this one; `None` when there is nothing, `Err` (73) when others can write to it than to this one.
    pub fn folder(&self, name: &str) -> Result<Option<Self>, Failure> {
        let folder = self.unchecked(name)?;
        folder.as_ref().map_or(Ok(()), Self::refuse_strangers)?;
        Ok(folder)
    }

    fn unchecked(&self, name: &str) -> Result<Option<Self>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::openat(self, name, flags, Mode::empty())) {
            Ok(fd) => Ok(Some(Self {
                fd: Arc::new(fd),
                path: self.path.join(name),
                writers: self.writers,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => {
                Err(error).doing(|| format!("cannot open the folder `{}`", self.shown(name)))
            }
        }
    }

    /// Makes the folder `name` for what is published (`generations`, `segments`), and checks that a rename reaches it.
    pub fn prepare_published(&self, name: &str, file_mode: Option<u32>) -> Result<(), Failure> {
        if self.folder(name)?.is_none() {
            self.ensure_folder(name, 0o777)?.allow_readers(file_mode)?;
        }
        let folder = self.ensure_folder(name, 0o777)?;
        if folder.stat()?.st_dev == self.stat()?.st_dev {
            return Ok(());
        }
        let message = format!(
            "cannot use `{}`: {name}/ is on another file system, and a rename cannot cross; mount one file system over the whole folder",
            self.path.display()
        );
        Err(Failure::new(Outcome::OutputUnusable, message))
    }

    /// The folder `name` in this one, made with `mode` (less umask, and closed to writers that are not allowed) where it is
    /// missing.
    pub fn ensure_folder(&self, name: &str, mode: u32) -> Result<Self, Failure> {
        let mode = mode & self.writers.folder_mode();
        match rustix::fs::mkdirat(self, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => {
                return Err(error).doing(|| format!("cannot create `{}`", self.shown(name)));
            }
        }
        let folder = self.folder(name)?;
        folder.ok_or_else(|| {
            let message = format!(
                "cannot open `{}`: it vanished as it was made",
                self.shown(name)
            );
            Failure::new(Outcome::OutputUnusable, message)
        })
    }

    /// A new file `name` with `mode` (less umask), open for writing and reading. `Err` when the name is taken.
    pub fn create(&self, name: &str, mode: u32) -> Result<File, Failure> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let fd = retry_on_intr(|| rustix::fs::openat(self, name, flags, mode))
            .doing(|| format!("cannot create `{}`", self.shown(name)))?;
        Ok(File::from(fd))
    }

    /// The regular file `name`, open for reading, and its status; `None` when there is nothing.
    pub fn file(&self, name: &str) -> Result<Option<(File, Stat)>, Failure> {
        // NONBLOCK: opening a FIFO would wait for a writer otherwise.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let doing = || format!("cannot open `{}`", self.shown(name));
        let fd = match retry_on_intr(|| rustix::fs::openat(self, name, flags, Mode::empty())) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(self.refused(name, "a link")),
            Err(Errno::NXIO) => return Err(self.refused(name, "a socket or a device")),
            Err(error) => return Err(error).doing(doing),
        };
        let stat = rustix::fs::fstat(&fd).doing(doing)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.refused(name, "not a regular file"));
        }
        Ok(Some((File::from(fd), stat)))
    }

    fn refused(&self, name: &str, what: &str) -> Failure {
        let message = format!(
            "cannot open `{}`: it is {what}; move it away",
            self.shown(name)
        );
        Failure::new(Outcome::OutputUnusable, message)
    }

    /// The size of the regular file `name`, which is not opened; `None` when there is nothing.
    pub fn size(&self, name: &str) -> Result<Option<i64>, Failure> {
        let stat = match rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(error).doing(|| format!("cannot inspect `{}`", self.shown(name)));
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Some(stat.st_size)),
            FileType::Symlink => Err(self.refused(name, "a link")),
            _ => Err(self.refused(name, "not a regular file")),
        }
    }

    /// The whole regular file `name`; `None` when there is nothing, `Err` when it is longer than `bytes_max`.
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Failure> {
        let Some((file, _)) = self.file(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .doing(|| format!("cannot read `{}`", self.shown(name)))?;
        if bytes.len() as u64 > bytes_max {
            let message = format!(
                "cannot read `{}`: it is larger than {bytes_max} bytes",
                self.shown(name)
            );
            return Err(Failure::new(Outcome::OutputUnusable, message));
        }
        Ok(Some(bytes))
    }

    /// What is called `name`, no link followed.
    pub fn entry(&self, name: &str) -> Result<Entry, Failure> {
        match retry_on_intr(|| rustix::fs::readlinkat(self, name, Vec::new())) {
            Ok(target) => Ok(Entry::Link(target.to_string_lossy().into_owned())),
            Err(Errno::NOENT) => Ok(Entry::Absent),
            Err(Errno::INVAL) => Ok(Entry::Other),
            Err(error) => {
                Err(error).doing(|| format!("cannot read the link `{}`", self.shown(name)))
            }
        }
    }

    /// The names in this folder that are `wanted`, in order. Names that are not UTF-8 are nobody's here.
    pub fn names(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Failure> {
        let doing = || format!("cannot list `{}`", self.path.display());
        let mut names = Vec::new();
        for entry in Dir::read_from(self).doing(doing)? {
            let entry = entry.doing(doing)?;
            match entry.file_name().to_str() {
                Ok(name) if name != "." && name != ".." && wanted(name) => {
                    names.push(name.to_owned());
                }
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes the file or link `name`; nothing there is fine.
    pub fn remove_file(&self, name: &str) -> Result<(), Failure> {
        match rustix::fs::unlinkat(self, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).doing(|| format!("cannot remove `{}`", self.shown(name))),
        }
    }

    /// Removes `name` and, if it is a folder, all that is in it and belongs to this user. `Err` leaves a part of it; it is
    /// that of `bounds.check` when that stopped it.
    pub fn remove_all(&self, name: &str, bounds: Bounds<'_>) -> Result<(), Failure> {
        let left = match remove::all(self.as_fd(), name, bounds) {
            Ok(()) => return Ok(()),
            Err(left) => left,
        };
        let shown = self.shown(name);
        let why = match left {
            NotRemoved::Stopped(failure) => return Err(failure),
            NotRemoved::Io(error) => {
                return Err(error).doing(|| format!("cannot remove `{shown}`"));
            }
            NotRemoved::Foreign(path, owner) => format!(
                "`{path}` belongs to user {owner}, and a run removes only what belongs to its own user; check it, then remove it as that user or root"
            ),
            NotRemoved::Mounted(path) => {
                format!("another file system is mounted at `{path}`; unmount it")
            }
            NotRemoved::Moved(path) => format!(
                "`{path}` was moved or replaced meanwhile, so the rest was left; check who else can write there"
            ),
            NotRemoved::TooMany => {
                format!(
                    "it holds more than {} folders; remove it by hand",
                    bounds.folders_max
                )
            }
        };
        let message = format!("cannot remove `{shown}`: {why}");
        Err(Failure::new(Outcome::OutputUnusable, message))
    }

    /// Makes this folder's entries survive a power cut. To be called once: after an error there is no second try.
    pub fn sync(&self) -> Result<(), Failure> {
        rustix::fs::fsync(self)
            .doing(|| format!("cannot sync the folder `{}`", self.path.display()))
    }

    /// Why nothing can be written here, if that is so: the disk is full, a quota is used up, or it is read-only. Tried in a file
    /// that never has a name. Somebody who is not the owner, and may not write, can tell nothing.
    pub fn takes_no_writes(&self) -> Option<io::Error> {
        const PIECE: [u8; 4096] = [0; 4096];
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = retry_on_intr(|| rustix::fs::openat(self, ".", flags, Mode::RUSR | Mode::WUSR));
        let written = made.and_then(|file| retry_on_intr(|| rustix::io::write(&file, &PIECE)));
        let error = written.err()?;
        let is_owner = || {
            let owner = self.stat().ok().map(|stat| stat.st_uid);
            owner == Some(rustix::process::geteuid().as_raw())
        };
        let is_so = match error {
            Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO => true,
            Errno::ACCESS | Errno::PERM => is_owner(),
            _ => false,
        };
        is_so.then(|| error.into())
    }

    pub fn stat(&self) -> Result<Stat, Failure> {
        rustix::fs::fstat(self).doing(|| format!("cannot inspect `{}`", self.path.display()))
    }

    /// Lets those into this folder that may read its files, where `OUTPUT_MODE` says who they are; otherwise umask applies.
    /// Who may write to its files may write to the folder only where that is allowed.
    pub fn allow_readers(&self, file_mode: Option<u32>) -> Result<(), Failure> {
        let Some(file_mode) = file_mode else {
            return Ok(());
        };
        // The folder's own set-group-ID bit stays: it is how files get the folder's group.
        let kept = self.stat()?.st_mode & 0o2000;
        let mode = 0o700 | file_mode | ((file_mode & 0o444) >> 2);
        let mode = (mode & self.writers.folder_mode()) | kept;
        rustix::fs::fchmod(self, Mode::from_raw_mode(mode))
            .doing(|| format!("set the mode of `{}`", self.path.display()))
    }
}

/// Makes a file's bytes survive a power cut. To be called once: after an error there is no second try.
pub fn sync_file(file: &File, name: impl Display) -> Result<(), Failure> {
    rustix::fs::fsync(file).doing(|| format!("cannot sync `{name}`"))
}

#[cfg(test)]
mod tests;
