//! The steps of confinement in their order, the same on every system.
//!
//! Limits come first, files second, calls last: a step may need calls that the last one refuses.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

use crate::holds::{Calls, Files, Offered};
use crate::system;

/// What a confined process may still do.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Files, and folders with all below them, that may be read. A link counts for what it leads
    /// to when the rules are made; links inside a folder that lead out of it lead nowhere.
    pub read: Vec<PathBuf>,
    /// Folders in which files may also be made, written, renamed and removed.
    pub write: Vec<PathBuf>,
    /// Most address space. That is more than memory in use: files that are mapped count, 2 MiB of
    /// stack for each thread, and the 64 to 128 MiB that the allocator reserves for each of the
    /// first threads.
    pub memory_bytes: Option<u64>,
    /// Whether the kernel kills this process when its parent ends. The kernel means the *thread*
    /// that started this process: start it from one that lasts. A parent that had ended before
    /// this was asked goes unnoticed; then a read on the socket to it is at its end.
    pub end_with_parent: bool,
}

/// Why a process is not confined as it should be. Some steps may be done: end the process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A path of the rules is not there, or cannot be opened.
    #[error("cannot allow {}: {source}", path.display())]
    Path {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other threads run; they would stay as free as they are.
    #[error("{actual} threads run; only a process with one thread can confine itself")]
    Threads {
        /// How many run.
        actual: u64,
    },
    /// A step failed that every system can do.
    #[error("cannot {what}: {source}")]
    Step {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Landlock is there and refuses.
    #[error("cannot guard files: {why}")]
    Landlock {
        /// What it said.
        why: String,
    },
}

pub(crate) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Step { what, source }
}

/// A process that is confined, and how much of that holds on this system.
#[derive(Debug)]
pub struct Confined {
    /// How far files are guarded.
    pub files: Files,
    /// Whether system calls are.
    pub calls: Calls,
    /// Most address space, if there is a bound.
    pub memory_bytes: Option<u64>,
    threads: system::Threads,
}

/// Confines this process for the rest of its life; threads that it starts later inherit that.
///
/// A refused call is an error (`EPERM`, or `EACCES` for a path) and no death. That a system guards
/// nothing is no error either: look into [`Confined`] and decide.
///
/// # Errors
/// [`SandboxError`] when a path of the rules is not there, when other threads run already, or when
/// a step fails that the system offers.
pub fn confine(rules: &Rules) -> Result<Confined, SandboxError> {
    let threads = system::Threads::open()?;
    threads.only_this_one()?;
    let allowed = system::files::allow(&rules.read, &rules.write)?;
    if rules.end_with_parent {
        system::bind_to_parent().map_err(failed("bind this process to its parent"))?;
    }
    let memory_bytes = system::limits::lower(rules.memory_bytes)?;
    let files = system::files::keep_to(allowed)?;
    Ok(Confined { files, calls: system::calls::filter(), memory_bytes, threads })
}

impl Confined {
    /// A second step for the rest of the process's life: nothing is opened any more except for
    /// reading, and only `read`. What was not allowed before stays forbidden. Files that are open
    /// for writing stay open; where nothing guards files, the filter of calls still refuses to
    /// open one for writing, and to make, rename or remove one.
    ///
    /// # Errors
    /// As [`confine`]; threads that end are waited for, up to a second.
    pub fn narrow(self, read: &[PathBuf]) -> Result<Confined, SandboxError> {
        self.threads.only_this_one()?;
        let allowed = system::files::allow(read, &[])?;
        let files = system::files::keep_to(allowed)?;
        if self.calls == Calls::Filtered {
            system::calls::filter_changes()?;
        }
        Ok(Confined { files, ..self })
    }

    /// One line for a person.
    pub fn words(&self) -> String {
        let memory = match self.memory_bytes {
            Some(bytes) => format!("{} MiB", bytes >> 20),
            None => "not bounded".to_owned(),
        };
        format!("files: {}, system calls: {}, memory: {memory}", self.files, self.calls)
    }
}

/// What this system offers; confines nobody.
pub fn offered() -> Offered {
    Offered {
        kernel: system::kernel(),
        files: system::files::offered(),
        calls: system::calls::offered(),
    }
}
