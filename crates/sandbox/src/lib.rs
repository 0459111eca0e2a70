//! Confines this process: what it may still open, call and allocate, for the rest of its life.
//!
//! Whoever serves models reads files that strangers wrote. A process that does nothing else can be
//! broken by one of them without harm: it reaches no network, no key, no other process and no file
//! that it was not given. On Linux Landlock guards the files, seccomp the system calls and a
//! resource limit the memory; elsewhere nothing does, and [`Confined`] says so.
//!
//! What it does not guard: time on the processor, what the process answers on the sockets and files
//! that it held open before, whether a file exists and how large it is (looking at a path needs no
//! permission), and the kernel itself behind the calls that remain.
//!
//! ```no_run
//! use mutirao_sandbox::{Rules, confine};
//!
//! let rules = Rules {
//!     read: vec!["models/a".into()],
//!     write: vec!["packs".into()],
//!     memory_bytes: Some(3 << 30),
//!     end_with_parent: true,
//! };
//! let confined = confine(&rules)?;
//! // Read the model and pack it here; then only the pack is left.
//! let confined = confined.narrow(&["packs/a".into()])?;
//! let words = confined.words();
//! # Ok::<(), mutirao_sandbox::SandboxError>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod confine;
mod holds;
mod system;

pub use confine::{Confined, Rules, SandboxError, confine, offered};
pub use holds::{Calls, Files, Offered};
