//! Removes old generations, after the commit. What cannot be removed is a warning: the data is published.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde_json::json;

use crate::folder::lock::Lock;
use crate::folder::{Bounds, Entry};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::settings::data_file::DATA_FILES;
use crate::sink::files::generation::{self, CURRENT, GENERATIONS};
use crate::sink::files::pins::Pins;
use crate::sink::files::segment;
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::{self, Manifest};

/// Which sets are kept: those of either.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// So many different ones, two at the least.
    pub sets: usize,
    /// Those that another one replaced within this time.
    pub span: Duration,
}

/// Keeps the newest generation of each different set that is to be kept, what is pinned, and what was superseded just now. For
/// an append job a set is what there is up to a segment. Segments stay.
///
/// Also removes a link of another format that leads nowhere now. Never fails: it warns. `check` stops it, and the next run
/// goes on.
pub fn retire(lock: &Lock, keep: Keep, limits: &Limits, check: Check<'_>, log: &Log) {
    let result = retire_at(lock, keep, limits, check, log, Timestamp::now());
    if let Err(failure) = result.and_then(|()| remove_stale_links(lock)) {
        log.warn(
            "old generations not removed",
            json!({ "error": failure.message }),
        );
    }
}

pub(super) fn retire_at(
    lock: &Lock,
    keep: Keep,
    limits: &Limits,
    check: Check<'_>,
    log: &Log,
    now: Timestamp,
) -> Result<(), Failure> {
    let output = lock.folder();
    let Some(current) = generation::current_name(output)? else {
        return Ok(());
    };
    let Some(generations) = output.folder(GENERATIONS)? else {
        return Ok(());
    };
    let mut names = generation::names(&generations)?;
    names.retain(|name| name.number <= current.number);
    let pins = Pins::read(output, limits)?;
    let bounds = Bounds {
        folders_max: limits.leftover_folders,
        check,
    };
    // Those of the pinned ones do not count.
    let (mut kept_sets, mut kept_count) = (BTreeSet::new(), 0);
    let mut superseded: Option<GenerationName> = None;
    // When each newer one was committed, and the greatest number that may be an ancestor of the current one.
    let (mut newer, mut most) = (Vec::new(), u64::MAX);
    for name in names.into_iter().rev() {
        let text = name.to_string();
        let is_pinned = pins.of(&name).is_some();
        if is_pinned && name.number > most {
            // It was gone back from, so it superseded nothing.
            continue;
        }
        // It was not superseded before it was there, whatever the clock said.
        let by = newer.iter().rev().find(|at| **at >= name.committed);
        let age = by.map(|by: &Timestamp| now.duration_since(*by).as_secs());
        let manifest = generation::manifest_of(&generations, &name, limits);
        if let Ok(Some(manifest)) = &manifest {
            most = generation::parent_number(Some(manifest)).unwrap_or(most);
        }
        let kept = match manifest {
            // Half removed: the manifest goes first.
            Ok(None) if name != current => false,
            Ok(Some(manifest)) => {
                let set = set_of(&manifest).unwrap_or_else(|| text.clone());
                let is_another = !kept_sets.contains(&set);
                let is_wanted = kept_count < keep.sets.max(2)
                    || keep.span > limits.superseded_kept
                        && kept_count < limits.sets_kept
                        && is_within(age, keep.span);
                if is_another && (is_pinned || is_wanted) {
                    kept_sets.insert(set);
                    kept_count += usize::from(!is_pinned);
                }
                is_another && is_wanted
            }
            Ok(None) => true,
            // Not to be judged, so not to be removed.
            Err(failure) => {
                log.warn(
                    "old generation not judged, so kept",
                    json!({ "generation": text, "error": failure.message }),
                );
                true
            }
        };
        let just_now = superseded.as_ref().is_some_and(|by| {
            // The name knows whole seconds. A clock that was set back counts as long ago, or nothing would ever go.
            let since = now.duration_since(by.committed).as_secs() - 1;
            since.unsigned_abs() < limits.superseded_kept.as_secs()
        });
        if !kept && !is_pinned && !just_now && name != current {
            let removed = generations
                .folder(&text)
                .and_then(|folder| {
                    folder.map_or(Ok(()), |folder| folder.remove_file(manifest::FILE))
                })
                .and_then(|()| generations.remove_all(&text, bounds));
            if let Err(failure) = removed {
                check()?;
                log.warn(
                    "old generation not removed",
                    json!({ "generation": text, "error": failure.message }),
                );
            }
        }
        newer.push(name.committed);
        superseded = Some(name);
    }
    Ok(())
}

/// Whether a set that was superseded so many seconds ago is still to be kept. The name knows whole seconds; one of the future is
/// kept, as the clock was set back.
fn is_within(age: Option<i64>, span: Duration) -> bool {
    let span = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    age.is_none_or(|age| age.saturating_sub(1) < span)
}

/// What tells the set of a generation from others.
pub(super) fn set_of(manifest: &Manifest) -> Option<String> {
    if manifest.appends() {
        let newest = |file: &&String| segment::SegmentName::listed(file).is_some();
        let newest = manifest.files.keys().find(newest).cloned();
        return Some(newest.unwrap_or_else(|| "no segment yet".to_owned()));
    }
    let data = DATA_FILES
        .iter()
        .find_map(|file| manifest.files.get(*file))?;
    Some(data.sha256.clone())
}

/// After a change of `OUTPUT_FORMAT` the other format's link leads nowhere; under append every one does.
fn remove_stale_links(lock: &Lock) -> Result<(), Failure> {
    let output = lock.folder();
    for name in DATA_FILES {
        let ours = output.entry(name)? == Entry::Link(format!("{CURRENT}/{name}"));
        let leads_to = rustix::fs::statat(output, name, AtFlags::empty());
        if ours && leads_to.is_err_and(|error| error == Errno::NOENT) {
            output.remove_file(name)?;
        }
    }
    Ok(())
}
