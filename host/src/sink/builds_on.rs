//! On what a run builds: nothing, or the last commit. Whether the component may say so is part of its contract.

use crate::outcome::{Failure, Outcome};
use crate::records::key::KeyKinds;
use crate::settings::plan::WriteMode;
use crate::sink::Extent;
use crate::sink::manifest::Manifest;
use crate::staging::read::{self, Staged};

/// What is there before the staged records are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildsOn {
    /// Nothing: the staged records are the set.
    Nothing,
    /// What is there: the last published set, or under append everything so far.
    LastCommit,
}

/// Of which types the keys are of a set that is made of staged ones, on top of this.
pub fn key_kinds(base: BuildsOn, last: Option<&Manifest>, staged: KeyKinds) -> KeyKinds {
    match (base, last) {
        (BuildsOn::LastCommit, Some(last)) => last.key_kinds.with(staged),
        _ => staged,
    }
}

/// What `extent` is built on; `last` is the last commit, `keys` are PRIMARY_KEY. `Err` is 70, the component cannot say that; or 78, the settings do
/// not allow for it.
pub fn of(
    extent: Extent,
    last: Option<&Manifest>,
    mode: WriteMode,
    keys: &[String],
    staged: &Staged,
) -> Result<BuildsOn, Failure> {
    let appends = mode == WriteMode::Append;
    // No set was published by a run that appended.
    let has_last = last.is_some_and(|last| appends || !last.appends());
    if appends && staged.reported.deleted > 0 {
        return Err(Failure::broken(
            "it staged deletions, and WRITE_MODE=append only adds; set WRITE_MODE=upsert and PRIMARY_KEY",
        ));
    }
    match extent {
        Extent::Changes if mode == WriteMode::Replace => Err(Failure::broken(
            "it answered `changes`, and WRITE_MODE=replace publishes the whole set; set WRITE_MODE=upsert and PRIMARY_KEY",
        )),
        Extent::Changes if mode == WriteMode::Upsert && keys.is_empty() => Err(Failure::new(
            Outcome::Settings,
            "cannot merge what changed: PRIMARY_KEY is not set",
        )),
        Extent::Everything if !appends => Ok(BuildsOn::Nothing),
        Extent::Everything | Extent::Changes if !has_last => Ok(BuildsOn::Nothing),
        Extent::NothingNew if !has_last => Err(Failure::broken(
            "it answered `nothing-new` when nothing had been published",
        )),
        Extent::NothingNew if staged.reported != read::Counts::default() => Err(Failure::broken(
            "it answered `nothing-new` and reported staged lines",
        )),
        Extent::Everything | Extent::Changes | Extent::NothingNew => Ok(BuildsOn::LastCommit),
    }
}
