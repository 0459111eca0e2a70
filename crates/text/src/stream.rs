//! Text as it comes: tokens in, whole characters out. The concatenation is the decoded answer.

use crate::tokens::Vocabulary;
use mutirao_wire::Token;
use std::sync::Arc;

/// Stands for bytes that are no character yet.
const INCOMPLETE: char = '\u{FFFD}';

/// Reads an answer token by token. Bytes that are part of a character wait for the rest of it.
///
/// Only the last tokens are decoded again at each step: `anchor..shown` were shown and give the
/// decoder its context, `shown..` are new.
#[derive(Debug, Clone)]
pub struct TextStream {
    vocabulary: Arc<Vocabulary>,
    tokens: Vec<Token>,
    anchor: usize,
    shown: usize,
}

impl TextStream {
    pub(crate) fn new(vocabulary: Arc<Vocabulary>) -> Self {
        Self { vocabulary, tokens: Vec::new(), anchor: 0, shown: 0 }
    }

    /// Takes the next token; gives the text that is whole now, often none.
    pub fn push(&mut self, token: Token) -> String {
        self.tokens.push(token);
        let text = self.fresh();
        if text.is_empty() || text.ends_with(INCOMPLETE) {
            return String::new();
        }
        self.anchor = self.shown;
        self.shown = self.tokens.len();
        text
    }

    /// Gives what is left at the end, incomplete characters included.
    #[must_use]
    pub fn finish(self) -> String {
        self.fresh()
    }

    /// The text of the tokens that were not shown.
    fn fresh(&self) -> String {
        let decode = |end: usize| {
            let tokens = self.tokens.get(self.anchor..end).unwrap_or_default();
            self.vocabulary.decode(tokens).unwrap_or_default()
        };
        let (all, known) = (decode(self.tokens.len()), decode(self.shown));
        all.strip_prefix(known.as_str()).unwrap_or_default().to_owned()
    }
}
