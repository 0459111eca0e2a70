//! Law counts in integers; floats live in a few named rooms.

use super::{Rule, Violation};
use crate::tidy::lexer::{Kind, Token};
use crate::tidy::tree::Tree;

pub const RULE: Rule = Rule {
    name: "floats",
    reason: "one prompt, one answer, bit for bit: float results depend on order, fusing and libm",
    check,
};

/// Where floats are at home: reading source weights, training, and scoring what was trained. A
/// room is a file or folder whose path begins like this.
const ROOMS: &[&str] = &[
    "crates/engine/src/load/quantise",
    "crates/learn/src/train",
    "crates/learn/src/eval",
    "crates/learn/src/card",
];

/// Types, and calls that give a float without naming its type.
const NAMES: &[&str] = &["f16", "f32", "f64", "f128", "bf16", "as_f32", "as_f64", "from_f64"];

fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust.iter().filter(|file| file.law().is_some()) {
        if ROOMS.iter().any(|room| file.path.starts_with(room)) {
            continue;
        }
        for token in file.code().filter(|token| is_float(token)) {
            let what = format!("`{}` in a law crate", token.text);
            let remedy = "use fixed-point integers, or do it in engine::load::quantise, \
                          learn::train, learn::eval or learn::card";
            found.push(RULE.broken(&file.path, token.line, what, remedy));
        }
    }
    found
}

fn is_float(token: &Token) -> bool {
    match token.kind {
        Kind::Word => NAMES.contains(&token.text.as_str()),
        Kind::Number => is_float_number(&token.text),
        _ => false,
    }
}

/// A point, a decimal exponent or a float suffix makes a number a float.
fn is_float_number(text: &str) -> bool {
    if ["0x", "0b", "0o"].iter().any(|prefix| text.starts_with(prefix)) {
        return false;
    }
    let suffixed = text.ends_with("f32") || text.ends_with("f64");
    let digits = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '_');
    suffixed || text.contains('.') || digits.starts_with(['e', 'E'])
}
