//! Introduces the rooms to one another: configuration, keys, models, roles.
#![forbid(unsafe_code)]

pub mod ask;
mod assemble;
pub mod caches;
pub mod callers;
mod carry;
pub mod cashier;
mod checkup;
mod clock;
pub mod config;
mod desk;
mod door;
pub mod energy;
pub mod eval;
pub mod fetch;
pub mod files;
mod guide;
mod hub;
pub mod keys;
pub mod lan;
pub mod learn;
pub mod ledger;
pub mod library;
pub mod manners;
pub mod mind;
pub mod models;
mod packs;
pub mod peers;
mod places;
mod provide;
pub mod published;
pub mod purse;
pub mod push;
pub mod receipts;
mod serve;
pub mod standing;
pub mod threads;
pub mod verify;
pub mod worker;
mod workshop;

pub use assemble::Node;
pub use checkup::Check;
pub use desk::Progress;
pub use door::{Kill, Serving};
pub use mutirao_engine::Profile;
pub use provide::Providing;
