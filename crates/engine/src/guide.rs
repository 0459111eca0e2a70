//! Grammars, as the engine sees them: after each token, the set of tokens that may follow.
//!
//! What a grammar means in a model's tokens belongs to its tokenizer, which is part of the model
//! and nothing that the engine reads. So somebody else follows the grammar ([`Guides`], given to
//! the model when it is opened), and the engine chooses among what is let through
//! ([`crate::sample::choose_among`]). What is let through must be a function of model, grammar and
//! tokens alone: then the answer is one.

use mutirao_wire::Token;
use mutirao_wire::job::Constraint;
use std::fmt::Debug;
use thiserror::Error;

/// Why a grammar cannot be followed, or no further.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NoGuide(pub String);

/// Follows grammars in the tokens of one model.
pub trait Guides: Debug + Send + Sync {
    /// Begins at the beginning of an answer.
    ///
    /// # Errors
    /// [`NoGuide`] for another engine's grammar, and for one that cannot be read.
    fn follow(&self, constraint: &Constraint) -> Result<Box<dyn Guide>, NoGuide>;
}

/// Follows one answer.
pub trait Guide: Debug + Send {
    /// The tokens that may follow what was taken.
    ///
    /// # Errors
    /// [`NoGuide`] where nothing may follow, or the grammar takes more work than is done for it.
    fn allowed(&mut self) -> Result<Allowed, NoGuide>;

    /// Takes the next token.
    fn take(&mut self, token: Token);
}

/// A set of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Bit `t % 32` of word `t / 32` says whether token t is in it; what is beyond is not.
    words: Vec<u32>,
}

impl Allowed {
    /// The tokens whose bits are set: `t % 32` of word `t / 32` is token t's.
    #[must_use]
    pub fn from_words(words: Vec<u32>) -> Self {
        Self { words }
    }

    /// Whether it has a token.
    #[must_use]
    pub fn has(&self, token: Token) -> bool {
        let word = usize::try_from(token.0 / 32).ok().and_then(|at| self.words.get(at));
        word.is_some_and(|word| word >> (token.0 % 32) & 1 == 1)
    }
}
