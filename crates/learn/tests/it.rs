//! The families' checkpoints, trained elsewhere, as this project reads and runs them.

#[path = "it/families.rs"]
mod families;
