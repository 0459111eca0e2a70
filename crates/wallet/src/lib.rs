//! Keeps keys and consent: 24 words, an encrypted keystore, a book of what came and went, sending.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod balance;
pub mod book;
pub mod cells;
pub mod collecting;
pub mod earning;
pub mod history;
pub mod keys;
pub mod keystore;
pub mod notes;
pub mod paying;
pub mod proof;
pub mod read;
pub mod send;
pub mod shelf;
pub mod vault;
mod wallet;
pub mod words;

pub use read::{Ledger, Unreachable};
pub use wallet::{NewWallet, Wallet, WalletError};
