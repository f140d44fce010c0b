//! What the process lets others see of its memory, which holds secrets: no dump of it is written when it crashes, and no
//! other process of the same user may read it or attach to it.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior,
    setrlimit,
};

/// Closes both ways, first thing in the process. What does not succeed is [found again](still_open) by who can tell it.
///
/// A process that was started under a tracer stays open to it: whoever did that has seen everything, and strace could not
/// show an ordinary user what he came for.
pub fn close_to_others() {
    let _ = setrlimit(Resource::Core, NO_DUMP);
    if !is_traced() {
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// What is open although it should not be, for a warning.
pub fn still_open() -> Vec<&'static str> {
    let dumps = getrlimit(Resource::Core).maximum != NO_DUMP.maximum;
    let readable = !is_traced() && dumpable_behavior() != Ok(DumpableBehavior::NotDumpable);
    [
        (dumps, "core dumps are on (RLIMIT_CORE)"),
        (
            readable,
            "processes of the same user can read it (PR_SET_DUMPABLE)",
        ),
    ]
    .into_iter()
    .filter_map(|(is_open, what)| is_open.then_some(what))
    .collect()
}

const NO_DUMP: Rlimit = Rlimit {
    current: Some(0),
    maximum: Some(0),
};

/// Whether another process traces this one: `proc_pid_status(5)`.
fn is_traced() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|pid| pid.trim() != "0")
}
