//! Finds the test code inside a Rust file, because most rules treat it apart.
//!
//! Test code is an item under `#[cfg(test)]`, `#[test]` or the `testing` feature, and every file
//! such an item pulls in with `mod name;`.

use super::lexer::{Comment, Kind, Token};

/// What reading one file for test code tells.
#[derive(Debug, Default)]
pub struct Regions {
    /// First and last line of each test item.
    pub lines: Vec<(usize, usize)>,
    /// Names of modules declared as `#[cfg(test)] mod name;`.
    pub modules: Vec<String>,
    /// Whether the file says `#![cfg(test)]`.
    pub whole: bool,
}

/// Marks the tokens and comments that stand in test code and says where it is.
pub fn mark(tokens: &mut [Token], comments: &mut [Comment]) -> Regions {
    let mut regions = Regions::default();
    let mut at = 0;
    while at < tokens.len() {
        let Some(attribute) = Attribute::at(tokens, at) else {
            at += 1;
            continue;
        };
        if !attribute.is_test(tokens) {
            at = attribute.end + 1;
        } else if attribute.inner {
            regions.whole = true;
            at = attribute.end + 1;
        } else {
            let end = item_end(tokens, attribute.end + 1);
            regions.modules.extend(outlined_module(&tokens[at..=end]));
            regions.lines.push((tokens[at].line, tokens[end].line));
            tokens[at..=end].iter_mut().for_each(|token| token.test = true);
            at = end + 1;
        }
    }
    for comment in comments {
        let inside = |(first, last): &(usize, usize)| (*first..=*last).contains(&comment.line);
        comment.test = regions.lines.iter().any(inside);
    }
    regions
}

/// Position of the bracket that closes the one at `open`, or of the last token.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Mark {
            continue;
        }
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// `#[…]` or `#![…]`, by the positions of its brackets.
struct Attribute {
    open: usize,
    end: usize,
    inner: bool,
}

impl Attribute {
    fn at(tokens: &[Token], at: usize) -> Option<Attribute> {
        tokens.get(at).filter(|token| token.is_mark("#"))?;
        let inner = tokens.get(at + 1)?.is_mark("!");
        let open = at + 1 + usize::from(inner);
        tokens.get(open).filter(|token| token.is_mark("["))?;
        Some(Attribute { open, end: closing(tokens, open), inner })
    }

    fn is_test(&self, tokens: &[Token]) -> bool {
        let inside = tokens.get(self.open + 1..self.end).unwrap_or_default();
        let Some(first) = inside.first() else { return false };
        if !first.is_word("cfg") {
            // `#[test]`, or another crate's runner: `#[tokio::test]`, `#[tokio::test(…)]`.
            let arguments = inside.iter().position(|token| token.is_mark("("));
            let path = &inside[..arguments.unwrap_or(inside.len())];
            return path.last().is_some_and(|last| last.is_word("test"));
        }
        let denied = inside.iter().any(|token| token.is_word("not"));
        let names = |token: &Token| token.is_word("test") || token.text == "\"testing\"";
        !denied && inside.iter().any(names)
    }
}

/// Last token of the item, field or statement that begins at `at`, further attributes skipped.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while let Some(attribute) = Attribute::at(tokens, at) {
        at = attribute.end + 1;
    }
    let item = tokens.get(at).is_some_and(|first| ITEMS.contains(&first.text.as_str()));
    while at < tokens.len() {
        let token = &tokens[at];
        let over = token.is_mark(";") || (!item && token.is_mark(","));
        if over {
            return at;
        }
        if ["}", ")", "]"].iter().any(|close| token.is_mark(close)) {
            return at.saturating_sub(1);
        }
        if ["{", "(", "["].iter().any(|open| token.is_mark(open)) {
            let close = closing(tokens, at);
            if token.is_mark("{") {
                return close;
            }
            at = close;
        }
        at += 1;
    }
    tokens.len().saturating_sub(1)
}

/// Words an item may begin with; after any other, a comma ends what an attribute stands on.
const ITEMS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];

/// The name in `mod name;`, if that is what the item is.
fn outlined_module(item: &[Token]) -> Option<String> {
    match item {
        [.., keyword, name, end] if keyword.is_word("mod") && end.is_mark(";") => {
            Some(name.text.clone())
        }
        _ => None,
    }
}
