//! The second wall: what the kernel keeps from this process, should a component have taken it over.
//!
//! In this order: nothing that was inherited is open; it dies with its parent; limits of the kernel; no capability, and no right
//! it has not got; no file but those in the staging
//! folder (Landlock); and, once every thread has begun, none but the system calls that it needs (seccomp). Each part holds
//! without the others, but for files: a kernel without Landlock leaves those to the first wall.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use tokio::signal::unix::{SignalKind, signal};

pub use self::files::landlock;
use crate::component::frames::{Call, Function};
use crate::limits::{CHILD_FILES_MAX, CHILD_MEMORY_MAX, CHILD_STACK_MAX};

mod files;
mod system_calls;
#[cfg(test)]
mod tests;

/// What the kernel holds this process to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Memory that can be written to. Of what wasmtime only reserves (4 GiB for a memory) nothing counts.
    data_bytes: u64,
    cpu_seconds: u64,
    /// Of one file.
    file_bytes: u64,
}

impl Bounds {
    /// Those of this call.
    pub fn of(call: &Call) -> Self {
        // The first wall counts exactly, and says more; the kernel counts whole seconds, and this process's own beginning.
        let spare_seconds = u64::from(!matches!(call.function, Function::Compile));
        let begun = u64::from(call.cpu.subsec_nanos() > 0);
        Self {
            // The code is there twice while it is loaded.
            data_bytes: (call.memory_bytes)
                .saturating_add(2 * call.code_bytes as u64)
                .saturating_add(CHILD_MEMORY_MAX),
            cpu_seconds: (call.cpu.as_secs() + begun).max(1) + spare_seconds,
            file_bytes: call.staged_bytes_left,
        }
    }
}

/// Has the kernel kill this process when its parent, which made `control`, ends in whatever way.
pub fn die_with_the_parent(control: impl AsFd) -> Result<(), String> {
    let failed = |error| format!("cannot be made to end with its parent: {error}");
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // It may have ended before: then somebody else is the parent, and nothing would ever end us.
    let parent = rustix::net::sockopt::socket_peercred(control)
        .map_err(failed)?
        .pid;
    if rustix::process::getppid() == Some(parent) {
        return Ok(());
    }
    Err("its parent is gone".to_owned())
}

/// Closes all descriptors but stdin, stdout and stderr.
pub fn close_inherited() -> std::io::Result<()> {
    // SAFETY: nothing in this process owns a descriptor yet: it is the first that is done.
    #[expect(unsafe_code, reason = "nothing safe closes what nobody owns")]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return Ok(());
    }
    Err(std::io::Error::last_os_error())
}

/// All but the last part, for this thread and those that it starts.
pub fn before_threads(bounds: &Bounds, staging: Option<&OwnedFd>) -> Result<(), String> {
    for (what, resource, most) in [
        ("DATA", Resource::Data, bounds.data_bytes),
        ("STACK", Resource::Stack, CHILD_STACK_MAX),
        ("CPU", Resource::Cpu, bounds.cpu_seconds),
        ("FSIZE", Resource::Fsize, bounds.file_bytes),
        ("NOFILE", Resource::Nofile, CHILD_FILES_MAX),
        ("CORE", Resource::Core, 0),
    ] {
        limit(what, resource, most)?;
    }
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| format!("cannot give up new privileges: {error}"))?;
    // Root has them all, and may do things to the machine with them that seccomp does not see.
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)
        .map_err(|error| format!("cannot give up capabilities: {error}"))?;
    files::confine(staging)
}

/// The last part: no new process or thread, and no system call that is not needed.
pub fn last() -> Result<(), String> {
    limit("NPROC", Resource::Nproc, 0)?;
    system_calls::confine()
}

/// The signals that are for the parent, which ends this process when it wants to; and the limit of a file's size is an error of
/// the write. They are ignored while this lives.
pub fn ignored_signals() -> Result<Vec<tokio::signal::unix::Signal>, String> {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::from_raw(Signal::XFSZ.as_raw()),
    ];
    let ignored = kinds.into_iter().map(signal).collect::<Result<_, _>>();
    ignored.map_err(|error| format!("cannot ignore signals: {error}"))
}

fn limit(what: &str, resource: Resource, most: u64) -> Result<(), String> {
    // What is lower already stays.
    let given = rustix::process::getrlimit(resource);
    let given = [given.current, given.maximum].into_iter().flatten().min();
    let most = given.map_or(most, |given| given.min(most));
    // At the first the kernel says that it is for CPU time (SIGXCPU), at the second it only kills.
    let later = u64::from(resource == Resource::Cpu);
    let both = Rlimit {
        current: Some(most),
        maximum: Some(given.map_or(most + later, |given| given.min(most + later))),
    };
    setrlimit(resource, both).map_err(|error| format!("cannot set the limit {what}: {error}"))
}
