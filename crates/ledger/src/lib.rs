//! Value that moves unseen: keys, notes, proofs, cells, and the state they change.
//!
#![doc = include_str!("../README.md")]
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod commit;
pub mod curve;
pub mod key;
pub mod note;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transcript;
