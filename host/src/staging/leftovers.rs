//! The work that killed runs left behind: nobody can see it, so it is removed.

use serde_json::json;

use crate::folder::lock::Lock;
use crate::folder::{Bounds, within};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::process::stop::Check;

use super::run_folder::PREFIX;

/// Names under which a link waits to be renamed, or a file to replace `last-run.json`, `runs.ndjson`, `held.json` or
/// `pinned.json`.
const TEMPORARY: [&str; 6] = [
    ".current-",
    ".latest-",
    ".last-run-",
    ".runs-",
    ".held-",
    ".pinned-",
];
/// Removes staging folders and unfinished links. One that stays is a warning, and so is what takes too long.
pub fn sweep_work(
    lock: &Lock,
    limits: &Limits,
    check: Check<'_>,
    log: &Log,
) -> Result<(), Failure> {
    let output = lock.folder();
    let in_time = within(limits.sweep_time);
    let both = || check().and_then(|()| in_time());
    let bounds = Bounds {
        folders_max: limits.leftover_folders,
        check: &both,
    };
    let ours = |name: &str| {
        name.starts_with(PREFIX) || TEMPORARY.iter().any(|prefix| name.starts_with(prefix))
    };
    for name in output.names(ours)? {
        match output.remove_all(&name, bounds) {
            Ok(()) => log.warn("leftover of a killed run removed", json!({ "name": name })),
            Err(failure) => {
                check()?;
                log.warn(
                    "leftover of a killed run not removed",
                    json!({ "name": name, "error": failure.message }),
                );
            }
        }
    }
    Ok(())
}
