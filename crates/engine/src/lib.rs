//! Runs a language model in exact integers: the same bits on every machine.
//!
//! The meaning of every operator is op set 1, written down in `docs/spec/engine.md`. A job has one
//! answer: it does not depend on the chunking of the prompt, the number of threads or the kernels.
//! Floats appear in one place only, [`load::quantise`], where published weights are converted once.
#![deny(clippy::float_arithmetic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::float_arithmetic))]

pub mod fixed;
pub mod guide;
pub mod kernel;
pub mod load;
pub mod model;
pub mod op;
pub mod pool;
pub mod run;
pub mod sample;
pub mod session;
mod split;
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use kernel::Kernels;
pub use kernel::packed::Bytes;
pub use load::{ConvertError, LoadError, Source};
pub use model::Model;
pub use model::header::{Header, Profile, Shape};
pub use model::packed::{PackError, PackedError, pack};
pub use model::variant::Variant;
pub use run::{Generation, JobError, Kept, Prefill, Replay, Step};
pub use session::{EngineError, Logits, Session};
