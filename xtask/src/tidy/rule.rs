//! The rules: one module each, listed in [`RULES`].
//!
//! To add one, write `rule/<name>.rs` with a `pub const RULE`, list it here, and plant its
//! violation in `tests.rs`.

use std::fmt;

use super::tree::Tree;

mod clauses;
mod edges;
mod floats;
mod names;
mod places;
mod prints;
mod purity;
mod shape;
mod size;
mod todos;
mod unsafety;

/// Every rule, in the order their reasons are printed.
pub const RULES: &[Rule] = &[
    edges::RULE,
    purity::RULE,
    floats::RULE,
    unsafety::RULE,
    clauses::RULE,
    size::RULE,
    shape::RULE,
    prints::RULE,
    names::RULE,
    todos::RULE,
    places::RULE,
];

/// A rule of the house.
pub struct Rule {
    /// One word, printed with every violation.
    pub name: &'static str,
    /// Why we keep it.
    pub reason: &'static str,
    /// Finds what breaks it.
    pub check: fn(&Tree) -> Vec<Violation>,
}

/// One place where a rule is broken; sorts by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, from the root.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// Name of the rule.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { path, line, rule, what, remedy } = self;
        write!(out, "{path}:{line}: [{rule}] {what} — {remedy}")
    }
}

impl Rule {
    /// A violation of this rule.
    fn broken(
        &self,
        path: &str,
        line: usize,
        what: impl Into<String>,
        remedy: &'static str,
    ) -> Violation {
        Violation { path: path.to_owned(), line, rule: self.name, what: what.into(), remedy }
    }
}
