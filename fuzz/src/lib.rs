//! Everything that decodes bytes of strangers, as one function of bytes per kind, each with what
//! must hold whatever the bytes are. A fuzzer calls them with bytes it makes up (`fuzz/libfuzzer`),
//! and an ordinary test with the bytes that were worth keeping (`fuzz/corpus`).
#![forbid(unsafe_code)]

mod chain;
mod files;
mod ledger;
mod model;
mod published;
mod session;
mod target;
mod text;
mod wallet;
mod wire;

pub use target::{TARGETS, Target, run};
