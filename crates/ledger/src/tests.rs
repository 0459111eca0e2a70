//! The whole ledger at work: a small world of wallets and a chain, honest days and every forgery.

pub(crate) mod bonds;
pub(crate) mod cells;
pub(crate) mod channels;
mod forgery;
mod model;
mod tamper;
mod transfer;
mod vectors;
pub(crate) mod world;
