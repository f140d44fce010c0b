//! The commit: the only module that moves `current`, which is what readers follow.
//!
//! `adopt` also replaces the `latest.*` link where an earlier script left a file, `new_segment` adds a segment that `current`
//! does not count in yet. `tests/it/tidy.rs` lists the modules that may rename.
//!
//! Until the rename over `current`, readers see the last generation; after it, this one; and nothing in between. What goes
//! into a generation is `sink`'s business, whether it may is `gates`'. All of it stays on the calling thread.

use std::fs::File;
use std::io::Write as _;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use serde_json::json;

use crate::folder::lock::Lock;
use crate::folder::{Doing as _, Entry, Folder, sync_file};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Committed, Failure, Outcome};
use crate::process::stop::Check;
use crate::sink::Commit;
use crate::sink::files::adopt;
use crate::sink::files::generation::{self, CURRENT, GENERATIONS, Generation, link};
use crate::sink::files::leftovers::refuse_foreign;
use crate::sink::files::new_segment::NewSegment;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::{self, Manifest};
use crate::sink::refused::forget_refused;
use crate::staging::run_folder::RunFolder;

/// A file of the new generation that has to be synced.
pub struct Written {
    pub name: &'static str,
    /// It, still open as it was written.
    pub file: File,
}

/// A generation that is complete but for its manifest.
#[must_use = "a generation that is not committed is removed"]
pub struct New<'r> {
    /// The lock under which it was made.
    pub lock: &'r Lock,
    /// Where it was made.
    pub staging: &'r RunFolder,
    /// The generation from which it was made.
    pub parent: Option<&'r Generation>,
    /// Its manifest; `finished` is filled in here, but of one that was restated.
    pub manifest: Manifest,
    /// Its files, but those it shares with its parent.
    pub written: Vec<Written>,
    /// The name of its data file; none of an append job.
    pub data_file: Option<&'static str>,
    /// What it appends, if it does.
    pub segment: Option<NewSegment>,
    /// Whether its data is its parent's, byte for byte.
    pub unchanged: bool,
    /// `--adopt`.
    pub adopt: bool,
    /// `OUTPUT_MODE`.
    pub file_mode: Option<u32>,
}

/// Makes `new` what readers and the next run see.
///
/// `Ok`: it survives a power cut. `Err`: the last generation is in place, unless `committed` says that this is not known.
pub fn commit(
    mut new: New<'_>,
    limits: &Limits,
    check: Check<'_>,
    log: &Log,
) -> Result<Commit, Failure> {
    let output = new.lock.folder().clone();
    let now = Timestamp::now();
    // One whose state alone is changed says when its data was committed.
    let restates = new.manifest.restated.is_some();
    if !restates {
        new.manifest.finished = format!("{now:.3}");
    }
    let manifest = new.manifest.to_bytes();
    let name = GenerationName::new(new.manifest.generation, now, &manifest);
    // A generation that the next run could not read would end every run from then on.
    let read = |bytes: &[u8]| generation::read_manifest(&name, bytes).map(|(read, _)| read);
    new.manifest.read_back(&manifest, limits, read)?;

    complete(&new, &manifest)?;
    let generations = move_in(&output, &new, &name)?;
    let swapped = generations
        .sync()
        .and_then(|()| match &new.segment {
            Some(segment) => segment.move_in(&output, new.staging, new.parent),
            None => Ok(()),
        })
        .and_then(|()| prepare(&output, &new))
        .and_then(|kept| {
            fence(&output, &new)?;
            check()?;
            swap(&output, &new, &name, &kept)
        });
    if let Err(failure) = swapped {
        if failure.committed == Committed::No {
            // Best effort: the next run removes what is left of it.
            new.staging.tidy(&generations, &name.to_string());
            if let Some(segment) = &new.segment {
                segment.remove(&output);
            }
        }
        return Err(failure);
    }
    if let Some(data_file) = new.data_file.filter(|_| new.unchanged) {
        touch(&generations, &name, data_file, log);
    }
    if !restates {
        forget_refused(&output, log);
    }
    Ok(Commit {
        generation: name.to_string(),
        records: new.manifest.counts.records,
        unchanged: new.unchanged,
    })
}

/// Makes the generation complete and durable where it was made: data, manifest, folder.
fn complete(new: &New<'_>, manifest: &[u8]) -> Result<(), Failure> {
    let folder = new.staging.generation();
    for written in &new.written {
        sync_file(&written.file, folder.shown(written.name))?;
    }
    if let Some(segment) = &new.segment {
        segment.complete(new.staging)?;
    }
    let mut file = folder.create(manifest::FILE, 0o666)?;
    file.write_all(manifest)
        .doing(|| format!("cannot write `{}`", folder.shown(manifest::FILE)))?;
    sync_file(&file, folder.shown(manifest::FILE))?;
    folder.sync()
}

/// Moves the generation to its final name. Nobody looks there yet.
fn move_in(output: &Folder, new: &New<'_>, name: &GenerationName) -> Result<Folder, Failure> {
    let generations = output.ensure_folder(GENERATIONS, 0o777)?;
    let from = crate::staging::run_folder::GENERATION;
    rustix::fs::renameat(new.staging.root(), from, &generations, name.to_string()).doing(|| {
        format!(
            "cannot move the new generation to `{}`",
            generations.shown(&name.to_string())
        )
    })?;
    Ok(generations)
}

/// What must be there before the swap: the link that readers open, and on a first run every folder on the way.
fn prepare(output: &Folder, new: &New<'_>) -> Result<adopt::Kept, Failure> {
    let kept = if new.adopt {
        adopt::keep(new.lock, new.file_mode)?
    } else {
        adopt::Kept::default()
    };
    if let Some(data_file) = new.data_file {
        ensure_link(new.lock, data_file, &kept)?;
    }
    if new.parent.is_none() {
        sync_upwards(output)?;
    }
    Ok(kept)
}

/// The link that readers open, in place.
fn ensure_link(lock: &Lock, data_file: &str, kept: &adopt::Kept) -> Result<(), Failure> {
    let output = lock.folder();
    let link = format!("{CURRENT}/{data_file}");
    match output.entry(data_file)? {
        Entry::Link(target) if target == link => Ok(()),
        Entry::Absent => rustix::fs::symlinkat(&link, output, data_file).doing(|| {
            format!(
                "cannot create the link `{}` (the file system must know links)",
                output.shown(data_file)
            )
        }),
        _ if kept.has(data_file) => Ok(()),
        _ => refuse_foreign(output),
    }
}

/// Syncs the output folder and all above it on its file system: a first run, or one killed before, may have made them.
fn sync_upwards(output: &Folder) -> Result<(), Failure> {
    output.sync()?;
    let device = output.stat()?.st_dev;
    let mut below = output.stat()?;
    let mut here = output.descriptor()?;
    loop {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        here = match rustix::fs::openat(&here, "..", flags, Mode::empty()) {
            Ok(above) => above,
            // A folder that we may not read is none that we made.
            Err(Errno::ACCESS | Errno::PERM) => return Ok(()),
            Err(error) => {
                return Err(error).doing(|| {
                    format!(
                        "cannot open the folders above `{}`",
                        output.path().display()
                    )
                });
            }
        };
        let stat = rustix::fs::fstat(&here)
            .doing(|| format!("look above `{}`", output.path().display()))?;
        if stat.st_dev != device || stat.st_ino == below.st_ino {
            return Ok(());
        }
        rustix::fs::fsync(&here).doing(|| {
            format!(
                "cannot sync the folders above `{}`",
                output.path().display()
            )
        })?;
        below = stat;
    }
}

/// Whether this run is still the only one: the lock is the one we took, and `current` names what we began from.
fn fence(output: &Folder, new: &New<'_>) -> Result<(), Failure> {
    new.lock.still_held()?;
    let parent = new.parent.map(|parent| &parent.name);
    let now = generation::current_name(output)?;
    if now.as_ref() == parent {
        return Ok(());
    }
    let shown = |name: Option<&GenerationName>| {
        name.map_or_else(|| "nothing".to_owned(), |name| format!("`{name}`"))
    };
    let message = format!(
        "cannot publish into `{}`: `{CURRENT}` names {} now, and this run began from {}; somebody else published meanwhile",
        output.path().display(),
        shown(now.as_ref()),
        shown(parent)
    );
    Err(Failure::new(Outcome::TryLater, message))
}

fn swap(
    output: &Folder,
    new: &New<'_>,
    name: &GenerationName,
    kept: &adopt::Kept,
) -> Result<(), Failure> {
    point(new.lock, name)?;
    if kept.is_empty() {
        return Ok(());
    }
    // Only now: before the swap is on disk, a power cut could take the old file and leave nothing in its place.
    adopt::replace(new.lock, new.data_file, kept)
        .and_then(|()| output.sync())
        .map_err(half_adopted)
}

/// Makes a generation that was published before what readers and the next run see.
///
/// `Ok`: it survives a power cut. `Err`: as of [`commit`].
pub fn go_back(lock: &Lock, to: &Generation) -> Result<(), Failure> {
    if let Some(set) = to.set() {
        ensure_link(lock, set.file, &adopt::Kept::default())?;
    }
    lock.still_held()?;
    point(lock, &to.name)
}

/// THE COMMIT POINT.
fn point(lock: &Lock, name: &GenerationName) -> Result<(), Failure> {
    let output = lock.folder();
    let temporary = format!(".{CURRENT}-{}", lock.run_id());
    rustix::fs::symlinkat(link(name), output, &temporary).doing(|| {
        format!(
            "cannot create the link `{}` (the file system must know links)",
            output.shown(&temporary)
        )
    })?;
    if let Err(error) = rustix::fs::renameat(output, &temporary, output, CURRENT) {
        let _ = output.remove_file(&temporary);
        let failed = Err(error).doing(|| format!("cannot rename over `{}`", output.shown(CURRENT)));
        // Whether it was done is asked, not guessed.
        return match output.entry(CURRENT) {
            Ok(Entry::Link(target)) if target == link(name) => failed.map_err(unknown),
            Ok(_) => failed,
            Err(_) => failed.map_err(unknown),
        };
    }
    output.sync().map_err(unknown)
}

/// A failure after the swap.
fn unknown(failure: Failure) -> Failure {
    after_swap(
        failure,
        "the new generation had just been put in its place, and whether it survives a power cut is not known",
    )
}

/// A failure after the swap, when an earlier script's files are still to leave our way.
fn half_adopted(failure: Failure) -> Failure {
    after_swap(
        failure,
        "the new generation is in its place, but the earlier script's files may still be in the way; run again with `--adopt`",
    )
}

fn after_swap(mut failure: Failure, how_it_stands: &str) -> Failure {
    failure.outcome = Outcome::IoFailed;
    failure.committed = Committed::Unknown;
    failure.message = format!("{}; {how_it_stands}", failure.message);
    failure
}

/// For monitors that look at the data file's time: data that is still current is fresh. Their trouble is not the run's.
fn touch(generations: &Folder, name: &GenerationName, data_file: &str, log: &Log) {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
    };
    let file = format!("{name}/{data_file}");
    if let Err(error) = rustix::fs::utimensat(generations, &file, &times, AtFlags::SYMLINK_NOFOLLOW)
    {
        log.warn(
            "modification time not set",
            json!({ "file": file, "error": error.to_string() }),
        );
    }
}

/// Replaces a small file by a rename. `Err`: the old one is in place. Not synced: for what may be lost.
pub fn replace_file(
    folder: &Folder,
    name: &str,
    run_id: &str,
    bytes: &[u8],
) -> Result<(), Failure> {
    replace(folder, name, run_id, bytes, |_, _| Ok(()))
}

/// The same, and after a power cut it is the old one or the new one, whole.
pub fn replace_file_whole(
    folder: &Folder,
    name: &str,
    run_id: &str,
    bytes: &[u8],
) -> Result<(), Failure> {
    replace(folder, name, run_id, bytes, sync_file)
}

fn replace(
    folder: &Folder,
    name: &str,
    run_id: &str,
    bytes: &[u8],
    sync: impl FnOnce(&File, String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stem = name.split('.').next().unwrap_or(name);
    let temporary = format!(".{stem}-{run_id}");
    folder.remove_file(&temporary)?;
    let written = folder.create(&temporary, 0o666).and_then(|mut file| {
        file.write_all(bytes)
            .doing(|| format!("cannot write `{}`", folder.shown(&temporary)))?;
        sync(&file, folder.shown(&temporary))?;
        rustix::fs::renameat(folder, &temporary, folder, name)
            .doing(|| format!("cannot rename over `{}`", folder.shown(name)))
    });
    if written.is_err() {
        let _ = folder.remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests;
