//! Grammars in a model's tokens: which tokens may follow, after each one.
//!
//! A grammar is a text in the Lark-like language of the library `llguidance`, JSON schemas in it
//! included; the library walks it byte by byte. Here its tokens get their bytes, and the library
//! gets bounds: they are counts of work, never times, so that every machine stops at the same
//! token. What the library lets through is part of what an answer is, and its exact version with
//! it: [`GRAMMAR_ENGINE`] names both.

use crate::spelling;
use crate::stack::{TextError, bounded, contained};
use crate::tokens::Vocabulary;
use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use mutirao_wire::Token;
use mutirao_wire::limits::GRAMMAR_BYTES_MAX;
use std::sync::Arc;

/// Names what reads grammars: `llguidance` 1.9.1 under the bounds of this file. Whoever changes
/// either, so that one mask of one grammar changes, gives it another number (`vectors/grammar.txt`
/// notices).
// spec: GRAMMAR-1.1
pub const GRAMMAR_ENGINE: u32 = 1;

/// Bounds of the work for one token, and of the memory for one answer (about a kilobyte a state).
// spec: GRAMMAR-1.4
const LEXER_STATES_MAX: usize = 20_000;
const GRAMMAR_SYMBOLS_MAX: usize = 200_000;

fn refused(reason: impl std::fmt::Display) -> TextError {
    // The library adds a second line for its own developers.
    let reason = reason.to_string().lines().next().unwrap_or_default().to_owned();
    TextError::Grammar { reason }
}

/// Reads grammars for one model.
pub struct Grammars {
    factory: ParserFactory,
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grammars")
    }
}

impl Grammars {
    /// For a vocabulary whose texts end with one of `ends`.
    pub(crate) fn new(vocabulary: &Vocabulary, ends: &[Token]) -> Result<Self, TextError> {
        let Some(Token(end)) = ends.first().copied() else {
            return Err(refused("no token of the model ends a text, so no grammar could end one"));
        };
        let words = spelling::of(vocabulary)?;
        let size = u32::try_from(words.len()).map_err(refused)?;
        let made = contained(|| {
            let trie = TokTrie::from(&TokRxInfo::new(size, end), &words);
            let ends: Vec<u32> = ends.iter().map(|token| token.0).collect();
            let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie.with_eos_tokens(&ends)));
            let mut factory = ParserFactory::new_simple(&tokens).map_err(|e| e.to_string())?;
            factory.quiet();
            let limits: &mut ParserLimits = factory.limits_mut();
            limits.max_lexer_states = LEXER_STATES_MAX;
            limits.max_grammar_size = GRAMMAR_SYMBOLS_MAX;
            limits.verbose_errors = false;
            Ok(Self { factory })
        });
        made.map_err(refused)
    }

    /// Begins to follow a grammar.
    ///
    /// # Errors
    /// [`TextError::Grammar`] when it cannot be read, or takes too much work.
    pub fn follow(&self, grammar: &str) -> Result<Followed, TextError> {
        bounded("grammar bytes", grammar.len(), GRAMMAR_BYTES_MAX)?;
        let begun = contained(|| {
            let grammar = TopLevelGrammar::from_lark(grammar.to_owned());
            let parser = self.factory.create_parser(grammar).map_err(|e| e.to_string())?;
            Ok(Followed { matcher: Matcher::new(Ok(parser)) })
        });
        begun.map_err(refused)
    }
}

/// A grammar, followed along one answer.
pub struct Followed {
    matcher: Matcher,
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Followed")
    }
}

impl Followed {
    /// The tokens that may follow: bit `t % 32` of word `t / 32` is token t's. Where the text is
    /// complete, those that end a text are among them.
    ///
    /// # Errors
    /// [`TextError::Grammar`] where nothing can follow, or the mask takes too much work.
    // spec: GRAMMAR-1.3
    pub fn allowed(&mut self) -> Result<Vec<u32>, TextError> {
        let allowed = self.matcher.compute_mask_or_eos();
        allowed.map(Into::into).map_err(refused)
    }

    /// Takes the next token. One that may not follow is noticed at the next [`Followed::allowed`].
    pub fn take(&mut self, token: Token) {
        let _ = self.matcher.consume_token(token.0);
    }
}
