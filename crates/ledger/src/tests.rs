//! The whole ledger at work: a small world of wallets and a chain, honest days and every forgery.

mod cells;
mod forgery;
mod model;
mod tamper;
mod transfer;
pub(crate) mod world;
