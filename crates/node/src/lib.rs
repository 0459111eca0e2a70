//! Introduces the rooms to one another: configuration, keys, models, roles.
#![forbid(unsafe_code)]

pub mod ask;
mod assemble;
mod carry;
mod checkup;
mod clock;
pub mod config;
mod door;
pub mod files;
pub mod keys;
pub mod lan;
pub mod learn;
pub mod library;
pub mod manners;
pub mod models;
pub mod peers;
mod places;
mod provide;
pub mod push;
pub mod receipts;
mod replay;
mod serve;
pub mod standing;
pub mod threads;
pub mod verify;

pub use assemble::Node;
pub use checkup::Check;
pub use door::{Kill, Serving};
pub use provide::Providing;
