//! System calls that a computation needs; everything else is refused.
//!
//! The list was made by hand for what runs in a worker: the Rust standard library with threads,
//! glibc's allocator, files that are read and written, and a socket that is open already. Two
//! filters lie over one another: the list, and one that says `ENOSYS` to `clone3`, whose flags
//! cannot be looked at from here; the C library takes `clone` then.

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// Memory.
const MEMORY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
];

/// Threads that wait for one another, and end.
const THREADS: &[c_long] = &[
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
];

/// Time, randomness, and what the machine is.
const KNOWING: &[c_long] = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_nanosleep,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
];

/// What is open: files, and the socket to the parent.
const OPEN: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Files by their names; which of them, Landlock says.
const NAMED: &[c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
];

/// The same by their older names.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Those that are only on this kind of processor.
#[cfg(target_arch = "x86_64")]
const OF_THE_PROCESSOR: &[c_long] = &[libc::SYS_arch_prctl, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const OF_THE_PROCESSOR: &[c_long] = &[];

/// Higher walls.
const WALLS: &[c_long] = &[
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self,
    libc::SYS_seccomp,
];

/// `prctl`: the name of a thread, of a piece of memory, and what walls are built with.
const PRCTL: &[i32] =
    &[libc::PR_SET_NAME, libc::PR_SET_VMA, libc::PR_SET_NO_NEW_PRIVS, libc::PR_SET_SECCOMP];

/// Those whose arguments are looked at.
const LOOKED_AT: usize = 4;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// How many calls are allowed.
pub(super) fn count() -> usize {
    lists().map(<[_]>::len).sum::<usize>() + LOOKED_AT
}

fn lists() -> impl Iterator<Item = &'static [c_long]> {
    [MEMORY, THREADS, KNOWING, OPEN, NAMED, OLDER, OF_THE_PROCESSOR, WALLS].into_iter()
}

/// From now on refuses everything that is not on the list.
pub(super) fn allow_only_computing() -> Result<(), seccompiler::Error> {
    let mut rules: Rules = lists().flatten().map(|call| (*call, Vec::new())).collect();
    rules.extend(looked_at()?);
    install(rules, SeccompAction::Errno(errno(libc::EPERM)), SeccompAction::Allow)?;
    let unknown = SeccompAction::Errno(errno(libc::ENOSYS));
    install(only(&[libc::SYS_clone3]), SeccompAction::Allow, unknown)
}

/// From now on refuses everything that has to do with the name of a file, and any further wall.
pub(super) fn refuse_files() -> Result<(), seccompiler::Error> {
    let names = [NAMED, OLDER, WALLS].concat();
    let refuse = SeccompAction::Errno(errno(libc::EPERM));
    install(only(&names), SeccompAction::Allow, refuse)
}

fn only(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

/// Calls that are allowed with certain arguments only.
fn looked_at() -> Result<Rules, BackendError> {
    let own = u64::from(std::process::id());
    let threads = libc::CLONE_THREAD.unsigned_abs().into();
    let named = PRCTL.iter().map(|option| when(0, SeccompCmpOp::Eq, option.unsigned_abs().into()));
    Ok(BTreeMap::from([
        // A thread, and no process.
        (libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(threads), threads)?]),
        // A signal to itself: how a process aborts.
        (libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Eq, own)?]),
        (libc::SYS_prctl, named.collect::<Result<_, _>>()?),
        // Limits are read and not set: the new ones are at no address.
        (libc::SYS_prlimit64, vec![nowhere(2)?]),
    ]))
}

fn when(argument: u8, compared: SeccompCmpOp, with: u64) -> Result<SeccompRule, BackendError> {
    let length = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(argument, length, compared, with)?])
}

fn nowhere(argument: u8) -> Result<SeccompRule, BackendError> {
    let (length, equal) = (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq);
    SeccompRule::new(vec![SeccompCondition::new(argument, length, equal, 0)?])
}

fn install(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), seccompiler::Error> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, processor)?;
    apply_filter_all_threads(&BpfProgram::try_from(filter)?)
}
