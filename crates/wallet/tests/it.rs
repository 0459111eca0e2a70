//! Wallets against the real law of the ledger: blocks are built and checked as on any chain.
#![allow(clippy::unwrap_used, reason = "tests say what they expect by panicking")]

#[path = "it/channels.rs"]
mod channels;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/model.rs"]
mod model;
#[path = "it/money.rs"]
mod money;
#[path = "it/restore.rs"]
mod restore;
#[path = "it/view.rs"]
mod view;
#[path = "it/world.rs"]
mod world;
