//! A promise in the code needs an issue that keeps it.

use super::{Rule, Violation};
use crate::tidy::tree::{RustFile, Tree};

pub const RULE: Rule = Rule {
    name: "todos",
    reason: "a note nobody tracks is forgotten; an issue is found again",
    check,
};

const WORDS: &[&str] = &["TODO", "FIXME", "XXX"];

/// Other files with comments in them; in prose and data the words may be quoted.
const SCRIPTS: &[&str] = &[".toml", ".sh", ".py", ".yml", ".yaml", ".html", ".css", ".js", "/run"];

fn check(tree: &Tree) -> Vec<Violation> {
    let in_rust = tree.rust.iter().flat_map(|file| {
        notes(file).into_iter().filter_map(|(line, text)| judge(&file.path, line, &text))
    });
    let is_script = |path: &str| SCRIPTS.iter().any(|end| path.ends_with(end));
    let scripts = tree.texts.iter().filter(|file| is_script(&file.path));
    let in_scripts = scripts.flat_map(|file| {
        let lines = file.text.lines().enumerate();
        lines.filter_map(|(index, line)| judge(&file.path, index + 1, line))
    });
    in_rust.chain(in_scripts).collect()
}

/// Comments and words of code; strings are data.
fn notes(file: &RustFile) -> Vec<(usize, String)> {
    let comments = file.comments.iter().map(|comment| (comment.line, comment.text.clone()));
    let words = file.tokens.iter().filter(|token| WORDS.iter().any(|word| token.is_word(word)));
    comments.chain(words.map(|token| (token.line, token.text.clone()))).collect()
}

fn judge(path: &str, line: usize, text: &str) -> Option<Violation> {
    let mut words = WORDS.iter().flat_map(|word| text.match_indices(word));
    let (_, word) = words.find(|(at, word)| is_note(text, *at, word))?;
    let what = format!("`{word}` without an issue");
    Some(RULE.broken(path, line, what, "do it now, or open an issue and name its number"))
}

/// Whether the word stands alone and is not followed by `(#number)`; only the first may be.
fn is_note(text: &str, at: usize, word: &str) -> bool {
    let (before, after) = (&text[..at], &text[at + word.len()..]);
    let name = |letter: char| letter == '_' || letter.is_alphanumeric();
    let alone = !before.ends_with(name) && !after.starts_with(name);
    let issue = after.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
    let number = |text: &str| !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    let tracked = word == WORDS[0] && issue.is_some_and(|(issue, _)| number(issue));
    alone && !tracked
}
