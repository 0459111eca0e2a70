//! `cargo xtask slow`: the whole test suite with the long tests switched on.
//!
//! Tests named `_slow_` return at once unless `MUTIRAO_SLOW` is set, so that a push stays quick;
//! this chore is for the night before a release.

use std::process::Command;

use anyhow::Context as _;

/// Runs every test of the workspace, the long ones too; `words` are handed to `cargo test`.
pub fn main(words: &[String]) -> anyhow::Result<bool> {
    let status = Command::new(crate::tidy::cargo())
        .args(["test", "--release", "--workspace"])
        .args(words)
        .env("MUTIRAO_SLOW", "1")
        .status()
        .context("cannot start cargo test")?;
    Ok(status.success())
}
