//! A room has one job and is called by it.

use super::{Rule, Violation};
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule =
    Rule { name: "names", reason: "a module called after nothing collects everything", check };

const FORBIDDEN: &[&str] =
    &["common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"];

const REMEDY: &str = "name it after the one thing it does";

fn check(tree: &Tree) -> Vec<Violation> {
    tree.rust.iter().flat_map(|file| in_path(file).into_iter().chain(in_code(file))).collect()
}

fn in_path(file: &RustFile) -> Vec<Violation> {
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let bad = stem.split('/').filter(|part| FORBIDDEN.contains(part));
    let explain = |part| RULE.broken(&file.path, 1, format!("`{part}` in the path"), REMEDY);
    bad.map(explain).collect()
}

fn in_code(file: &RustFile) -> Vec<Violation> {
    let mut found = Vec::new();
    for pair in file.tokens.windows(2) {
        let [keyword, name] = pair else { continue };
        if keyword.is_word("mod") && FORBIDDEN.contains(&name.text.as_str()) {
            let what = format!("a module called `{}`", name.text);
            found.push(RULE.broken(&file.path, name.line, what, REMEDY));
        }
    }
    found
}
