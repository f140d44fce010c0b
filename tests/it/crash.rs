//! Crash proofs: a run is killed, or told of a broken disk, at every one of its file-system calls, and readers never notice.
//!
//! `strace` does the killing. A killed process leaves what the kernel was told, whether it was synced or not: what a power
//! cut would leave is the business of `protocol`, which holds the recorded calls to the rules that make it safe.

/// What an earlier script left is never lost, whenever the run that takes over is stopped.
mod adopt;
/// The calls of a run, read from what `strace` wrote.
mod calls;
/// An error at every call: the right exit code, and readers see what they saw.
mod faults;
/// SIGKILL at every call: readers see the old set or the new one, and the next run mends the rest.
mod kills;
/// The order of calls on which a published set survives a power cut, and what breaks it.
mod protocol;
/// The runs that are made to fail, and what they come to when nobody disturbs them.
mod scenario;
/// What SQLite syncs, and when.
mod sqlite;
/// Which calls of a run are disturbed.
pub mod sweep;
