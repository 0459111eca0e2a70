//! Which system calls may still be made: a short list, and everything else is `EPERM`.
//!
//! Refused calls are errors and no deaths, so that a library which merely tries something falls
//! back. Three filters stack; the kernel asks all and takes the strictest answer, of two errors
//! the one from the filter that came last:
//!
//! 1. the list: what is not on it is `EPERM`;
//! 2. `clone3` is `ENOSYS`. Its flags stand in memory, where no filter can look; told that the
//!    kernel does not know it, the C library starts threads with `clone`, whose flags are seen;
//! 3. once narrowed, whatever changes the file system is `EPERM`.
//!
//! A filter sees numbers and registers, never what a pointer leads to: paths are Landlock's.

mod list;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter,
};

use crate::confine::{SandboxError, failed};
use crate::holds::Calls;

/// A condition on an argument: which one, the bits of it that count, and what they must be.
type Must = (u8, u64, u64);

/// A call, and conditions that must hold together. Of several ways for one call one is enough.
type Way = (c_long, Vec<Must>);

/// Keeps the calling thread, and all that it starts, to the list.
pub(crate) fn filter() -> Calls {
    let programs = [listed(std::process::id()), absent()];
    match programs.into_iter().try_for_each(install) {
        Ok(()) => Calls::Filtered,
        Err(error) => Calls::Not(error.to_string()),
    }
}

/// Refuses from now on to change the file system through paths.
pub(crate) fn filter_changes() -> Result<(), SandboxError> {
    install(unchanging()).map_err(io::Error::other).map_err(failed("filter further calls"))
}

/// Whether the kernel can filter and answer with errors; asks without confining anybody.
pub(crate) fn offered() -> Calls {
    match std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.split_whitespace().any(|action| action == "errno") => {
            Calls::Filtered
        }
        _ => Calls::Not("the kernel has no seccomp filters".to_owned()),
    }
}

/// Also sets `no_new_privs`, without which only root may filter.
fn install(program: Result<BpfProgram, BackendError>) -> Result<(), seccompiler::Error> {
    apply_filter(&program?)
}

fn listed(own: u32) -> Result<BpfProgram, BackendError> {
    let free = list::FREE.iter().flat_map(|calls| calls.iter()).map(|call| (*call, Vec::new()));
    let ways = free.chain(list::bounded(own)).collect();
    program(ways, refuse(libc::EPERM), SeccompAction::Allow)
}

fn absent() -> Result<BpfProgram, BackendError> {
    let ways = vec![(libc::SYS_clone3, Vec::new())];
    program(ways, SeccompAction::Allow, refuse(libc::ENOSYS))
}

fn unchanging() -> Result<BpfProgram, BackendError> {
    program(list::changes(), SeccompAction::Allow, refuse(libc::EPERM))
}

fn refuse(error: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(error.unsigned_abs())
}

/// Calls of another architecture kill; on x86-64 those of x32 have numbers that are on no list.
fn program(
    ways: Vec<Way>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, musts) in ways {
        let of_call = rules.entry(call).or_default();
        if !musts.is_empty() {
            of_call.push(rule(&musts)?);
        }
    }
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()
}

fn rule(musts: &[Must]) -> Result<SeccompRule, BackendError> {
    let condition = |(argument, bits, value): &Must| {
        let equal = SeccompCmpOp::MaskedEq(*bits);
        SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, equal, *value)
    };
    SeccompRule::new(musts.iter().map(condition).collect::<Result<_, _>>()?)
}
