//! Only the door prints; a library that prints talks over the program it is in.

use super::{Rule, Violation};
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule = Rule {
    name: "prints",
    reason: "only `cli` talks to the person; what a room has to say it returns or traces",
    check,
};

const MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust.iter().filter(|file| !may_print(file)) {
        for pair in file.tokens.windows(2) {
            let [name, bang] = pair else { continue };
            if bang.is_mark("!") && MACROS.iter().any(|one| name.is_word(one)) {
                let what = format!("`{}!` outside the door", name.text);
                let remedy = "return it, or use `tracing` in a machine";
                found.push(RULE.broken(&file.path, name.line, what, remedy));
            }
        }
    }
    found
}

/// The program, the chores, the simulator's programs, examples, benches and build scripts.
fn may_print(file: &RustFile) -> bool {
    let doors = ["crates/cli/", "xtask/", "sim/src/bin/", "sim/src/main.rs"];
    let folders = ["examples", "benches"];
    doors.iter().any(|door| file.path.starts_with(door))
        || folders.iter().any(|folder| file.is_under(folder))
        || file.name() == "build.rs"
}
