//! A file with a secret that is given up as soon as it is used, and has to be replaced by the next one: a refresh token.
//!
//! One process at a time uses the file, by a lock on a second file beside it. A new secret is in place, and survives a power
//! cut, when [`Held::replace`] returns; until then the old one is. Nobody ever finds a part of one. Owner, group and mode stay.

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::{Errno, retry_on_intr};
use zeroize::Zeroizing;

use crate::folder::trust::{Rights, refuse_strangers};
use crate::given_file::within::Within;
use crate::given_file::{self, Holds, one_line};
use crate::secret::Secret;

const READ_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const LOCK_FILE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// The file of a secret that is replaced by each use.
#[derive(Debug, Clone)]
pub struct RotatedFile {
    path: PathBuf,
    bytes_max: u64,
    /// Where it has to be, where a policy is in force: it is read and written.
    within: Vec<Arc<Within>>,
}

impl RotatedFile {
    /// The file at `path`, of at most so many bytes.
    pub fn new(path: PathBuf, bytes_max: u64) -> Self {
        Self {
            path,
            bytes_max,
            within: Vec::new(),
        }
    }

    /// The same, used only where it is below each of these folders at that time.
    #[must_use]
    pub fn within(mut self, within: Arc<Within>) -> Self {
        self.within.push(within);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `Err` says why it cannot be replaced, as far as a look tells; it completes a sentence about the file.
    pub fn check(&self) -> Result<(), String> {
        let (folder, name) = self.place()?;
        let stat = regular(&folder, &name)?;
        let rights = Rights::from(&stat);
        let is_root = rustix::process::geteuid().is_root();
        if !rights.is_ours() && !is_root {
            return Err(format!(
                "it belongs to user {}, and a new file would belong to this user: `chown` it",
                rights.owner
            ));
        }
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&folder, ".", access, AtFlags::EACCESS)
            .map_err(|error| format!("its folder cannot be written to: {}", words(error)))
    }

    /// Takes the lock; none while another process has it. `Err` says why the file cannot be used.
    pub fn hold(&self) -> Result<Option<Held>, String> {
        for within in &self.within {
            within.resolve(&self.path)?;
        }
        let (folder, name) = self.place()?;
        let lock_name = format!(".{name}.lock");
        let mode = Mode::from_raw_mode(0o600);
        let lock = retry_on_intr(|| rustix::fs::openat(&folder, &*lock_name, LOCK_FILE, mode))
            .map_err(|error| format!("`{lock_name}` beside it cannot be made: {}", words(error)))?;
        match retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => {
                return Err(format!("`{lock_name}` cannot be locked: {}", words(error)));
            }
        }
        Ok(Some(Held {
            folder,
            name,
            bytes_max: self.bytes_max,
            path: self.path.clone(),
            _lock: lock,
        }))
    }

    /// Its folder, held, and its name there.
    fn place(&self) -> Result<(OwnedFd, String), String> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or("its name is not UTF-8, or none")?.to_owned();
        let above = self.path.parent().unwrap_or(Path::new(""));
        let above = if above == Path::new("") {
            Path::new(".")
        } else {
            above
        };
        let folder = retry_on_intr(|| rustix::fs::open(above, READ_FOLDER, Mode::empty()))
            .map_err(|error| format!("its folder cannot be opened: {}", words(error)))?;
        let rights = Rights::from(&rustix::fs::fstat(&folder).map_err(words)?);
        refuse_strangers(rights, &above.display().to_string())
            .map_err(|why| format!("others could replace it in its folder: {why}"))?;
        Ok((folder, name))
    }
}

/// The file, with the lock: nobody else replaces it before this is dropped.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct Held {
    folder: OwnedFd,
    name: String,
    bytes_max: u64,
    path: PathBuf,
    _lock: OwnedFd,
}

impl Held {
    /// What is in the file now.
    pub fn read(&self) -> Result<Secret, String> {
        regular(&self.folder, &self.name)?;
        let (bytes, _) = given_file::read_regular(&self.path, self.bytes_max, Holds::Trusted)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let line = one_line(text).ok_or("it is empty")?;
        Ok(Secret::from(line.as_str()))
    }

    /// Puts `secret` into the file. `Ok`: it survives a power cut. `Err`: the old content is still there, and not in part.
    pub fn replace(&self, secret: &Secret) -> Result<(), String> {
        let new = format!(".{}.new", self.name);
        // What a run left that was killed: nobody else is here now.
        match rustix::fs::unlinkat(&self.folder, &*new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(format!("`{new}` cannot be removed: {}", words(error))),
        }
        let before = regular(&self.folder, &self.name)?;
        let written = self.write(&new, &before, secret).and_then(|()| {
            rustix::fs::renameat(&self.folder, &*new, &self.folder, &*self.name).map_err(words)
        });
        if let Err(error) = written {
            let _ = rustix::fs::unlinkat(&self.folder, &*new, AtFlags::empty());
            return Err(error);
        }
        // On ext4 a rename alone can be lost in a power cut.
        rustix::fs::fsync(&self.folder).map_err(words)
    }

    /// Writes `secret` over what is in the file, where it cannot be replaced: on a full disk, say, as the bytes are there already.
    /// Killed in the middle, it leaves neither of the two: for a secret that would be lost otherwise, and nothing else.
    pub fn write_over(&self, secret: &Secret) -> Result<(), String> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd =
            retry_on_intr(|| rustix::fs::openat(&self.folder, &*self.name, flags, Mode::empty()));
        let mut file = File::from(fd.map_err(words)?);
        let text = Zeroizing::new(format!("{}\n", secret.expose()));
        file.write_all(text.as_bytes()).map_err(words)?;
        file.set_len(text.len() as u64).map_err(words)?;
        file.sync_all().map_err(words)
    }

    fn write(&self, new: &str, before: &Stat, secret: &Secret) -> Result<(), String> {
        let mode = Mode::from_raw_mode(0o600);
        let fd = retry_on_intr(|| rustix::fs::openat(&self.folder, new, NEW_FILE, mode))
            .map_err(|error| format!("`{new}` beside it cannot be made: {}", words(error)))?;
        let own = rustix::fs::fstat(&fd).map_err(words)?;
        let changed = |was: u32, is: u32| (was != is).then_some(was);
        let owner = changed(before.st_uid, own.st_uid).map(Uid::from_raw);
        let group = changed(before.st_gid, own.st_gid).map(Gid::from_raw);
        if owner.is_some() || group.is_some() {
            rustix::fs::fchown(&fd, owner, group)
                .map_err(|error| format!("a new file cannot get its owner: {}", words(error)))?;
        }
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(before.st_mode & 0o777)).map_err(words)?;
        let mut file = File::from(fd);
        let text = Zeroizing::new(format!("{}\n", secret.expose()));
        file.write_all(text.as_bytes()).map_err(words)?;
        file.sync_all().map_err(words)
    }
}

/// The regular file of this name; no link is followed.
fn regular(folder: &OwnedFd, name: &str) -> Result<Stat, String> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(words)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        FileType::Symlink => {
            Err("it is a link, as in a mounted secret; name a regular file".to_owned())
        }
        _ => Err("it is no regular file".to_owned()),
    }
}

fn words(error: impl Into<std::io::Error> + Display) -> String {
    error.into().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn with_token(token: &str) -> (tempfile::TempDir, RotatedFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refresh-token");
        fs::write(&path, token).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        (folder, RotatedFile::new(path, 100))
    }

    #[test]
    fn what_cannot_be_replaced_is_written_over() {
        let (_folder, file) = with_token("first, and longer\n");
        let held = file.hold().unwrap().unwrap();
        fs::create_dir(file.path().with_file_name(".refresh-token.new")).unwrap();
        let next = Secret::from("second");

        assert!(held.replace(&next).is_err());
        held.write_over(&next).unwrap();

        assert_eq!(fs::read_to_string(file.path()).unwrap(), "second\n");
        assert_eq!(held.read().unwrap().expose(), "second");
    }

    #[test]
    fn the_next_secret_takes_the_place_of_the_last_and_its_mode() {
        let (_folder, file) = with_token("first\n");
        let held = file.hold().unwrap().unwrap();
        // What a killed run left.
        fs::write(file.path().with_file_name(".refresh-token.new"), "torn").unwrap();

        held.replace(&Secret::from("second")).unwrap();

        assert_eq!(held.read().unwrap().expose(), "second");
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(!file.path().with_file_name(".refresh-token.new").exists());
    }

    #[test]
    fn one_at_a_time_holds_it() {
        let (_folder, file) = with_token("first");
        let held = file.hold().unwrap().unwrap();

        assert!(file.hold().unwrap().is_none());
        drop(held);
        assert!(file.hold().unwrap().is_some());
    }

    #[test]
    fn what_cannot_be_replaced_is_refused_at_a_look() {
        let (folder, file) = with_token("first");
        assert_eq!(file.check(), Ok(()));
        let link = folder.path().join("link");
        symlink(file.path(), &link).unwrap();

        let refused = |path: PathBuf| RotatedFile::new(path, 100).check().unwrap_err();

        assert!(refused(link).contains("it is a link"));
        assert!(refused(folder.path().join("nothing")).contains("No such file"));
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        assert!(refused(below).contains("regular file"));
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), all).unwrap();
        assert!(file.check().unwrap_err().contains("others could replace"));
    }

    #[test]
    fn a_file_outside_what_is_granted_is_not_used() {
        let (folder, file) = with_token("first");
        let elsewhere = Arc::new(Within::new([folder.path().join("own")]));

        assert!(file.within(elsewhere).hold().is_err());
    }
}
