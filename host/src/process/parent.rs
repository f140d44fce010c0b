//! A process that does not outlive the one that started it.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::outcome::{Failure, OrFail as _, Outcome};

/// From now on this process gets SIGTERM once the thread that started it has ended. `Err` (143): that thread's
/// process, `parent`, is gone already.
pub fn end_with(parent: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::TERM)).or_fail(
        Outcome::ComponentFailed,
        || "cannot watch the parent process",
    )?;
    // It may have ended before it was watched.
    match getppid() {
        Some(now) if now.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(Failure::new(
            Outcome::Terminated,
            "the process that started this one has ended",
        )),
    }
}
