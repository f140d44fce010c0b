//! A folder of our own among the system's temporary ones.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::limits::{Limits, TEMPORARY_NAMES_MAX};
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;

use super::trust::Rights;
use super::{Bounds, Doing as _, Folder, Writers, within};

/// Digits in a name.
const DIGITS: usize = 12;

/// Nobody else may look into it; dropped, it is removed. Held by a lock on the folder itself, which ends with its process.
#[derive(Debug)]
#[must_use = "the folder is removed when this is dropped"]
pub struct Temporary {
    path: PathBuf,
    folder: Folder,
    lock: File,
    limits: Limits,
}

impl Temporary {
    /// Makes one in `above` (`TMPDIR`), `what` being part of its name.
    pub fn new(what: &str, above: &Path, limits: &Limits) -> Result<Self, Failure> {
        for _ in 0..TEMPORARY_NAMES_MAX {
            let digits = random_digits() >> (64 - 4 * DIGITS);
            let name = format!("{}{digits:0DIGITS$x}", prefix(what));
            let path = above.join(name);
            let made = DirBuilder::new().mode(0o700).create(&path);
            if made
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::AlreadyExists)
            {
                continue;
            }
            made.doing(|| format!("cannot create `{}`", path.display()))
                .map_err(with_advice)?;
            // Who may write to the folder above can have put another one in its place.
            let folder = Folder::open_for(&path, Writers::Nobody)?;
            if let (Some(lock), Some(folder)) = (held(&path), folder) {
                return Ok(Self {
                    path,
                    folder,
                    lock,
                    limits: limits.clone(),
                });
            }
        }
        let message = format!(
            "cannot make a folder in `{}`: each name is taken, or removed as it is made",
            above.display()
        );
        Err(Failure::new(Outcome::IoFailed, message))
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = remove(&self.path, &self.limits, &within(self.limits.tidy_time));
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The system's temporary folder is not a setting of tidegate.
fn with_advice(mut failure: Failure) -> Failure {
    if failure.outcome == Outcome::OutputUnusable {
        failure
            .message
            .push_str("; set TMPDIR to a folder that this user may write to");
    }
    failure
}

/// Removes what killed processes of this user left in `above`, and says what that was. `check` stops it, and the next run goes on.
pub fn sweep(what: &str, above: &Path, limits: &Limits, check: Check<'_>) -> Vec<String> {
    let in_time = within(limits.sweep_time);
    let both = || check().and_then(|()| in_time());
    let (prefix, ours) = (prefix(what), rustix::process::geteuid().as_raw());
    // Where others can rename what is ours, a folder of this name may be anything.
    let is_safe = std::fs::metadata(above).is_ok_and(|metadata| {
        let rights = Rights::from(&metadata);
        rights.stranger().is_none() || rights.is_sticky()
    });
    if !is_safe {
        return Vec::new();
    }
    let entries = std::fs::read_dir(above).into_iter().flatten();
    let mut removed = Vec::new();
    for entry in entries.flatten().take(limits.temporary_entries) {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let is_named = name.strip_prefix(&prefix).is_some_and(|digits| {
            digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        let path = entry.path();
        if !is_named
            || !entry
                .metadata()
                .is_ok_and(|own| own.is_dir() && own.uid() == ours)
        {
            continue;
        }
        // Whoever makes one in this moment finds it taken, and makes another.
        let Some(_held) = held(&path) else { continue };
        if remove(&path, limits, &both).is_ok() {
            removed.push(path.display().to_string());
        }
    }
    removed
}

fn remove(path: &Path, limits: &Limits, check: Check<'_>) -> Result<(), Failure> {
    let bounds = Bounds {
        folders_max: limits.leftover_folders,
        check,
    };
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent().map(Folder::open).transpose()?.flatten(), name) {
        (Some(parent), Some(name)) => parent.remove_all(name, bounds),
        _ => Ok(()),
    }
}

fn prefix(what: &str) -> String {
    format!("tidegate-{what}-")
}

/// The lock on the folder with this name; none when somebody else has it, or it is gone.
fn held(path: &Path) -> Option<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let folder = opened.ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (own, now) = (
        folder.metadata().ok()?,
        std::fs::symlink_metadata(path).ok()?,
    );
    ((own.dev(), own.ino()) == (now.dev(), now.ino())).then_some(folder)
}

/// Digits that differ from process to process. No secret.
pub fn random_digits() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_stays_and_what_it_left_is_removed() {
        let held = Temporary::new("swept", &std::env::temp_dir(), &Limits::default()).unwrap();
        let left = Temporary::new("swept", &std::env::temp_dir(), &Limits::default()).unwrap();
        std::fs::write(left.path.join("file"), "x").unwrap();
        let path = left.path.clone();
        // As a kill would have it: the lock is gone, and the folder is not.
        flock(&left.lock, FlockOperation::Unlock).unwrap();

        let removed = sweep("swept", &std::env::temp_dir(), &Limits::default(), &|| {
            Ok(())
        });

        assert_eq!(removed, [path.display().to_string()]);
        assert!(held.path.exists() && !path.exists());
        assert_eq!(
            sweep("other", &std::env::temp_dir(), &Limits::default(), &|| Ok(
                ()
            )),
            [""; 0]
        );
    }

    #[test]
    fn what_only_looks_like_ours_is_left_alone() {
        let beside = std::env::temp_dir().join("tidegate-likeness-0123456789ab.txt");
        let link =
            std::env::temp_dir().join(format!("tidegate-likeness-{:012x}", random_digits() >> 16));
        std::fs::create_dir_all(&beside).unwrap();
        std::os::unix::fs::symlink(&beside, &link).unwrap();

        let removed = sweep(
            "likeness",
            &std::env::temp_dir(),
            &Limits::default(),
            &|| Ok(()),
        );

        assert_eq!(removed, [""; 0]);
        assert!(beside.exists());
        std::fs::remove_file(link).unwrap();
        std::fs::remove_dir(beside).unwrap();
    }
}
