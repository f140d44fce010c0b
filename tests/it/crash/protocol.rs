//! The rules by which a generation that was published is there after a power cut, and one that was not is not half there.
//!
//! A kernel may write what was not synced in any order, or never. So each rule says what must have been synced, or linked,
//! before what. They are checked against the recorded calls of real runs; `controls` shows that no call could be left out.

use std::collections::BTreeMap;
use std::path::Path;

use super::calls::{Call, Ended, OUTPUT, is_outside};

mod controls;

/// What is known of the folder before the run.
pub struct Before {
    /// The number of the generation that readers saw, none before the first.
    pub generation: Option<u64>,
    /// `OUTPUT_DIR`, from the root.
    pub output: String,
    /// The folders above it on its file system, from the root.
    pub above: Vec<String>,
    /// Whether a segment was committed.
    pub has_segments: bool,
    /// What readers open: `latest.json`, by format.
    pub latest: &'static str,
}

/// The calls by which the others are judged.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The generation gets its name.
    pub moved: usize,
    /// Readers see it.
    pub swap: usize,
    /// The first sync of `OUTPUT_DIR` after that; the end of the log if there is none.
    pub lasts: usize,
    /// `run finished` is printed; the end of the log if it is not.
    pub told: usize,
    /// Where the generation was made.
    pub made: String,
    /// Where it is.
    pub generation: String,
}

/// The rename over `current`.
pub fn swap(calls: &[Call]) -> Option<usize> {
    calls
        .iter()
        .position(|call| renames_to(call, |to| to == "current"))
}

/// Finds the marks. `Err` says which there is not one of.
pub fn marks(calls: &[Call]) -> Result<Marks, String> {
    let only = |what: &str, is: &dyn Fn(&str) -> bool| {
        let found: Vec<usize> = (0..calls.len())
            .filter(|&at| renames_to(&calls[at], is))
            .collect();
        if let [at] = found[..] {
            Ok(at)
        } else {
            Err(format!(
                "{} renames {what}, and there must be one",
                found.len()
            ))
        }
    };
    let moved = only("into generations/", &|to| parent(to) == Some("generations"))?;
    let swap = only("over current", &|to| to == "current")?;
    let after = |is: &dyn Fn(&Call) -> bool| {
        (swap..calls.len())
            .find(|&at| is(&calls[at]))
            .unwrap_or(calls.len())
    };
    Ok(Marks {
        moved,
        swap,
        lasts: after(&|call| call.is("fsync", OUTPUT)),
        told: after(&|call| call.is("write", "stdout") && call.args.contains("run finished")),
        made: calls[moved].paths[0].clone(),
        generation: calls[moved].paths[1].clone(),
    })
}

/// The rules that these calls break, in words.
pub fn broken(calls: &[Call], before: &Before) -> Vec<String> {
    let marks = match marks(calls) {
        Ok(marks) => marks,
        Err(missing) => return vec![missing],
    };
    let mut broken = Vec::new();
    the_generation_is_complete_and_synced(calls, &marks, &mut broken);
    the_way_to_it_is_synced(calls, &marks, before, &mut broken);
    the_segment_is_there_before_the_swap(calls, &marks, before, &mut broken);
    the_swap_is_made_well(calls, &marks, before, &mut broken);
    what_is_published_is_left_alone(calls, &marks, before, &mut broken);
    nothing_is_done_without_the_lock(calls, &mut broken);
    broken
}

/// Every file is synced after its last change, the folder after its last entry, both before it gets its name.
fn the_generation_is_complete_and_synced(calls: &[Call], marks: &Marks, broken: &mut Vec<String>) {
    let mut entries = BTreeMap::new();
    let mut last_entry = None;
    for (at, call) in calls[..marks.moved]
        .iter()
        .enumerate()
        .filter(|(_, call)| call.ended == Ended::Well)
    {
        let Some(path) = call
            .paths
            .last()
            .filter(|path| parent(path) == Some(&marks.made))
        else {
            continue;
        };
        if makes_an_entry(call) {
            let shared = call.name.starts_with("link");
            entries.insert(path.clone(), shared);
            last_entry = Some(at);
            if shared && !call.paths[0].starts_with("generations/") {
                broken.push(format!(
                    "`{path}` is a second name of `{}`, which was never published",
                    call.paths[0]
                ));
            }
        } else if call.name.starts_with("unlink") {
            entries.remove(path);
            last_entry = Some(at);
        }
    }
    for (path, _) in entries.iter().filter(|(_, shared)| !**shared) {
        let names = [path, made_as(calls, path)];
        let changed = (0..calls.len())
            .rev()
            .find(|&at| writes(&calls[at]) && names.contains(&calls[at].paths[0].as_str()));
        if changed.is_some_and(|changed| !is_synced(calls, path, changed, marks.moved)) {
            broken.push(format!(
                "`{path}` is not synced between its last change and the move"
            ));
        }
    }
    if !entries.contains_key(&format!("{}/manifest.json", marks.made)) {
        broken.push("there is no manifest before the move".to_owned());
    }
    if last_entry.is_none_or(|last| !is_synced(calls, &marks.made, last, marks.moved)) {
        broken.push(
            "the generation's folder is not synced between its last entry and the move".to_owned(),
        );
    }
}

/// Whatever leads readers to the generation is on disk before the swap.
fn the_way_to_it_is_synced(
    calls: &[Call],
    marks: &Marks,
    before: &Before,
    broken: &mut Vec<String>,
) {
    if !is_synced(calls, "generations", marks.moved, marks.swap) {
        broken.push("generations/ is not synced between the move and the swap".to_owned());
    }
    let is_folder = |call: &Call| call.name.starts_with("mkdir") && call.ended == Ended::Well;
    let made: Vec<usize> = (0..calls.len())
        .filter(|&at| is_folder(&calls[at]) && !calls[at].paths[0].starts_with(".staging-"))
        .collect();
    for &at in &made {
        let path = &calls[at].paths[0];
        let above = above(path, before);
        if !is_synced(calls, above, at, marks.swap) {
            broken.push(format!(
                "`{above}` is not synced between the making of `{path}` and the swap"
            ));
        }
    }
    if before.generation.is_none() {
        // A first run that was killed may have made any of them.
        let last = made.last().copied().unwrap_or_default();
        for above in before.above.iter().map(String::as_str).chain([OUTPUT]) {
            if !is_synced(calls, above, last, marks.swap) {
                broken.push(format!(
                    "`{above}` is not synced before the swap of a first run"
                ));
            }
        }
    }
}

/// What is appended is synced, gets its name once, where nothing was, and has it on disk before the swap.
fn the_segment_is_there_before_the_swap(
    calls: &[Call],
    marks: &Marks,
    before: &Before,
    broken: &mut Vec<String>,
) {
    let is_segment = |path: &str| parent(path) == Some("segments");
    for (at, call) in calls.iter().enumerate() {
        let Some(path) = call.paths.last().filter(|path| is_segment(path)) else {
            continue;
        };
        if writes(call) || (makes_an_entry(call) && !renames_to(call, is_segment)) {
            broken.push(format!("{call}: a segment that has its name is changed"));
        }
        let number = path
            .get(9..15)
            .and_then(|number| number.parse::<u64>().ok());
        let is_committed = before
            .generation
            .is_some_and(|old| number.is_none_or(|number| number <= old));
        if is_committed
            && call.name != "openat"
            && (makes_an_entry(call) || call.name == "unlinkat")
        {
            broken.push(format!("{call}: a committed segment is touched"));
        }
        if !renames_to(call, is_segment) {
            continue;
        }
        let made = &call.paths[0];
        let changed = (0..at)
            .rev()
            .find(|&at| writes(&calls[at]) && calls[at].paths[0] == *made);
        if changed.is_none_or(|changed| !is_synced(calls, made, changed, at)) {
            broken.push(format!("`{made}` is not synced before it is a segment"));
        }
        if !is_synced(calls, "segments", at, marks.swap) {
            broken.push("segments/ is not synced between the move and the swap".to_owned());
        }
        if !before.has_segments && !is_synced(calls, OUTPUT, 0, marks.swap) {
            broken.push("segments/ itself is not synced before the swap".to_owned());
        }
    }
}

/// Whether these are the calls of an append run.
fn appends(calls: &[Call]) -> bool {
    calls
        .iter()
        .any(|call| renames_to(call, |to| parent(to) == Some("segments")))
}

/// One rename of a finished link, synced before anybody is told.
fn the_swap_is_made_well(calls: &[Call], marks: &Marks, before: &Before, broken: &mut Vec<String>) {
    let links = |path: &str, target: &str| {
        let is = |call: &Call| {
            call.is("symlinkat", path) && call.args.starts_with(&format!("\"{target}\","))
        };
        (0..calls.len()).find(|&at| is(&calls[at]))
    };
    if links(&calls[marks.swap].paths[0], &marks.generation).is_none_or(|link| link > marks.swap) {
        broken.push("what is renamed over current is no link to the generation".to_owned());
    }
    let latest = links(before.latest, &format!("current/{}", before.latest));
    if latest.is_some_and(|link| link > marks.swap)
        || latest.is_none() && before.generation.is_none() && !appends(calls)
    {
        broken.push("readers have no link to latest.* before the swap".to_owned());
    }
    if marks.lasts >= marks.told {
        broken.push("OUTPUT_DIR is not synced between the swap and `run finished`".to_owned());
    }
    if marks.told == calls.len() {
        broken.push("`run finished` is not told after the swap".to_owned());
    }
}

/// Nothing that readers may have open is changed, and the old way back stays until the new one lasts.
fn what_is_published_is_left_alone(
    calls: &[Call],
    marks: &Marks,
    before: &Before,
    broken: &mut Vec<String>,
) {
    for (at, call) in calls
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != marks.moved && *at != marks.swap)
    {
        let path = call.paths.last().map_or("", String::as_str);
        let removes = call.name.starts_with("unlink") || call.name.starts_with("rename");
        let from = &call.paths[0];
        let is_kept = |path: &String| ["current", ".lock", before.latest].contains(&path.as_str());
        // From a set to append: the link leads nowhere once the swap lasts.
        let leads_nowhere =
            appends(calls) && at > marks.lasts && call.name == "unlinkat" && path == before.latest;
        if removes && !leads_nowhere && call.paths.iter().any(is_kept) {
            broken.push(format!("{call}: nobody but the swap does that"));
        }
        if !path.starts_with("generations/") && !from.starts_with("generations/") {
            if (call.name.starts_with("link") || removes && call.name.starts_with("rename"))
                && from.contains("/in/")
            {
                broken.push(format!(
                    "{call}: an inode of the component's gets another name"
                ));
            }
            continue;
        }
        if writes(call) || path.starts_with("generations/") && makes_an_entry(call) {
            broken.push(format!("{call}: a generation that has its name is changed"));
        }
        let number = from
            .split('/')
            .nth(1)
            .and_then(|name| name.get(..6)?.parse::<u64>().ok());
        let is_older = before
            .generation
            .is_some_and(|old| number.is_none_or(|number| number <= old));
        if removes && is_older && at < marks.lasts {
            broken.push(format!(
                "{call}: an older generation goes before the new one lasts"
            ));
        }
    }
}

/// Whatever is changed in the folder is changed by the holder of its lock.
fn nothing_is_done_without_the_lock(calls: &[Call], broken: &mut Vec<String>) {
    let locked = calls
        .iter()
        .position(|call| call.is("flock", ".lock") && call.args.contains("LOCK_EX"));
    let inside = |call: &Call| {
        let path = call.paths.last().map_or("", String::as_str);
        !is_outside(path) && ![OUTPUT, ".lock", "stdout", "stderr"].contains(&path)
    };
    let changes = |call: &Call| {
        inside(call)
            && (writes(call)
                || makes_an_entry(call)
                || ["unlink", "mkdir"]
                    .iter()
                    .any(|name| call.name.starts_with(name)))
    };
    let first = calls.iter().position(changes);
    if locked.is_none() || first < locked {
        broken.push("something is changed before the lock is held".to_owned());
    }
}

/// Whether the file or folder is synced after one call and before another.
fn is_synced(calls: &[Call], path: &str, after: usize, before: usize) -> bool {
    calls[..before]
        .iter()
        .skip(after + 1)
        .any(|call| call.is("fsync", path))
}

fn renames_to(call: &Call, is: impl Fn(&str) -> bool) -> bool {
    call.name.starts_with("rename")
        && call.ended == Ended::Well
        && call.paths.get(1).is_some_and(|to| is(to))
}

/// The name under which a file was made: its own, or the one from which it was renamed.
fn made_as<'c>(calls: &'c [Call], path: &'c str) -> &'c str {
    let renamed = calls.iter().find(|call| renames_to(call, |to| to == path));
    renamed.map_or(path, |call| &call.paths[0])
}

/// Whether the call changes the bytes of a file.
fn writes(call: &Call) -> bool {
    let changes = [
        "write",
        "pwrite64",
        "writev",
        "pwritev",
        "ftruncate",
        "truncate",
        "fallocate",
        "copy_file_range",
        "sendfile",
    ];
    let opens = call.name == "openat"
        && ["O_TRUNC", "O_APPEND"]
            .iter()
            .any(|flag| call.args.contains(flag));
    call.ended == Ended::Well && (opens || changes.contains(&call.name.as_str()))
}

/// Whether the call gives its last path to something that did not have it.
fn makes_an_entry(call: &Call) -> bool {
    let creates = call.name == "openat" && call.args.contains("O_CREAT");
    call.ended == Ended::Well
        && (creates
            || ["link", "symlink", "rename"]
                .iter()
                .any(|name| call.name.starts_with(name)))
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// The folder in which this one stands.
fn above<'p>(path: &'p str, before: &'p Before) -> &'p str {
    let above = |path: &'p str| {
        Path::new(path)
            .parent()
            .and_then(Path::to_str)
            .unwrap_or("/")
    };
    if path == OUTPUT {
        above(&before.output)
    } else if is_outside(path) {
        above(path)
    } else {
        parent(path).unwrap_or(OUTPUT)
    }
}
