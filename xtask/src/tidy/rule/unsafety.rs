//! Unsafe code lives in one room, behind plain twins; everywhere else it is forbidden.

use super::{Rule, Violation};
use crate::tidy::lexer::Token;
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule = Rule {
    name: "unsafe",
    reason: "unsafe code is checked by people; it stays in one small room so that people can",
    check,
};

/// The only room with unsafe code, `kernel.rs` and `kernel/`.
const ROOM: &str = "crates/engine/src/kernel";

/// The crate around that room; it denies unsafe code instead of forbidding it.
const CRATE: &str = "engine";

fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust.iter().filter(|file| !is_room(&file.path)) {
        for token in file.tokens.iter().filter(|token| token.is_word("unsafe")) {
            let what = "`unsafe` outside engine::kernel";
            let remedy = "say it safely, or give the kernel room a function with a plain twin";
            found.push(RULE.broken(&file.path, token.line, what, remedy));
        }
    }
    for package in tree.packages.iter().filter(|package| package.name != CRATE) {
        let roots = tree.rust.iter().filter(|file| package.roots.contains(&file.path));
        for root in roots.filter(|root| !forbids(root)) {
            let what = "this crate root does not forbid unsafe code";
            let remedy = "write `#![forbid(unsafe_code)]` below the crate's doc";
            found.push(RULE.broken(&root.path, 1, what, remedy));
        }
    }
    found
}

fn is_room(path: &str) -> bool {
    path.strip_prefix(ROOM).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn forbids(root: &RustFile) -> bool {
    let wanted = ["#", "!", "[", "forbid", "(", "unsafe_code"];
    let matches = |window: &[Token]| window.iter().map(|token| &token.text).eq(wanted);
    root.tokens.windows(wanted.len()).any(matches)
}
