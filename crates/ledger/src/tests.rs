//! The whole ledger at work: a small world of wallets and a chain, honest days and every forgery.

pub(crate) mod cells;
mod forgery;
mod model;
mod tamper;
mod transfer;
mod vectors;
pub(crate) mod world;
