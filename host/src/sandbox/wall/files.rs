//! Landlock: of all files, those in the staging folder alone, and no network at all.

use std::os::fd::{AsFd as _, OwnedFd};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

/// The newest that is known here; what an older kernel has not is left out.
const NEWEST: ABI = ABI::V6;

/// What is allowed in the staging folder.
fn granted() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate
}

/// From now on no other file is opened, made, removed or renamed, nothing is connected or bound, and no process outside gets a
/// signal from here. Which version of Landlock sees to it; `None`: the kernel has none. That is no error here: the parent says
/// whether it will do.
pub fn confine(staging: Option<&OwnedFd>) -> Result<Option<i32>, String> {
    confined(staging).map_err(|error| format!("cannot confine the process to its files: {error}"))
}

fn confined(staging: Option<&OwnedFd>) -> Result<Option<i32>, landlock::RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let ruleset = match staging {
        Some(folder) => ruleset.add_rule(PathBeneath::new(folder.as_fd(), granted()))?,
        None => ruleset,
    };
    let status = ruleset.restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. }
            if status.ruleset != RulesetStatus::NotEnforced =>
        {
            Some(effective_abi as i32)
        }
        _ => None,
    })
}
