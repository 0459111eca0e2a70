//! Agrees on the order: which transactions stand in which block, and what is kept of them.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod audit;
mod chain;
mod chance;
mod claims;
pub mod file;
mod genesis;
mod keeper;
mod machine;
mod mempool;
pub mod snapshot;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use chain::{CLOCK_SLACK_MS, Chain, News, OpenError, Submitted};
pub use chance::Chance;
pub use genesis::{ALLOTMENTS_MAX, Allotment, Genesis, GenesisError, mint};
pub use keeper::{Clock, Keeper, Pace, head};
pub use machine::{BlockFault, FinaliseError, Finalised, StateMachine, Verdict, Wait};
pub use mempool::{Limits, Standing};
pub use store::{Store, StoreError};
