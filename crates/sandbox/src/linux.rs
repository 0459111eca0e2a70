//! The walls of Linux.

use crate::calls;
use crate::confine::{Confined, Rules, SandboxError, Wall};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use std::path::PathBuf;

/// The newest rights that are asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

fn refused<E: std::fmt::Display>(wall: &'static str) -> impl Fn(E) -> SandboxError {
    move |error| SandboxError::Refused { wall, reason: error.to_string() }
}

pub(super) fn confine(rules: &Rules) -> Result<Confined, SandboxError> {
    // A worker whose parent is gone would find its socket closed; this is for one that hangs.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(refused("the end of the parent"))?;
    let memory = limit(rules.memory_bytes)?;
    let files = files(rules)?;
    calls::allow_only_computing().map_err(refused("system calls"))?;
    let calls = Wall::Stands(format!("seccomp, {} allowed", calls::count()));
    Ok(Confined { files, calls, memory })
}

pub(super) fn narrow() -> Result<(), SandboxError> {
    let nothing = ruleset().map_err(refused("files"))?;
    nothing.restrict_self().map_err(refused("files"))?;
    calls::refuse_files().map_err(refused("system calls"))
}

pub(super) fn offered() -> Confined {
    // Walls around files are around a thread; this one ends behind them.
    let tried = std::thread::spawn(|| files(&Rules::default())).join();
    let files = match tried {
        Ok(Ok(wall)) => wall,
        Ok(Err(error)) => Wall::Missing(error.to_string()),
        Err(_) => Wall::Missing("it cannot be tried".to_owned()),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let calls = match status.contains("Seccomp:") {
        true => Wall::Stands("seccomp".to_owned()),
        false => Wall::Missing("this kernel has no seccomp".to_owned()),
    };
    Confined { files, calls, memory: Wall::Stands("a limit of address space".to_owned()) }
}

/// No core is dumped: it would have prompts in it.
fn limit(bytes: Option<u64>) -> Result<Wall, SandboxError> {
    let set = |resource, bytes| {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(resource, limit).map_err(refused("memory"))
    };
    set(Resource::Core, 0)?;
    let Some(bytes) = bytes else { return Ok(Wall::Missing("no bound was given".to_owned())) };
    set(Resource::As, bytes)?;
    Ok(Wall::Stands(format!("at most {} MiB", bytes >> 20)))
}

fn files(rules: &Rules) -> Result<Wall, SandboxError> {
    let mut walls = ruleset().map_err(refused("files"))?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let written = AccessFs::from_write(NEWEST) & !unwanted();
    for (path, access) in rules
        .read
        .iter()
        .map(|path| (path, read))
        .chain(rules.write.iter().map(|path| (path, read | written)))
    {
        walls = open_up(walls, path, access)?;
    }
    Ok(wall(&walls.restrict_self().map_err(refused("files"))?))
}

/// What nobody needs who keeps files of numbers.
fn unwanted() -> BitFlags<AccessFs> {
    AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::MakeSym
        | AccessFs::IoctlDev
}

/// Everything closed that Landlock can close.
fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

/// And this much open. Rights that only folders have mean nothing for a file.
fn open_up(
    walls: RulesetCreated,
    path: &PathBuf,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, SandboxError> {
    let gone = |error: &dyn std::fmt::Display| SandboxError::Path {
        path: path.clone(),
        reason: error.to_string(),
    };
    let opened = PathFd::new(path).map_err(|error| gone(&error))?;
    let is_file = path.is_file();
    let access = if is_file { access & AccessFs::from_file(NEWEST) } else { access };
    walls.add_rule(PathBeneath::new(opened, access)).map_err(refused("files"))
}

fn wall(status: &RestrictionStatus) -> Wall {
    let abi = match &status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("Landlock {effective_abi:?}"),
        LandlockStatus::NotEnabled => "Landlock is switched off in this kernel".to_owned(),
        _ => "this kernel has no Landlock".to_owned(),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Wall::Stands(abi),
        RulesetStatus::PartiallyEnforced => Wall::Stands(format!("{abi}, as far as it goes")),
        RulesetStatus::NotEnforced => Wall::Missing(abi),
    }
}
