//! One sequence: its key-value cache and where it stands.
//!
//! Tokens come in chunks of any size; the bits that come out do not depend on the chunks.

use crate::kernel::Kernels;
use crate::model::Model;
use crate::model::llama::{LayerCache, Pass, Spare, Visit};
use crate::pool::Pool;
use mutirao_wire::Token;
use std::ops::Deref;
use std::sync::Arc;
use thiserror::Error;

/// Most tokens of one pass: bounds the working memory; longer chunks run in pieces.
const PASS_TOKENS: usize = 128;

/// Why tokens could not be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A value left its declared range: the answer ends here, on every machine.
    #[error("the model traps at position {position}: a value left its declared range")]
    Trap {
        /// Of the token whose computation trapped.
        position: usize,
    },
    /// The model does not know the token.
    #[error("token {token} at position {position} is out of the vocabulary of {vocabulary}")]
    TokenOutOfVocabulary {
        /// The token.
        token: u32,
        /// Where it stands.
        position: usize,
        /// Tokens that the model knows.
        vocabulary: u32,
    },
    /// The sequence is full.
    #[error("{wanted} positions wanted, the model's context has {context}")]
    ContextExceeded {
        /// Positions that the sequence would have.
        wanted: usize,
        /// Positions there are.
        context: u32,
    },
    /// Nothing was fed.
    #[error("no token was fed")]
    Empty,
    /// An earlier call failed; a new session is needed.
    #[error("the session failed before; start a new one")]
    Poisoned,
}

/// Logits after one token: 12 fraction bits, one for every token of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logits(Vec<i32>);

impl Deref for Logits {
    type Target = [i32];

    fn deref(&self) -> &[i32] {
        &self.0
    }
}

/// A sequence in progress.
#[derive(Debug, Clone)]
pub struct Session {
    model: Arc<Model>,
    kernels: Kernels,
    caches: Vec<LayerCache>,
    position: usize,
    poisoned: bool,
    spare: Spare,
}

impl Session {
    /// An empty sequence with the fastest kernels of this machine.
    #[must_use]
    pub fn new(model: Arc<Model>) -> Self {
        Self::with_kernels(model, Kernels::detect())
    }

    /// An empty sequence with chosen kernels. The choice changes no bit.
    #[must_use]
    pub fn with_kernels(model: Arc<Model>, kernels: Kernels) -> Self {
        let heads = model.network.shape().kv_heads as usize;
        let caches = vec![LayerCache::new(heads); model.network.layers()];
        Self { model, kernels, caches, position: 0, poisoned: false, spare: Spare::default() }
    }

    /// Tokens fed so far: the position of the next one.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Feeds a chunk; the logits after its last token.
    ///
    /// # Errors
    /// [`EngineError`]; the session is then poisoned.
    pub fn feed(&mut self, tokens: &[Token], pool: &dyn Pool) -> Result<Logits, EngineError> {
        let mut last = Vec::new();
        let only = tokens.len().saturating_sub(1);
        self.feed_from(tokens, only, pool, &mut |_, logits| last = logits.to_vec())?;
        Ok(Logits(last))
    }

    /// Feeds a chunk and visits the logits after every token.
    ///
    /// # Errors
    /// [`EngineError`]; the session is then poisoned. Tokens before a trap have been visited.
    pub fn feed_each(
        &mut self,
        tokens: &[Token],
        pool: &dyn Pool,
        visit: &mut dyn FnMut(usize, &[i32]),
    ) -> Result<(), EngineError> {
        self.feed_from(tokens, 0, pool, visit)
    }

    /// Feeds a chunk and visits the logits after every token from index `first` on. Where no
    /// logits are wanted none are computed, and so none can trap.
    ///
    /// # Errors
    /// [`EngineError`]; the session is then poisoned. Tokens before a trap have been visited.
    // spec: ENGINE-12.1, ENGINE-12.2
    pub fn feed_from(
        &mut self,
        tokens: &[Token],
        first: usize,
        pool: &dyn Pool,
        visit: &mut dyn FnMut(usize, &[i32]),
    ) -> Result<(), EngineError> {
        let result = self.check(tokens).and_then(|()| {
            // Equal pieces: a short last one would read all weights for a few tokens.
            let size = tokens.len().div_ceil(tokens.len().div_ceil(PASS_TOKENS));
            tokens.chunks(size).enumerate().try_for_each(|(piece, tokens)| {
                let before = piece * size;
                let mut shifted = |index: usize, logits: &[i32]| visit(before + index, logits);
                self.pass(tokens, first.saturating_sub(before), pool, &mut shifted)
            })
        });
        self.poisoned |= result.is_err();
        result
    }

    fn pass(
        &mut self,
        tokens: &[Token],
        first: usize,
        pool: &dyn Pool,
        visit: Visit<'_>,
    ) -> Result<(), EngineError> {
        let start = self.position;
        let network = &self.model.network;
        let mut pass = Pass::new(network, self.kernels, pool, tokens, start, &self.spare);
        let trapped = pass.layers(&mut self.caches);
        let trapped = if first < tokens.len() { pass.logits(first, visit) } else { trapped };
        self.position += tokens.len();
        trapped.map_or(Ok(()), |index| Err(EngineError::Trap { position: start + index }))
    }

    /// Everything that could go wrong but a trap, before any work is done.
    // spec: ENGINE-12.3
    fn check(&self, tokens: &[Token]) -> Result<(), EngineError> {
        if self.poisoned {
            return Err(EngineError::Poisoned);
        }
        if tokens.is_empty() {
            return Err(EngineError::Empty);
        }
        let (vocabulary, context) = (self.model.vocabulary(), self.model.context());
        let wanted = self.position.saturating_add(tokens.len());
        if wanted > context as usize {
            return Err(EngineError::ContextExceeded { wanted, context });
        }
        match tokens.iter().position(|token| token.0 >= vocabulary) {
            None => Ok(()),
            Some(index) => Err(EngineError::TokenOutOfVocabulary {
                token: tokens[index].0,
                position: self.position + index,
                vocabulary,
            }),
        }
    }
}
