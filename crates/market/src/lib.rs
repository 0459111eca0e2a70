//! Who serves whom: the client's and the provider's half of a session as pure state machines, what
//! a receipt is worth, and what is remembered about whom.
//!
//! No I/O, no clock, no randomness: time and chance come in as arguments, frames and engine events
//! go in, actions come out. The same code runs over QUIC, in memory and on a simulator's clock.
#![deny(clippy::float_arithmetic, clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![forbid(unsafe_code)]
#![expect(clippy::large_enum_variant, reason = "each frame and event is moved once, never kept")]
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod audit;
pub mod measure;
pub mod quote;
pub mod session;
pub mod standing;
#[cfg(test)]
mod testing;

/// Milliseconds since 1970, as some machine's clock says.
pub type Millis = u64;
