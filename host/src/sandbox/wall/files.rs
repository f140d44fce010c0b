//! Landlock: of all files, those in the staging folder alone, and no network at all.

use std::os::fd::{AsFd as _, OwnedFd};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};

/// The newest that is known here; what an older kernel has not is left out.
const NEWEST: ABI = ABI::V6;

/// What is allowed in the staging folder.
fn granted() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Truncate
}

/// From now on no other file is opened, made, removed or renamed, nothing is connected or bound, and no process outside gets a
/// signal from here. A kernel without Landlock is no error: who starts the child says whether that will do.
pub fn confine(staging: Option<&OwnedFd>) -> Result<(), String> {
    confined(staging).map_err(|error| format!("cannot confine the process to its files: {error}"))
}

fn confined(staging: Option<&OwnedFd>) -> Result<(), RulesetError> {
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
    ruleset.restrict_self().map(|_| ())
}

/// Which version of Landlock the kernel has, of those that are known here; `None`: it has none.
pub fn landlock() -> Option<u32> {
    let has = |version: ABI| -> Result<(), RulesetError> {
        let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        ruleset = ruleset.handle_access(AccessFs::from_all(version))?;
        let (network, scope) = (AccessNet::from_all(version), Scope::from_all(version));
        if !network.is_empty() {
            ruleset = ruleset.handle_access(network)?;
        }
        if !scope.is_empty() {
            ruleset = ruleset.scope(scope)?;
        }
        ruleset.create().map(|_| ())
    };
    let versions = [
        (6, ABI::V6),
        (5, ABI::V5),
        (4, ABI::V4),
        (3, ABI::V3),
        (2, ABI::V2),
        (1, ABI::V1),
    ];
    let newest = versions
        .into_iter()
        .find(|(_, version)| has(*version).is_ok());
    newest.map(|(number, _)| number)
}
