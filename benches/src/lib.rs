//! The engine beside others: what the programs of this workspace share.
#![forbid(unsafe_code)]

pub mod clock;
pub mod gguf;
pub mod pool;
