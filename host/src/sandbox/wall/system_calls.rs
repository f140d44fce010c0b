//! seccomp: the system calls that a component's process needs once all its threads have begun. Every other one fails (EPERM).
//!
//! No process or thread is made, no program executed, no socket opened, no other process looked at or signalled. Files are
//! opened by `openat` alone, which Landlock judges.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Allowed whatever their arguments are.
const ALLOWED: [libc::c_long; 49] = [
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Descriptors that it has.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // Files in the staging folder.
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_openat,
    libc::SYS_unlinkat,
    // Sockets that it has.
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    // Waiting.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_sched_yield,
    // Its own threads and signals.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    // Random numbers.
    libc::SYS_getrandom,
];

#[cfg(target_arch = "x86_64")]
const HERE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const HERE: TargetArch = TargetArch::aarch64;

/// Those that only this processor has: older forms of the above.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: [libc::c_long; 2] = [libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: [libc::c_long; 0] = [];

/// What `fcntl` may be asked for: `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL`, `F_DUPFD_CLOEXEC`.
const DESCRIPTOR_COMMANDS: [u64; 5] = [1, 2, 3, 4, 1030];

/// Confines every thread of this process.
pub fn confine() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("cannot confine the process to its system calls: {error}")
    };
    let filter = filter().map_err(|error| failed(&error))?;
    apply_filter_all_threads(&filter).map_err(|error| failed(&error))
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let allowed = ALLOWED.iter().chain(&ALLOWED_HERE);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        allowed.map(|&number| (number, Vec::new())).collect();
    // A signal to itself: how a program aborts.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![with_argument(0, own)?]);
    // What a descriptor is, and no owner for it: who owns one can be made to get signals.
    let of_descriptors = DESCRIPTOR_COMMANDS.map(|command| with_argument(1, command));
    let of_descriptors = of_descriptors.into_iter().collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_fcntl, of_descriptors);
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        HERE,
    )?
    .try_into()
}

/// Allowed with this value of the argument at `index`.
fn with_argument(index: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let length = SeccompCmpArgLen::Dword;
    let is_it = SeccompCondition::new(index, length, SeccompCmpOp::Eq, value)?;
    SeccompRule::new(vec![is_it])
}
