//! The list of calls, in groups with the reason of each.
//!
//! Not here, on purpose: sockets (the one to the parent is open already), programs and processes
//! (`execve`, `fork`, `ptrace`, `kill`), what reaches into others (`process_vm_*`, `pidfd_*`),
//! what has often been a way into the kernel (`io_uring`, `bpf`, `perf_event_open`, `keyctl`,
//! `userfaultfd`, namespaces, mounts), code that was not there at the start (`memfd_create`,
//! executable mappings), and links, owners, times and attributes of files, which Landlock does not
//! guard.

use libc::c_long;

use super::{Must, Way};

/// Groups of calls that are allowed whatever their arguments are.
pub(super) const FREE: &[&[c_long]] = &[
    MEMORY, THREADS, SIGNALS, CLOCKS, IDENTITY, OPEN_FILES, PATHS, WAITING, SOCKET, NARROWING,
    OLDER,
];

/// The allocator. Mapping and protecting are bounded below: nothing becomes executable.
const MEMORY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // How much memory there is: the C library sorts in place or beside by it.
    libc::SYS_sysinfo,
];

/// Threads, once begun: locks, their registration, and which processors there are.
const THREADS: &[c_long] = &[
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
];

/// Own handling of signals (stack overflow has a handler and a stack); sending is bounded below.
const SIGNALS: &[c_long] = &[
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
];

/// Time, sleep and chance. Most readings never reach the kernel.
const CLOCKS: &[c_long] = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
];

/// Who this process is, which is no secret to it.
const IDENTITY: &[c_long] = &[
    libc::SYS_getcwd,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_uname,
];

/// What is open already, or was opened under Landlock's eyes.
const OPEN_FILES: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_sendfile,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Paths: Landlock decides where; it does not hide what `stat` tells.
const PATHS: &[c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
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

/// Waiting for what is open, and waking oneself.
const WAITING: &[c_long] = &[
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
];

/// The socket to the parent. No call here makes, binds, connects or accepts one.
const SOCKET: &[c_long] = &[
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
];

/// Rulesets only ever take away; further filters are bounded below.
const NARROWING: &[c_long] = &[
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self,
];

/// What x86-64 still has under older names, which both C libraries use here and there.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// The bits that the kernel looks at where an argument is an `int`.
const INT: u64 = 0xffff_ffff;
const WHOLE: u64 = u64::MAX;

/// What a new thread has; a new process lacks it.
const THREAD: u64 = bits(libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD);
/// What makes a namespace or a traced child of it.
const STRANGE: u64 = bits(
    libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWUTS
        | libc::CLONE_PTRACE
        | libc::CLONE_VFORK,
);

/// Descriptors and locks. Not here: `F_SETOWN` and `F_SETSIG`, which send signals to others.
const FCNTL: &[libc::c_int] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_GETFL,
    libc::F_GETLK,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
    libc::F_SETFD,
    libc::F_SETFL,
    libc::F_SETLK,
    libc::F_SETLKW,
];

/// Flags of a descriptor, how much there is to read, and whether it is a terminal. Not here:
/// `TIOCSTI`, which types for the person.
const IOCTL: &[u64] = &[libc::FIOCLEX, libc::FIONBIO, libc::FIONCLEX, libc::FIONREAD, libc::TCGETS];

/// How long to wait on the socket and how much to hold.
const SOCKET_OPTIONS: &[libc::c_int] =
    &[libc::SO_RCVBUF, libc::SO_RCVTIMEO, libc::SO_SNDBUF, libc::SO_SNDTIMEO];

/// Names of threads and mappings; `no_new_privs`, which each further step of confinement sets.
const PRCTL: &[libc::c_int] =
    &[libc::PR_GET_NO_NEW_PRIVS, libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS, libc::PR_SET_VMA];

/// Calls that are allowed with some arguments only; `own` is this process.
pub(super) fn bounded(own: u32) -> Vec<Way> {
    let not_executable: Must = (2, bits(libc::PROT_EXEC), 0);
    let mut ways = vec![
        (libc::SYS_mmap, vec![not_executable]),
        (libc::SYS_mprotect, vec![not_executable]),
        (libc::SYS_clone, vec![(0, THREAD | STRANGE, THREAD)]),
        // To abort: a signal to a thread of this process.
        (libc::SYS_tgkill, vec![(0, INT, u64::from(own))]),
        // To read a limit of this process; setting one needs a pointer.
        (libc::SYS_prlimit64, vec![(0, INT, 0), (2, WHOLE, 0)]),
        // A mode without execution, set-user-id, or writing by others.
        (libc::SYS_fchmod, vec![(1, 0o7133, 0)]),
        (libc::SYS_getsockopt, vec![(1, INT, bits(libc::SOL_SOCKET))]),
        // A further filter, on this thread alone and without a listener.
        (
            libc::SYS_seccomp,
            vec![(0, INT, u64::from(libc::SECCOMP_SET_MODE_FILTER)), (1, WHOLE, 0)],
        ),
    ];
    ways.extend(FCNTL.iter().map(|command| (libc::SYS_fcntl, vec![is(1, *command)])));
    ways.extend(IOCTL.iter().map(|command| (libc::SYS_ioctl, vec![(1, INT, *command)])));
    ways.extend(PRCTL.iter().map(|command| (libc::SYS_prctl, vec![is(0, *command)])));
    let option =
        |name: &libc::c_int| (libc::SYS_setsockopt, vec![is(1, libc::SOL_SOCKET), is(2, *name)]);
    ways.extend(SOCKET_OPTIONS.iter().map(option));
    ways
}

/// Calls that change the file system through a path, or open one to do so.
pub(super) fn changes() -> Vec<Way> {
    let always = CHANGES.iter().chain(OLDER_CHANGES).map(|call| (*call, Vec::new()));
    always.chain(opening(libc::SYS_openat, 2)).chain(older_opening()).collect()
}

const CHANGES: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
];

#[cfg(target_arch = "x86_64")]
const OLDER_CHANGES: &[c_long] =
    &[libc::SYS_mkdir, libc::SYS_rename, libc::SYS_rmdir, libc::SYS_unlink];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CHANGES: &[c_long] = &[];

#[cfg(target_arch = "x86_64")]
fn older_opening() -> Vec<Way> {
    opening(libc::SYS_open, 1)
}
#[cfg(not(target_arch = "x86_64"))]
fn older_opening() -> Vec<Way> {
    Vec::new()
}

/// Each flag, standing at `argument`, with which opening changes something.
fn opening(call: c_long, argument: u8) -> Vec<Way> {
    let flags = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];
    flags.map(|flag| (call, vec![(argument, bits(flag), bits(flag))])).to_vec()
}

fn is(argument: u8, value: libc::c_int) -> Must {
    (argument, INT, bits(value))
}

/// A flag or a command as a register holds it; the kernel ignores the upper half of an `int`.
const fn bits(value: libc::c_int) -> u64 {
    value.cast_unsigned() as u64
}
