//! Law is pure: what two machines must agree on may not depend on where or when it runs.

use super::{Rule, Violation};
use crate::tidy::lexer::{Kind, Token};
use crate::tidy::tree::Tree;

pub const RULE: Rule = Rule {
    name: "purity",
    reason: "two honest machines must get the same bits; clocks, files, threads, hash order and \
             self-made randomness differ between them",
    check,
};

const REMEDY: &str = "take it as an argument; doing it is a machine's business";

/// Rooms of the standard library that reach outside the program or depend on the machine.
const STD_ROOMS: &[&str] = &["env", "fs", "net", "process", "thread", "time"];

/// Crates that bring a runtime, threads or randomness of their own.
const CRATES: &[&str] = &["futures_util", "getrandom", "rayon", "tokio"];

/// Names that are impure wherever they come from; `async` is what a runtime would drive.
const NAMES: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "OsRng",
    "RandomState",
    "SystemTime",
    "async",
    "from_entropy",
    "from_os_rng",
    "thread_rng",
];

fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust.iter().filter(|file| file.law().is_some()) {
        let code: Vec<&Token> = file.code().collect();
        for (at, token) in code.iter().enumerate() {
            for (line, name) in impure(&code, at, token) {
                let what = format!("`{name}` in a law crate");
                found.push(RULE.broken(&file.path, line, what, REMEDY));
            }
        }
    }
    found
}

/// What the path or name that begins at this token reaches for, if it may not.
fn impure(code: &[&Token], at: usize, token: &Token) -> Vec<(usize, String)> {
    if token.kind != Kind::Word {
        return Vec::new();
    }
    let word = token.text.as_str();
    if NAMES.contains(&word) {
        return vec![(token.line, word.to_owned())];
    }
    let is_path = code.get(at + 1).is_some_and(|next| next.is_mark("::"));
    let inside = at > 0 && code.get(at - 1).is_some_and(|before| before.is_mark("::"));
    if !is_path || (inside && word != "std") {
        return Vec::new();
    }
    if CRATES.contains(&word) {
        return vec![(token.line, word.to_owned())];
    }
    let forbidden: &[&str] = match word {
        "std" => STD_ROOMS,
        "rand" => &["random", "rng"],
        _ => return Vec::new(),
    };
    let heads = heads(code, at + 2);
    let bad = heads.into_iter().filter(|head| forbidden.contains(&head.text.as_str()));
    bad.map(|head| (head.line, format!("{word}::{}", head.text))).collect()
}

/// The next words of a path: one, or the first of each branch of `{…}`.
fn heads<'a>(code: &[&'a Token], at: usize) -> Vec<&'a Token> {
    let Some(first) = code.get(at) else { return Vec::new() };
    if !first.is_mark("{") {
        return vec![first];
    }
    let mut heads = Vec::new();
    let mut depth = 0usize;
    for (index, token) in code.iter().enumerate().skip(at) {
        if token.is_mark("{") {
            depth += 1;
        } else if token.is_mark("}") {
            depth -= 1;
        }
        if depth == 0 {
            break;
        }
        let opens = token.is_mark(",") || token.is_mark("{");
        if depth == 1 && opens {
            heads.extend(code.get(index + 1));
        }
    }
    heads
}
