//! Confines this process, so that it can be broken without harm: for whoever reads other people's
//! files.
//!
//! Three walls, each of them the kernel's:
//! - **files** (Landlock): only what is named can be opened, and nothing executed; where the kernel
//!   knows them, TCP ports, abstract sockets and signals to others are closed as well;
//! - **system calls** (seccomp): what is not on a list of calls that a computation needs is refused
//!   with `EPERM`, above all everything that makes a socket or a process;
//! - **memory** (`RLIMIT_AS`): past the bound an allocation fails.
//!
//! A process does this to itself, once, while it has one thread; threads and walls that come later
//! inherit it, and nothing takes it back. What a kernel does not have is said and not hidden
//! ([`Confined`]); whoever starts the process decides whether that will do.
//!
//! Sources: landlock(7), seccomp(2), getrlimit(2); the idea of refusing instead of killing, so that
//! a library that probes for a call falls back, is that of container runtimes.
#![forbid(unsafe_code)]

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls;
mod confine;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "other.rs"]
mod linux;

pub use confine::{Confined, Rules, SandboxError, Wall, confine, narrow, offered};
