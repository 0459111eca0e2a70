//! Runs the filters on calls that no test can make safely, in a small twin of the kernel's machine.

use seccompiler::sock_filter;

use super::*;

const ALLOWED: u32 = 0x7fff_0000;
const KILLED: u32 = 0x8000_0000;
const OWN: u32 = 4321;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

fn error(number: libc::c_int) -> u32 {
    0x0005_0000 | number.unsigned_abs()
}

/// What the kernel shows to a filter: number, architecture, place, six arguments.
fn shown(architecture: u32, call: c_long, arguments: &[u64]) -> Vec<u8> {
    let mut data = Vec::new();
    data.extend((call as u32).to_le_bytes());
    data.extend(architecture.to_le_bytes());
    data.extend([0; 8]);
    for index in 0..6 {
        data.extend(arguments.get(index).copied().unwrap_or(0).to_le_bytes());
    }
    data
}

/// The instructions that seccomp's compiler writes: load, mask, jump, return.
fn run(program: &[sock_filter], data: &[u8]) -> u32 {
    let (mut at, mut word) = (0, 0);
    loop {
        let step = &program[at];
        let place = step.k as usize;
        let branch = |taken| if taken { step.jt } else { step.jf };
        let skip = match step.code {
            0x20 => {
                word = u32::from_le_bytes(data[place..place + 4].try_into().unwrap());
                0
            }
            0x54 | 0x50 => {
                word &= step.k;
                0
            }
            0x05 => place,
            0x15 => usize::from(branch(word == step.k)),
            0x25 => usize::from(branch(word > step.k)),
            0x35 => usize::from(branch(word >= step.k)),
            0x06 => return step.k,
            other => panic!("instruction {other:#x}"),
        };
        at += 1 + skip;
    }
}

/// The answer of all filters that `confine` installs: the strictest, of equals the last one's.
fn answer(call: c_long, arguments: &[u64]) -> u32 {
    let data = shown(ARCHITECTURE, call, arguments);
    let newest_first = [absent().unwrap(), listed(OWN).unwrap()];
    let answers = newest_first.map(|program| run(&program, &data));
    answers.into_iter().min_by_key(|answer| answer & 0xffff_0000).unwrap()
}

#[track_caller]
fn allows(call: c_long, arguments: &[u64]) {
    assert_eq!(answer(call, arguments), ALLOWED, "call {call} with {arguments:x?}");
}

#[track_caller]
fn refuses(call: c_long, arguments: &[u64]) {
    assert_eq!(answer(call, arguments), error(libc::EPERM), "call {call} with {arguments:x?}");
}

fn flags(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

#[test]
fn refuses_sockets_programs_processes_and_ways_into_the_kernel() {
    let calls = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept4,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_pidfd_open,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_userfaultfd,
        libc::SYS_memfd_create,
        libc::SYS_open_by_handle_at,
        libc::SYS_openat2,
        libc::SYS_fchmodat,
        libc::SYS_fchownat,
        libc::SYS_linkat,
        libc::SYS_symlinkat,
        libc::SYS_utimensat,
        libc::SYS_setxattr,
        libc::SYS_personality,
        libc::SYS_setrlimit,
        libc::SYS_truncate,
    ];
    calls.into_iter().for_each(|call| refuses(call, &[]));
}

#[test]
fn a_thread_may_be_started_and_a_process_may_not() {
    let thread = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID;
    allows(libc::SYS_clone, &[flags(thread)]);
    refuses(libc::SYS_clone, &[flags(libc::SIGCHLD)]);
    refuses(libc::SYS_clone, &[flags(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD)]);
    refuses(libc::SYS_clone, &[flags(thread | libc::CLONE_NEWUSER)]);
    refuses(libc::SYS_clone, &[flags(thread & !libc::CLONE_THREAD)]);
}

#[test]
fn clone3_does_not_exist() {
    assert_eq!(answer(libc::SYS_clone3, &[1, 88]), error(libc::ENOSYS));
}

#[test]
fn memory_never_becomes_executable() {
    let data = flags(libc::PROT_READ | libc::PROT_WRITE);
    let code = flags(libc::PROT_READ | libc::PROT_EXEC);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        allows(call, &[0, 4096, data]);
        refuses(call, &[0, 4096, code]);
    }
    refuses(libc::SYS_pkey_mprotect, &[0, 4096, data]);
}

#[test]
fn signals_reach_no_other_process() {
    allows(libc::SYS_tgkill, &[u64::from(OWN), 4444, flags(libc::SIGABRT)]);
    refuses(libc::SYS_tgkill, &[1, 1, flags(libc::SIGABRT)]);
    allows(libc::SYS_fcntl, &[3, flags(libc::F_GETFL)]);
    refuses(libc::SYS_fcntl, &[3, flags(libc::F_SETOWN), 1]);
    refuses(libc::SYS_fcntl, &[3, 10, flags(libc::SIGKILL)]);
}

#[test]
fn limits_may_be_read_and_not_set() {
    allows(libc::SYS_prlimit64, &[0, 7, 0, 0x7fff_0000]);
    refuses(libc::SYS_prlimit64, &[0, 7, 0x7fff_0000, 0]);
    refuses(libc::SYS_prlimit64, &[0, 7, 1 << 32, 0]);
    refuses(libc::SYS_prlimit64, &[1, 7, 0, 0x7fff_0000]);
}

#[test]
fn nothing_is_typed_for_the_person_and_no_filter_reports_to_another() {
    allows(libc::SYS_ioctl, &[3, libc::FIONBIO]);
    refuses(libc::SYS_ioctl, &[0, libc::TIOCSTI]);
    allows(libc::SYS_seccomp, &[u64::from(libc::SECCOMP_SET_MODE_FILTER), 0]);
    refuses(libc::SYS_seccomp, &[u64::from(libc::SECCOMP_SET_MODE_FILTER), 8]);
    allows(libc::SYS_prctl, &[flags(libc::PR_SET_NAME)]);
    refuses(libc::SYS_prctl, &[flags(libc::PR_SET_DUMPABLE), 1]);
}

#[test]
fn a_mode_makes_no_program_and_opens_no_file_to_writers() {
    allows(libc::SYS_fchmod, &[3, 0o644]);
    refuses(libc::SYS_fchmod, &[3, 0o755]);
    refuses(libc::SYS_fchmod, &[3, 0o4600]);
    refuses(libc::SYS_fchmod, &[3, 0o666]);
}

#[test]
fn a_socket_option_is_a_time_or_a_size() {
    let level = flags(libc::SOL_SOCKET);
    allows(libc::SYS_setsockopt, &[3, level, flags(libc::SO_RCVTIMEO)]);
    refuses(libc::SYS_setsockopt, &[3, level, flags(libc::SO_ATTACH_FILTER)]);
    refuses(libc::SYS_setsockopt, &[3, flags(libc::IPPROTO_TCP), flags(libc::SO_RCVTIMEO)]);
}

#[test]
fn calls_of_another_architecture_kill() {
    let data = shown(0x4000_0003, libc::SYS_read, &[]);
    assert_eq!(run(&listed(OWN).unwrap(), &data), KILLED);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_under_its_x32_number_is_refused() {
    refuses(0x4000_0000 | libc::SYS_read, &[]);
}

#[test]
fn once_narrowed_files_open_for_reading_alone() {
    let opening = |open: libc::c_int| {
        let data = shown(ARCHITECTURE, libc::SYS_openat, &[0, 0, flags(open)]);
        run(&unchanging().unwrap(), &data)
    };
    assert_eq!(opening(libc::O_RDONLY | libc::O_CLOEXEC), ALLOWED);
    assert_eq!(opening(libc::O_PATH | libc::O_CLOEXEC), ALLOWED);
    for flag in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE | 2] {
        assert_eq!(opening(flag | libc::O_CLOEXEC), error(libc::EPERM), "{flag:o}");
    }
    let rename = shown(ARCHITECTURE, libc::SYS_renameat2, &[]);
    assert_eq!(run(&unchanging().unwrap(), &rename), error(libc::EPERM));
}
