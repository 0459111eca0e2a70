//! What may be said to the walls, and what they say of themselves.

use crate::linux;
use std::path::PathBuf;
use thiserror::Error;

/// What a process may still do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Folders that may be read and written.
    pub write: Vec<PathBuf>,
    /// Most bytes of address space.
    pub memory_bytes: Option<u64>,
}

/// Why a process is not confined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A path that is named is not there.
    #[error("{} cannot be opened: {reason}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The kernel refuses what it says that it has.
    #[error("{wall}: {reason}")]
    Refused {
        /// What.
        wall: &'static str,
        /// Why.
        reason: String,
    },
}

/// Whether a wall stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wall {
    /// It does; and what it is, for people.
    Stands(String),
    /// It does not; and why.
    Missing(String),
}

impl Wall {
    /// Whether it stands.
    #[must_use]
    pub const fn stands(&self) -> bool {
        matches!(self, Self::Stands(_))
    }

    fn words(&self) -> String {
        match self {
            Self::Stands(what) => what.clone(),
            Self::Missing(why) => format!("NOT CONFINED ({why})"),
        }
    }
}

/// The walls of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// Around files.
    pub files: Wall,
    /// Around system calls.
    pub calls: Wall,
    /// Around memory.
    pub memory: Wall,
}

impl Confined {
    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { files, calls, memory } = self;
        let [files, calls, memory] = [files, calls, memory].map(Wall::words);
        format!("files: {files}; system calls: {calls}; memory: {memory}")
    }
}

/// Confines this process. To be called while it has one thread.
///
/// # Errors
/// [`SandboxError::Path`] when a path of the rules is not there, [`SandboxError::Refused`] when the
/// kernel has a wall and does not build it. A wall that the kernel does not have is no error.
pub fn confine(rules: &Rules) -> Result<Confined, SandboxError> {
    linux::confine(rules)
}

/// From now on no file is opened, made, renamed or removed, by any thread. What is open stays open.
/// To be called after [`confine`].
///
/// # Errors
/// [`SandboxError::Refused`].
pub fn narrow() -> Result<(), SandboxError> {
    linux::narrow()
}

/// Which walls this kernel has; nobody is confined.
#[must_use]
pub fn offered() -> Confined {
    linux::offered()
}
