//! The shape of a file: it says what it is for, and a crate's front door holds no logic.

use super::{Rule, Violation};
use crate::tidy::lexer::{Kind, Token};
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule = Rule {
    name: "shape",
    reason: "the first line says what a file is for, and lib.rs which rooms a crate has",
    check,
};

fn check(tree: &Tree) -> Vec<Violation> {
    tree.rust.iter().flat_map(check_file).collect()
}

fn check_file(file: &RustFile) -> Vec<Violation> {
    let mut found = Vec::new();
    let opening = file.text.lines().next().and_then(|line| line.strip_prefix("//!"));
    let words = opening.map_or(0, |doc| doc.split_whitespace().count());
    if words < 2 {
        let what = "the file does not open with `//!` and a sentence";
        found.push(RULE.broken(&file.path, 1, what, "say what it is and why it exists"));
    }
    if file.name() == "mod.rs" {
        let what = "a module in a `mod.rs`";
        found.push(RULE.broken(&file.path, 1, what, "call it `<name>.rs` beside `<name>/`"));
    }
    if file.name() == "lib.rs" {
        found.extend(logic(file));
    }
    found
}

/// Functions in a `lib.rs`, its tests apart.
fn logic(file: &RustFile) -> Vec<Violation> {
    let code: Vec<&Token> = file.code().collect();
    let is_function = |pair: &&[&Token]| match pair {
        [first, second] => first.is_word("fn") && second.kind == Kind::Word,
        _ => false,
    };
    let explain = |pair: &[&Token]| {
        let what = format!("`fn {}` in lib.rs", pair[1].text);
        RULE.broken(&file.path, pair[0].line, what, "move it to the module it belongs to")
    };
    code.windows(2).filter(is_function).map(explain).collect()
}
