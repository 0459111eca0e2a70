//! Value that moves unseen: keys, notes, proofs, cells, and the state they change.
//!
#![doc = include_str!("../README.md")]
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)
)]

pub mod anatomy;
pub mod block;
pub mod build;
pub mod cell;
pub mod commit;
pub mod curve;
pub mod deal;
pub mod examine;
pub mod key;
pub mod note;
pub mod payment;
pub mod range;
pub mod rules;
pub mod scan;
pub mod sealed;
pub mod service;
pub mod sigma;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transcript;
pub mod tx;

#[cfg(test)]
mod tests;
