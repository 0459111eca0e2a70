//! Unsafe code lives in one room, behind plain twins; everywhere else it is forbidden.

use super::{Rule, Violation};
use crate::tidy::lexer::Token;
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule = Rule {
    name: "unsafe",
    reason: "unsafe code is checked by people; it stays in one small room so that people can",
    check,
};

/// Rooms with unsafe code: the crate, which denies it instead of forbidding it, and the one module
/// in it that may hold some, as a file and as a folder.
const ROOMS: &[(&str, &str)] = &[("engine", "crates/engine/src/kernel")];

fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust.iter().filter(|file| !is_room(&file.path)) {
        for token in file.tokens.iter().filter(|token| token.is_word("unsafe")) {
            let what = "`unsafe` outside engine::kernel";
            let remedy = "say it safely, or give the kernel room a function with a plain twin";
            found.push(RULE.broken(&file.path, token.line, what, remedy));
        }
    }
    for package in tree.packages.iter().filter(|package| !has_room(&package.name)) {
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
    let inside = |rest: &str| rest == ".rs" || rest.starts_with('/');
    ROOMS.iter().any(|(_, room)| path.strip_prefix(room).is_some_and(inside))
}

fn has_room(name: &str) -> bool {
    ROOMS.iter().any(|(crate_name, _)| *crate_name == name)
}

fn forbids(root: &RustFile) -> bool {
    let wanted = ["#", "!", "[", "forbid", "(", "unsafe_code"];
    let matches = |window: &[Token]| window.iter().map(|token| &token.text).eq(wanted);
    root.tokens.windows(wanted.len()).any(matches)
}
