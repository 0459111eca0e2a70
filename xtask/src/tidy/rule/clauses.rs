//! Every numbered clause of the specification is enforced somewhere and tested somewhere.
//!
//! A clause is defined in `docs/spec/*.md` by its bold id at the start of a paragraph, list item
//! or heading: `**ENGINE-1.2** …` or `**ENGINE-1.2 Title.** …`; fenced blocks do not count. It is
//! cited in a Rust comment by `spec:`, a space and the id; several are parted by commas.

use std::collections::BTreeMap;

use super::{Rule, Violation};
use crate::tidy::tree::{RustFile, TextFile, Tree};

pub const RULE: Rule = Rule {
    name: "clauses",
    reason: "a specification that no code cites is a wish, and one that no test cites is a rumour",
    check,
};

/// Where a clause is defined, and where it is cited.
#[derive(Default)]
struct Clause {
    definitions: Vec<(String, usize)>,
    code: usize,
    tests: usize,
}

fn check(tree: &Tree) -> Vec<Violation> {
    let mut clauses: BTreeMap<String, Clause> = BTreeMap::new();
    let in_spec =
        |file: &&TextFile| file.path.starts_with("docs/spec/") && file.path.ends_with(".md");
    for file in tree.texts.iter().filter(in_spec) {
        for (line, id) in definitions(&file.text) {
            clauses.entry(id).or_default().definitions.push((file.path.clone(), line));
        }
    }
    let mut found = Vec::new();
    for file in &tree.rust {
        for (line, id, test) in citations(file) {
            match clauses.get_mut(&id) {
                Some(clause) if test => clause.tests += 1,
                Some(clause) => clause.code += 1,
                None => {
                    let what = format!("cites `{id}`, which docs/spec does not define");
                    let remedy = "cite a clause by its bold id, or write the clause";
                    found.push(RULE.broken(&file.path, line, what, remedy));
                }
            }
        }
    }
    found.extend(clauses.iter().flat_map(|(id, clause)| judge(id, clause)));
    found
}

fn judge(id: &str, clause: &Clause) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, line) in clause.definitions.iter().skip(1) {
        let what = format!("`{id}` is defined a second time");
        found.push(RULE.broken(path, *line, what, "give one of them the next free number"));
    }
    let Some((path, line)) = clause.definitions.first() else { return found };
    if clause.code == 0 {
        let what = format!("no code cites `{id}`");
        found.push(RULE.broken(path, *line, what, "write `// spec: <id>` where it is enforced"));
    }
    if clause.tests == 0 {
        let what = format!("no test cites `{id}`");
        found.push(RULE.broken(
            path,
            *line,
            what,
            "write `// spec: <id>` in the test that tries it",
        ));
    }
    found
}

/// Clause ids a specification defines, with their lines.
fn definitions(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.starts_with("```") || line.starts_with("~~~") {
            fenced = !fenced;
        }
        let bold = without_marker(line).strip_prefix("**").filter(|_| !fenced);
        found.extend(bold.and_then(leading_id).map(|(id, _)| (index + 1, id.to_owned())));
    }
    found
}

/// A line without the marker that makes it a list item, a quote or a heading.
fn without_marker(line: &str) -> &str {
    let marker = line.split(' ').next().unwrap_or_default();
    let digits = marker.trim_end_matches(['.', ')']);
    let numbered = digits.len() < marker.len() && digits.chars().all(|it| it.is_ascii_digit());
    let heading = !marker.is_empty() && marker.chars().all(|it| it == '#');
    match marker {
        "-" | "*" | "+" | ">" => line[marker.len()..].trim_start(),
        _ if numbered || heading => line[marker.len()..].trim_start(),
        _ => line,
    }
}

/// Clause ids a Rust file cites: line, id, and whether from test code.
fn citations(file: &RustFile) -> Vec<(usize, String, bool)> {
    let mut found = Vec::new();
    for comment in &file.comments {
        for (_, mut rest) in comment
            .text
            .match_indices("spec: ")
            .map(|(at, _)| comment.text.split_at(at + "spec: ".len()))
        {
            while let Some((id, after)) = leading_id(rest) {
                found.push((comment.line, id.to_owned(), file.test || comment.test));
                let after = after.trim_start().trim_start_matches([',', ';']).trim_start();
                rest = after.strip_prefix("and ").unwrap_or(after);
            }
        }
    }
    found
}

/// Splits `ENGINE-1.2, rest` after the id: capitals, a hyphen, numbers parted by points.
fn leading_id(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|it: char| !(it.is_ascii_alphanumeric() || "-.".contains(it)));
    let word = text[..end.unwrap_or(text.len())].trim_end_matches(['.', '-']);
    let (room, number) = word.rsplit_once('-')?;
    let capital = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '-';
    let is_room = room.starts_with(|it: char| it.is_ascii_uppercase()) && room.chars().all(capital);
    let digits = |part: &str| !part.is_empty() && part.chars().all(|it| it.is_ascii_digit());
    let is_number = number.split('.').all(digits);
    (is_room && is_number).then(|| text.split_at(word.len()))
}
