//! The systems on which nothing confines: every step says so, and none fails.

use std::io;

use crate::confine::SandboxError;

const WHY: &str = "only Linux on x86-64 and ARM64 can";

#[derive(Debug)]
pub(crate) struct Threads;

impl Threads {
    pub(crate) fn open() -> Result<Threads, SandboxError> {
        Ok(Threads)
    }

    /// Nothing is confined, so no thread can be left out.
    pub(crate) fn only_this_one(&self) -> Result<(), SandboxError> {
        Ok(())
    }
}

pub(crate) fn bind_to_parent() -> io::Result<()> {
    Ok(())
}

pub(crate) fn kernel() -> String {
    std::env::consts::OS.to_owned()
}

pub(crate) mod files {
    //! Files that nothing guards; paths that are missing are errors all the same.

    use std::path::PathBuf;

    use crate::confine::SandboxError;
    use crate::holds::Files;

    pub(crate) struct Allowed;

    pub(crate) fn allow(read: &[PathBuf], write: &[PathBuf]) -> Result<Allowed, SandboxError> {
        for path in read.iter().chain(write) {
            let there = std::fs::metadata(path);
            there.map_err(|source| SandboxError::Path { path: path.clone(), source })?;
        }
        Ok(Allowed)
    }

    pub(crate) fn keep_to(Allowed: Allowed) -> Result<Files, SandboxError> {
        Ok(offered())
    }

    pub(crate) fn offered() -> Files {
        Files::Not(super::WHY.to_owned())
    }
}

pub(crate) mod calls {
    //! System calls that nothing filters.

    use crate::confine::SandboxError;
    use crate::holds::Calls;

    pub(crate) fn filter() -> Calls {
        offered()
    }

    pub(crate) fn filter_changes() -> Result<(), SandboxError> {
        Ok(())
    }

    pub(crate) fn offered() -> Calls {
        Calls::Not(super::WHY.to_owned())
    }
}

pub(crate) mod limits {
    //! Limits that nothing sets.

    use crate::confine::SandboxError;

    pub(crate) fn lower(_memory_bytes: Option<u64>) -> Result<Option<u64>, SandboxError> {
        Ok(None)
    }
}
