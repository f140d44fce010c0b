//! A run that was killed: its staging folder is there, and nobody holds the lock.

use std::time::{Duration, SystemTime};

use crate::folder::{Folder, lock};
use crate::limits::{Limits, RUN_LATE_MAX};
use crate::staging::run_folder::PREFIX;

/// What a killed run left, in words; none while a run may be under way.
pub fn left_by(folder: &Folder, limits: &Limits) -> Option<String> {
    let names = folder.names(|name| name.starts_with(PREFIX)).ok()?;
    let name = names.first()?;
    let is_over = match lock::is_held(folder) {
        Some(is_held) => !is_held,
        // The lock is not ours to look at.
        None => age(folder, name)? > limits.run_deadline + RUN_LATE_MAX,
    };
    // A run that ended meanwhile has removed it.
    let is_left = || matches!(folder.folder(name), Ok(Some(_)));
    (is_over && is_left()).then(|| {
        let shown = folder.shown(name);
        format!("the last run was killed: it left `{shown}`, which the next run removes")
    })
}

fn age(folder: &Folder, name: &str) -> Option<Duration> {
    let made = folder.folder(name).ok()??.stat().ok()?.st_mtime;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    now.checked_sub(Duration::from_secs(u64::try_from(made).ok()?))
}
