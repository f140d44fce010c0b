//! seccomp: the system calls that a component's process needs once all its threads have begun. Every other one fails (EPERM).
//!
//! No process or thread is made, no program executed, no socket opened, no other process looked at or signalled. Files are
//! opened by `openat` alone, which Landlock judges.

use std::collections::BTreeMap;

use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Allowed whatever their arguments are.
const ALLOWED: [libc::c_long; 40] = [
    // Memory; `mmap` with conditions, below.
    libc::SYS_brk,
    libc::SYS_mprotect,
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
    // Files in the staging folder; `openat` with conditions, below.
    libc::SYS_ftruncate,
    // Sockets that it has; more of them with conditions, below.
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
    libc::SYS_restart_syscall,
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

/// `O_TMPFILE` without `O_DIRECTORY`, which is in it.
const UNNAMED: u64 = (libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned() as u64;
const LOOKED_AT: u64 = libc::O_PATH.cast_unsigned() as u64;

/// What `mmap` is not asked for: memory that is shared (`MAP_SHARED_VALIDATE` has this bit, too), grows down, is locked, or comes in
/// huge pages.
const UNCOUNTED: i32 =
    libc::MAP_SHARED | libc::MAP_GROWSDOWN | libc::MAP_LOCKED | libc::MAP_HUGETLB;

/// Confines every thread of this process.
pub fn confine() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("cannot confine the process to its system calls: {error}")
    };
    let filter = filter(HERE).map_err(|error| failed(&error))?;
    apply_filter_all_threads(&filter).map_err(|error| failed(&error))
}

/// The filter for this processor; for another one its numbers are this one's, and only its form is right.
fn filter(processor: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let allowed = ALLOWED.iter().chain(&ALLOWED_HERE);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        allowed.map(|&number| (number, Vec::new())).collect();
    // A signal to itself: how a program aborts.
    let own = u64::from(std::process::id());
    let mut allow = |number, conditions: Vec<SeccompRule>| rules.insert(number, conditions);
    allow(libc::SYS_tgkill, vec![rule(&[(0, Eq, own)])?]);
    // What a descriptor is, and no owner for it: who owns one can be made to get signals.
    let commands = DESCRIPTOR_COMMANDS.map(|command| rule(&[(1, Eq, command)]));
    allow(
        libc::SYS_fcntl,
        commands.into_iter().collect::<Result<_, _>>()?,
    );
    // No file without a name, of which nobody sees how large it is; and none that is only looked at, which Landlock lets through.
    let nameless = UNNAMED | LOOKED_AT;
    allow(libc::SYS_openat, vec![rule(&[(2, MaskedEq(nameless), 0)])?]);
    // The kernel's limit of memory (RLIMIT_DATA) does not count what is shared, nor what grows down as a stack does.
    let uncounted = UNCOUNTED.cast_unsigned().into();
    allow(libc::SYS_mmap, vec![rule(&[(3, MaskedEq(uncounted), 0)])?]);
    // Given back, and nothing else: some advice takes memory from the machine.
    let advice = [libc::MADV_DONTNEED, libc::MADV_FREE].map(i32::cast_unsigned);
    let advice = advice.map(|advice| rule(&[(2, Eq, advice.into())]));
    allow(
        libc::SYS_madvise,
        advice.into_iter().collect::<Result<_, _>>()?,
    );
    // No urgent byte, which Unix sockets have as well, and no descriptor of the process at the other end.
    let urgent = u64::from(libc::MSG_OOB.cast_unsigned());
    allow(libc::SYS_sendto, vec![rule(&[(3, MaskedEq(urgent), 0)])?]);
    allow(libc::SYS_recvfrom, vec![rule(&[(3, MaskedEq(urgent), 0)])?]);
    let [level, option] =
        [libc::SOL_SOCKET, libc::SO_ERROR].map(|number| number.cast_unsigned().into());
    allow(
        libc::SYS_getsockopt,
        vec![rule(&[(1, Eq, level), (2, Eq, option)])?],
    );
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        processor,
    )?
    .try_into()
}

/// Allowed where all of these arguments are as they must be.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.iter().map(|(index, compared, value)| {
        SeccompCondition::new(*index, SeccompCmpArgLen::Dword, compared.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_can_be_made_for_either_processor() {
        let lengths = [TargetArch::x86_64, TargetArch::aarch64]
            .map(|processor| filter(processor).unwrap().len());

        assert_eq!(lengths[0], lengths[1]);
        assert!(lengths[0] > ALLOWED.len(), "{lengths:?}");
    }
}
