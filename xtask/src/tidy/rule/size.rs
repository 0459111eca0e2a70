//! Budgets: lines a file, lines a function, columns a line. Tests have their own.

use super::{Rule, Violation};
use crate::tidy::lexer::{Kind, Token};
use crate::tidy::region;
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule = Rule {
    name: "size",
    reason: "what fits on a page fits in a head; a budget asks for the split before it is needed",
    check,
};

/// Lines of a file, its tests apart.
const FILE_LINES_MAX: usize = 600;
/// Lines of a file of tests.
const TEST_FILE_LINES_MAX: usize = 1500;
/// Lines of one test item inside a file; more of them move to `<name>/tests.rs`.
const TEST_ITEM_LINES_MAX: usize = 300;
/// Lines of a function, from `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Characters of a line.
const COLUMNS_MAX: usize = 100;

fn check(tree: &Tree) -> Vec<Violation> {
    let budgets = [file_lines, test_items, functions, columns];
    tree.rust.iter().flat_map(|file| budgets.iter().flat_map(|budget| budget(file))).collect()
}

fn file_lines(file: &RustFile) -> Vec<Violation> {
    let in_tests: usize = file.test_lines.iter().map(|(first, last)| last + 1 - first).sum();
    let all = file.text.lines().count();
    let (lines, most) = match file.test {
        true => (all, TEST_FILE_LINES_MAX),
        false => (all.saturating_sub(in_tests), FILE_LINES_MAX),
    };
    let what = format!("{lines} lines, at most {most}");
    let broken = || RULE.broken(&file.path, 1, what, "split it by what changes together");
    (lines > most).then(broken).into_iter().collect()
}

fn test_items(file: &RustFile) -> Vec<Violation> {
    let long = |(first, last): &&(usize, usize)| last + 1 - first > TEST_ITEM_LINES_MAX;
    let explain = |(first, last): &(usize, usize)| {
        let what = format!("{} lines of tests, at most {TEST_ITEM_LINES_MAX}", last + 1 - first);
        RULE.broken(&file.path, *first, what, "move them to `<module>/tests.rs`")
    };
    file.test_lines.iter().filter(long).filter(|_| !file.test).map(explain).collect()
}

fn functions(file: &RustFile) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        let named = file.tokens.get(at + 1).filter(|next| next.kind == Kind::Word);
        let Some(name) = named.filter(|_| token.is_word("fn") && !token.test && !file.test) else {
            continue;
        };
        let lines = body_end(&file.tokens, at).map_or(1, |end| end + 1 - token.line);
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}", name.text);
            found.push(RULE.broken(&file.path, token.line, what, "give its steps names"));
        }
    }
    found
}

/// Last line of the body of the function whose `fn` stands at `at`; none if it has no body.
fn body_end(tokens: &[Token], mut at: usize) -> Option<usize> {
    loop {
        let token = tokens.get(at)?;
        if token.is_mark(";") {
            return None;
        }
        if token.is_mark("{") {
            return tokens.get(region::closing(tokens, at)).map(|close| close.line);
        }
        let opens = token.is_mark("(") || token.is_mark("[");
        at = if opens { region::closing(tokens, at) + 1 } else { at + 1 };
    }
}

fn columns(file: &RustFile) -> Vec<Violation> {
    let wide = |(index, line): (usize, &str)| {
        let columns = line.chars().count();
        let what = format!("{columns} columns, at most {COLUMNS_MAX}");
        let broken = || RULE.broken(&file.path, index + 1, what, "break the line");
        (columns > COLUMNS_MAX).then(broken)
    };
    file.text.lines().enumerate().filter_map(wide).collect()
}
