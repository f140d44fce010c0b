//! What killed runs left behind, and what an earlier script did.
//!
//! The first is removed: nobody can see it. The second is somebody's data, and is refused until `--adopt` is said.

use serde_json::json;

use crate::folder::lock::Lock;
use crate::folder::{Bounds, Entry, Folder};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::data_file::DATA_FILES;
use crate::sink::files::generation::{GENERATIONS, Generation, names};
use crate::sink::files::pins::Pins;
use crate::sink::files::segment::{self, SEGMENTS};
pub use crate::staging::leftovers::sweep_work;

/// Where `--adopt` keeps what an earlier script left.
pub const FOREIGN_KEPT_IN: &str = "before-tidegate";

/// Names that an earlier script may have used, and that are, or may become, ours.
const CLAIMED: [&str; DATA_FILES.len() + 1] = {
    let mut claimed = ["state.json"; DATA_FILES.len() + 1];
    let mut index = 0;
    while index < DATA_FILES.len() {
        claimed[index] = DATA_FILES[index];
        index += 1;
    }
    claimed
};

/// Removes the generations above `last`: killed runs did not come to the swap, or a person went back from them. Returns the
/// greatest number of those that are pinned, and stay.
///
/// `Err`: one could not be removed, or `check` stopped it; or, where nothing was removed, the run `appends` and one is pinned.
pub fn sweep_generations(
    lock: &Lock,
    last: Option<&Generation>,
    appends: bool,
    limits: &Limits,
    check: Check<'_>,
    log: &Log,
) -> Result<Option<u64>, Failure> {
    let bounds = Bounds {
        folders_max: limits.leftover_folders,
        check,
    };
    let Some(generations) = lock.folder().folder(GENERATIONS)? else {
        return Ok(None);
    };
    let published = last.map_or(0, |generation| generation.name.number);
    let mut above = names(&generations)?;
    above.retain(|name| name.number > published);
    if above.is_empty() {
        return Ok(None);
    }
    let pins = Pins::read(lock.folder(), limits)?;
    let (pinned, above): (Vec<_>, Vec<_>) =
        above.into_iter().partition(|name| pins.of(name).is_some());
    let pinned = pinned.iter().map(|name| name.number).max();
    if let Some(pinned) = pinned {
        refuse_pinned_segments(lock.folder(), last, pinned, appends)?;
    }
    for name in above {
        generations.remove_all(&name.to_string(), bounds)?;
        log.warn(
            "generation above the current one removed",
            json!({ "generation": name.to_string() }),
        );
    }
    Ok(pinned)
}

/// `Err` (73): the segments above `last` belong to a generation that is pinned, or would come to belong to the next one.
pub fn refuse_pinned_segments(
    output: &Folder,
    last: Option<&Generation>,
    pinned: u64,
    appends: bool,
) -> Result<(), Failure> {
    let committed = last.map_or(0, |generation| generation.name.number);
    let has_segments = segment::names(output)?
        .iter()
        .any(|name| name.number > committed);
    if !appends && !has_segments {
        return Ok(());
    }
    let message = format!(
        "cannot go on from generation {committed}: generation {pinned} above it is pinned, and its segments would be removed; nothing was changed; publish it with `tidegate rollback {pinned}`, or unpin it with `tidegate pin {pinned} --release`"
    );
    Err(Failure::new(Outcome::OutputUnusable, message))
}

/// Removes the segments above `last`: a killed run put them in their place and did not come to the swap. `Err`: one stays.
pub fn sweep_segments(lock: &Lock, last: Option<&Generation>, log: &Log) -> Result<(), Failure> {
    let committed = last.map_or(0, |generation| generation.name.number);
    let mut names = segment::names(lock.folder())?;
    names.retain(|name| name.number > committed);
    let Some(segments) = lock.folder().folder(SEGMENTS)? else {
        return Ok(());
    };
    for name in names {
        segments.remove_file(name.file())?;
        log.warn(
            "segment above the current generation removed",
            json!({ "segment": name.to_string() }),
        );
    }
    Ok(())
}

/// The names in the output folder that are an earlier script's and in our way.
pub fn foreign(output: &Folder) -> Result<Vec<&'static str>, Failure> {
    let mut foreign = Vec::new();
    for name in CLAIMED {
        if !is_ours(output, name)? {
            foreign.push(name);
        }
    }
    Ok(foreign)
}

/// `Err` (73, naming `--adopt`) when an earlier script's files are in our way.
pub fn refuse_foreign(output: &Folder) -> Result<(), Failure> {
    let foreign = foreign(output)?;
    if foreign.is_empty() {
        return Ok(());
    }
    let message = format!(
        "cannot use `{}`: it holds {} of an earlier script; run once with `--adopt`, which keeps {} in `{}`",
        output.path().display(),
        foreign
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(" and "),
        if foreign.len() == 1 { "it" } else { "them" },
        output.shown(FOREIGN_KEPT_IN)
    );
    Err(Failure::new(Outcome::OutputUnusable, message))
}

/// Nothing at all, or the link that readers open.
fn is_ours(output: &Folder, name: &str) -> Result<bool, Failure> {
    Ok(match output.entry(name)? {
        Entry::Absent => true,
        Entry::Other => false,
        Entry::Link(target) => DATA_FILES.contains(&name) && target == format!("current/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::folder::lock::acquire;

    fn locked() -> (tempfile::TempDir, Lock) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        let lock = acquire(&folder, "r1").unwrap();
        (temp, lock)
    }

    fn sweep(lock: &Lock, limits: &Limits, check: Check<'_>) -> Result<(), Failure> {
        sweep_generations(lock, None, false, limits, check, &Log::silent()).map(drop)
    }

    #[test]
    fn leftovers_go_and_what_is_not_ours_stays() {
        let (temp, lock) = locked();
        for name in [
            ".staging-r0/in/deep",
            "generations/000001-20261123T060000Z-0123456789abcdef",
            "notes",
            "generations/mine",
        ] {
            std::fs::create_dir_all(temp.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("x", temp.path().join(".current-r0")).unwrap();
        std::fs::write(temp.path().join(".last-run-r0"), "").unwrap();

        sweep_work(&lock, &Limits::default(), &|| Ok(()), &Log::silent()).unwrap();
        sweep(&lock, &Limits::default(), &|| Ok(())).unwrap();

        assert_eq!(
            lock.folder().names(|_| true).unwrap(),
            [".lock", "generations", "notes"]
        );
        let generations = lock.folder().folder(GENERATIONS).unwrap().unwrap();
        assert_eq!(generations.names(|_| true).unwrap(), ["mine"]);
    }

    #[test]
    fn a_sweep_that_is_to_stop_ends_the_run_and_leaves_the_rest() {
        let (temp, lock) = locked();
        let stopped = || Err(Failure::new(Outcome::Terminated, "stopped by SIGTERM"));
        let generation = "generations/000001-20261123T060000Z-0123456789abcdef";
        for name in [".staging-r0/in", generation] {
            std::fs::create_dir_all(temp.path().join(name)).unwrap();
        }
        let (limits, log) = (Limits::default(), Log::silent());

        let work = sweep_work(&lock, &limits, &stopped, &log).unwrap_err();
        let above = sweep(&lock, &limits, &stopped);

        assert_eq!(work.outcome, Outcome::Terminated);
        assert_eq!(above.unwrap_err().outcome, Outcome::Terminated);
        assert!(temp.path().join(".staging-r0/in").exists());
        assert!(temp.path().join(generation).exists());
    }

    #[test]
    fn work_that_takes_longer_than_a_sweep_may_is_left_and_generations_are_not() {
        let (temp, lock) = locked();
        let generation = "generations/000001-20261123T060000Z-0123456789abcdef";
        for name in [".staging-r0/in", generation] {
            std::fs::create_dir_all(temp.path().join(name)).unwrap();
        }
        let limits = Limits {
            sweep_time: Duration::ZERO,
            ..Limits::default()
        };

        sweep_work(&lock, &limits, &|| Ok(()), &Log::silent()).unwrap();
        sweep(&lock, &limits, &|| Ok(())).unwrap();

        assert!(temp.path().join(".staging-r0/in").exists());
        assert!(!temp.path().join(generation).exists());
    }

    #[test]
    fn segments_that_were_not_committed_go_and_what_is_no_segment_stays() {
        let (temp, lock) = locked();
        std::fs::create_dir(temp.path().join(SEGMENTS)).unwrap();
        for name in ["000001.ndjson", "000001.ndjson.bak", "notes"] {
            std::fs::write(temp.path().join(SEGMENTS).join(name), "").unwrap();
        }

        sweep_segments(&lock, None, &Log::silent()).unwrap();

        let segments = lock.folder().folder(SEGMENTS).unwrap().unwrap();
        assert_eq!(
            segments.names(|_| true).unwrap(),
            ["000001.ndjson.bak", "notes"]
        );
    }

    #[test]
    fn a_file_of_an_earlier_script_is_refused_by_name() {
        let (temp, lock) = locked();
        std::fs::write(temp.path().join("latest.json"), "[]").unwrap();
        std::fs::write(temp.path().join("state.json"), "{}").unwrap();

        let failure = refuse_foreign(lock.folder()).unwrap_err();

        assert_eq!(failure.outcome, Outcome::OutputUnusable);
        assert!(
            failure.message.contains("`latest.json` and `state.json`"),
            "{failure}"
        );
        assert!(failure.message.contains("--adopt"), "{failure}");
    }

    #[test]
    fn our_own_link_is_no_stranger_and_another_link_is() {
        let (temp, lock) = locked();
        std::os::unix::fs::symlink("current/latest.json", temp.path().join("latest.json")).unwrap();
        refuse_foreign(lock.folder()).unwrap();

        std::os::unix::fs::symlink("elsewhere", temp.path().join("latest.ndjson")).unwrap();

        assert_eq!(foreign(lock.folder()).unwrap(), ["latest.ndjson"]);
    }
}
