//! Which files may be opened: a Landlock ruleset that handles every right there is.
//!
//! A right that is handled is refused wherever no rule grants it, and so are the rights that later
//! kernels split off. Rulesets stack: a second one takes away and never gives. The ruleset also
//! refuses TCP, UDP, named and abstract sockets and signals to others where the kernel can, beside
//! the filter of calls that refuses them everywhere.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, PathFdError,
    RestrictSelf, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use crate::confine::SandboxError;
use crate::holds::Files;

/// The newest interface whose rights were looked at one by one; on older kernels fewer are handled.
const NEWEST: ABI = ABI::V10;

/// The first interface that also stops truncation; every promise about files holds from there on.
const ABI_WHOLE: i32 = 3;

/// No `Execute`: model files are data.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// Regular files and folders only: no devices, sockets, pipes or links are made.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});

/// What may be opened, held by handles, so that a path renamed meanwhile changes nothing.
pub(crate) struct Allowed(Vec<PathBeneath<PathFd>>);

pub(crate) fn allow(read: &[PathBuf], write: &[PathBuf]) -> Result<Allowed, SandboxError> {
    let read = read.iter().map(|path| (path, READ));
    let write = write.iter().map(|path| (path, WRITE));
    let rule = |(path, rights)| PathFd::new(path).map(|handle| PathBeneath::new(handle, rights));
    read.chain(write).map(rule).collect::<Result<_, _>>().map(Allowed).map_err(missing)
}

fn missing(error: PathFdError) -> SandboxError {
    match error {
        PathFdError::OpenCall { source, path, .. } => SandboxError::Path { path, source },
        other => refused(&other),
    }
}

fn refused(error: &dyn std::error::Error) -> SandboxError {
    SandboxError::Landlock { why: error.to_string() }
}

/// Restricts the calling thread, and all that it starts, to what is allowed.
pub(crate) fn keep_to(Allowed(rules): Allowed) -> Result<Files, SandboxError> {
    let status = restrict(rules).map_err(|error| refused(&error))?;
    Ok(holds(status))
}

fn restrict(rules: Vec<PathBeneath<PathFd>>) -> Result<LandlockStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let rules = rules.into_iter().map(Ok::<_, RulesetError>);
    Ok(ruleset.add_rules(rules)?.restrict_self()?.landlock)
}

/// Asks the kernel without confining anybody: a restriction without a flag is not carried out.
pub(crate) fn offered() -> Files {
    match RestrictSelf::default().no_new_privs(false).apply() {
        Ok(status) => holds(status.landlock),
        Err(error) => Files::Not(error.to_string()),
    }
}

fn holds(status: LandlockStatus) -> Files {
    match status {
        LandlockStatus::Available { effective_abi, .. } => guarded(effective_abi as i32),
        LandlockStatus::NotEnabled => Files::Not("Landlock is not enabled at boot".to_owned()),
        LandlockStatus::NotImplemented => {
            let why = "the kernel has no Landlock, which came with Linux 5.13, or a container \
                       forbids it";
            Files::Not(why.to_owned())
        }
    }
}

fn guarded(abi: i32) -> Files {
    if abi >= ABI_WHOLE { Files::Whole { abi } } else { Files::Partly { abi } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_landlock_is_not_called_whole() {
        assert_eq!(guarded(2), Files::Partly { abi: 2 });
        assert_eq!(guarded(3), Files::Whole { abi: 3 });
    }

    #[test]
    fn nothing_is_executed_and_only_files_and_folders_are_made() {
        let granted = READ | WRITE;
        for right in [AccessFs::Execute, AccessFs::MakeSock, AccessFs::MakeSym, AccessFs::IoctlDev]
        {
            assert!(!granted.contains(right), "{right:?}");
            assert!(AccessFs::from_all(NEWEST).contains(right), "{right:?}");
        }
    }
}
