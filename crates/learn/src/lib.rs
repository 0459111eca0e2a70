//! Models that improve one another: the village world, its trainer and its scores.
//!
//! Pure: chance is a seed, threads are a pool passed in, files are the caller's. Floating point
//! lives in [`train`] and [`eval`] only.
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

pub mod card;
pub mod dice;
pub mod eval;
pub mod train;
pub mod village;
