//! Introduces the rooms to one another: configuration, keys, models, roles.
#![forbid(unsafe_code)]

pub mod config;
pub mod files;
pub mod keys;
pub mod threads;
