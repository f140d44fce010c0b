//! One run at a time for each output folder, by `flock` on a file that is never removed.
//!
//! The lock belongs to the open file and dies with its process, so there is no stale one. What the file
//! says is for people. Only who holds the lock removes leftovers of killed runs, and makes a staging folder.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::folder::{Doing as _, Folder, refuse_foreign_file};
use crate::limits::LOCK_TRIES_MAX;
use crate::outcome::{Failure, Outcome};

const FILE: &str = ".lock";
/// What is read of the file to say who holds it.
const HOLDER_BYTES: u64 = 1024;

/// The lock on an output folder; dropped, the next run may have it.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct Lock {
    folder: Folder,
    file: File,
    /// Device and inode of the locked file.
    identity: (u64, u64),
    run_id: String,
}

/// Who holds the lock, for people.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    run_id: String,
    since: String,
}

/// Between two tries to take the lock.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Whether a run holds the lock; none where that cannot be told by this user.
///
/// A holder that lives is believed. Otherwise the lock is taken for a moment, and shared, so that lookers do not fail each
/// other.
pub fn is_held(folder: &Folder) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match retry_on_intr(|| rustix::fs::openat(folder, FILE, flags, Mode::empty())) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Some(false),
        Err(_) => return None,
    };
    let mut text = String::new();
    let _ = (&file).take(HOLDER_BYTES).read_to_string(&mut text);
    let holder = serde_json::from_str::<Holder>(&text).ok();
    let pid = holder.and_then(|holder| Pid::from_raw(i32::try_from(holder.pid).ok()?));
    if pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok()) {
        return Some(true);
    }
    match retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)) {
        Ok(()) => Some(false),
        Err(Errno::WOULDBLOCK) => Some(true),
        Err(_) => None,
    }
}

/// Takes the lock, and waits for nobody but who only looks at it ([`is_held`]), which takes a moment.
///
/// `Err` with [`Outcome::TryLater`] means that another run holds it, and nothing else does; 73 that it cannot be taken here.
pub fn acquire(folder: &Folder, run_id: &str) -> Result<Lock, Failure> {
    assert!(
        !run_id.is_empty()
            && run_id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "a run id becomes part of file names"
    );
    let shown = folder.shown(FILE);
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let file = match retry_on_intr(|| rustix::fs::openat(folder, FILE, flags, mode)) {
        Ok(fd) => File::from(fd),
        Err(Errno::LOOP) => {
            let message = format!(
                "cannot open the lock `{shown}`: it is a link; nothing was written; remove it"
            );
            return Err(Failure::new(Outcome::OutputUnusable, message));
        }
        Err(error) => return Err(error).doing(|| format!("cannot open the lock `{shown}`")),
    };
    let stat = rustix::fs::fstat(&file).doing(|| format!("cannot inspect the lock `{shown}`"))?;
    // Before it is written to: by a second name it could be anybody's file.
    refuse_foreign_file(&stat, &shown)?;
    let mut tried = 0;
    let locked = loop {
        tried += 1;
        let locked =
            retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive));
        if locked != Err(Errno::WOULDBLOCK) || tried == LOCK_TRIES_MAX {
            break locked;
        }
        std::thread::sleep(LOOK_PAUSE);
    };
    match locked {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(held(folder, &file)),
        Err(error) => {
            return Err(error)
                .doing(|| format!("cannot lock `{shown}` (the file system must know flock)"));
        }
    }
    let lock = Lock {
        folder: folder.clone(),
        identity: identity(&stat),
        file,
        run_id: run_id.to_owned(),
    };
    // Somebody may have removed the file between our opening and our locking it.
    lock.still_held()?;
    lock.sign();
    Ok(lock)
}

impl Lock {
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The run that holds this lock.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// `Err` when the file under the lock's name is no longer the one we locked: another run may hold that one.
    pub fn still_held(&self) -> Result<(), Failure> {
        let shown = self.folder.shown(FILE);
        let now = match rustix::fs::statat(&self.folder, FILE, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(identity(&stat)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error).doing(|| format!("cannot inspect the lock `{shown}`")),
        };
        if now == Some(self.identity) {
            return Ok(());
        }
        let message = format!(
            "lost the lock: somebody removed or replaced `{shown}` while this run held it; leave that file alone"
        );
        Err(Failure::new(Outcome::OutputUnusable, message))
    }

    /// Writes down who we are. For people only: a full disk is noticed where it matters.
    fn sign(&self) {
        let holder = Holder {
            pid: std::process::id(),
            run_id: self.run_id.clone(),
            since: format!("{:.0}", jiff::Timestamp::now()),
        };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| (&self.file).write_all(format!("{text}\n").as_bytes()));
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn held(folder: &Folder, file: &File) -> Failure {
    let mut text = String::new();
    let read = file.take(HOLDER_BYTES).read_to_string(&mut text);
    let holder = read
        .ok()
        .and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let who = holder.map_or_else(
        || "another run".to_owned(),
        |holder| {
            let (run_id, since) = (holder.run_id.escape_debug(), holder.since.escape_debug());
            format!("run {run_id} (pid {}, since {since})", holder.pid)
        },
    );
    let message = format!("cannot lock `{}`: {who} holds it", folder.path().display());
    Failure::overlap(message)
}

#[cfg(test)]
mod tests {
    use rustix::fs::FileType;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        (temp, folder)
    }

    #[test]
    fn the_second_run_is_told_who_holds_the_lock() {
        let (_temp, folder) = folder();
        let _first = acquire(&folder, "first").unwrap();

        let failure = acquire(&folder, "second").unwrap_err();

        assert_eq!(failure.outcome, Outcome::TryLater);
        assert!(failure.message.contains("run first (pid"), "{failure}");
    }

    #[test]
    fn who_only_looks_at_the_lock_fails_no_run() {
        let (temp, folder) = folder();
        drop(acquire(&folder, "before").unwrap());
        let looker = File::open(temp.path().join(FILE)).unwrap();
        rustix::fs::flock(&looker, FlockOperation::NonBlockingLockShared).unwrap();
        let looks = std::thread::spawn(move || {
            std::thread::sleep(LOOK_PAUSE);
            drop(looker);
        });

        let run = acquire(&folder, "run");

        looks.join().unwrap();
        run.unwrap().still_held().unwrap();
    }

    #[test]
    fn a_dropped_lock_is_free() {
        let (_temp, folder) = folder();
        drop(acquire(&folder, "first").unwrap());

        let second = acquire(&folder, "second").unwrap();

        second.still_held().unwrap();
    }

    #[test]
    fn a_lock_file_that_was_replaced_is_noticed() {
        let (temp, folder) = folder();
        let lock = acquire(&folder, "first").unwrap();
        std::fs::rename(temp.path().join(FILE), temp.path().join("elsewhere")).unwrap();
        std::fs::write(temp.path().join(FILE), "").unwrap();

        let failure = lock.still_held().unwrap_err();

        assert_eq!(failure.outcome, Outcome::OutputUnusable);
        assert!(failure.message.contains("replaced"), "{failure}");
    }

    #[test]
    fn a_fifo_in_place_of_the_lock_is_refused_without_waiting() {
        let (_temp, folder) = folder();
        rustix::fs::mknodat(&folder, FILE, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();

        let failure = acquire(&folder, "first").unwrap_err();

        assert!(failure.message.contains("not a regular file"), "{failure}");
    }

    #[test]
    fn garbage_in_the_lock_file_is_nobody() {
        let (temp, folder) = folder();
        let _first = acquire(&folder, "first").unwrap();
        std::fs::write(temp.path().join(FILE), "\u{1b}[31m").unwrap();

        let failure = acquire(&folder, "second").unwrap_err();

        assert!(
            failure.message.ends_with("another run holds it"),
            "{failure}"
        );
    }
}
