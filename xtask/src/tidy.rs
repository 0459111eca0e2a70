//! `cargo xtask tidy`: the rules of the house, checked by reading the tree.
//!
//! Each rule is one small module under `rule/` with a name, a reason and a check. A check reads a
//! [`Tree`], which is the files under one root, so a test plants a violation in a scratch
//! workspace and sees it named. Rust is read as tokens (`lexer`), never as raw lines, so a word in
//! a comment or a string breaks no rule about code.

mod lexer;
mod metadata;
mod region;
mod rule;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rule::{RULES, Violation};
use tree::Tree;

/// Checks the tree under the first word, or the workspace we stand in, and prints what is wrong.
pub fn main(words: &[String]) -> anyhow::Result<bool> {
    let root = match words {
        [] => workspace_root()?,
        [root] => PathBuf::from(root),
        _ => anyhow::bail!("takes at most one root folder, got {} words", words.len()),
    };
    let violations = check(&root)?;
    report(&violations);
    Ok(violations.is_empty())
}

/// All violations of all rules under `root`, sorted by place.
pub fn check(root: &Path) -> anyhow::Result<Vec<Violation>> {
    let tree = Tree::read(root)?;
    let mut violations: Vec<Violation> =
        RULES.iter().flat_map(|rule| (rule.check)(&tree)).collect();
    violations.sort();
    Ok(violations)
}

/// The cargo that runs us, so that a toolchain override holds for what we start as well.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The folder above this crate: where the chore stands, wherever it was called from.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .context("run it as `cargo xtask tidy`, or name the root folder")?;
    let parent = Path::new(&here).parent().context("xtask has no folder above it")?;
    Ok(parent.to_path_buf())
}

fn report(violations: &[Violation]) {
    let mut broken = BTreeMap::new();
    for violation in violations {
        println!("{violation}");
        *broken.entry(violation.rule).or_insert(0usize) += 1;
    }
    for rule in RULES {
        if let Some(count) = broken.get(rule.name) {
            println!("why [{}] ({count}): {}", rule.name, rule.reason);
        }
    }
    match violations.len() {
        0 => println!("tidy: {} rules hold", RULES.len()),
        count => println!("tidy: {count} violations of {} rules", broken.len()),
    }
}
