//! One sequence: its key-value cache and where it stands.
//!
//! Tokens come in chunks of any size, alone or with those of other sequences that share the reading
//! of the weights; the bits that come out depend on neither.

use crate::kernel::Kernels;
use crate::model::Model;
use crate::model::llama::{LayerCache, Part, Pass, Spare, Visit};
use crate::pool::Pool;
use mutirao_wire::Token;
use std::ops::Deref;
use std::sync::Arc;
use thiserror::Error;

/// Most tokens of one pass: bounds the working memory; longer chunks run in pieces.
pub const PASS_TOKENS: usize = 128;

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
        let mut shifted = |_, index, logits: &[i32]| visit(index, logits);
        let fed = feed_together(&mut [Feed::new(self, tokens, first)], pool, &mut shifted);
        fed.into_iter().collect()
    }

    /// Feeds a text and adds up the last states of its tokens: what the model makes of it, to be
    /// compared with what it makes of others. `hidden` whole numbers, the same on every machine.
    ///
    /// # Errors
    /// [`EngineError`]; the session is then poisoned.
    pub fn embed(&mut self, tokens: &[Token], pool: &dyn Pool) -> Result<Vec<i64>, EngineError> {
        let (model, kernels) = (self.model.clone(), self.kernels);
        let spare = std::mem::take(&mut self.spare);
        let mut sum = Vec::new();
        let mut add = |state: &[i32]| {
            sum.resize(state.len(), 0);
            sum.iter_mut().zip(state).for_each(|(sum, state)| *sum += i64::from(*state));
        };
        let mut feed = Feed::new(self, tokens, 0);
        while let Some(part) = feed.part(PASS_TOKENS) {
            let (count, mut parts) = (part.tokens.len(), [part]);
            let mut pass = Pass::new(&model.network, kernels, pool, &parts, &spare);
            pass.layers(&mut parts);
            let end = pass.states(&mut add);
            feed.advance(count, end);
        }
        feed.result.map(|()| sum)
    }

    /// Forgets all positions from `position` on: what follows is as if they had never been fed.
    /// A session that failed stays as it is.
    pub fn truncate(&mut self, position: usize) {
        if position < self.position {
            self.caches.iter_mut().for_each(|cache| cache.truncate(position));
            self.position = position;
        }
    }

    /// A copy of the first `count` positions.
    #[must_use]
    pub fn beginning(&self, count: usize) -> Self {
        let count = count.min(self.position);
        let caches = self.caches.iter().map(|cache| cache.beginning(count)).collect();
        let (model, spare) = (self.model.clone(), Spare::default());
        Self { model, caches, position: count, spare, ..*self }
    }

    /// Whether it is of this very model, and not of another copy of it.
    #[must_use]
    pub fn is_of(&self, model: &Arc<Model>) -> bool {
        Arc::ptr_eq(&self.model, model)
    }

    /// Whether a call failed: then nothing more can be fed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.poisoned
    }

    /// Bytes of its caches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.position as u64 * self.model.position_bytes()
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

/// Tokens for one of several sequences.
#[derive(Debug)]
pub struct Feed<'a> {
    session: &'a mut Session,
    tokens: &'a [Token],
    /// Index of the first whose logits are wanted.
    first: usize,
    done: usize,
    result: Result<(), EngineError>,
}

impl<'a> Feed<'a> {
    /// A chunk for a sequence; its logits are wanted from index `first` on.
    #[must_use]
    pub fn new(session: &'a mut Session, tokens: &'a [Token], first: usize) -> Self {
        let result = session.check(tokens);
        session.poisoned |= result.is_err();
        Self { session, tokens, first, done: 0, result }
    }

    /// What a pass takes of it, when each may have `share` tokens.
    fn part(&mut self, share: usize) -> Option<Part<'_>> {
        let left = self.tokens[self.done..].len();
        if left == 0 || self.result.is_err() {
            return None;
        }
        // Equal pieces: a short last one would read all weights for a few tokens.
        let size = self.tokens.len().div_ceil(self.tokens.len().div_ceil(share)).min(left);
        Some(Part {
            tokens: &self.tokens[self.done..self.done + size],
            start: self.session.position,
            first: self.first.saturating_sub(self.done),
            caches: &mut self.session.caches,
        })
    }

    /// A pass took `count` tokens, and one of them trapped or none.
    fn advance(&mut self, count: usize, trapped: Option<usize>) {
        if let Some(index) = trapped {
            self.result = Err(EngineError::Trap { position: self.session.position + index });
            self.session.poisoned = true;
        }
        self.session.position += count;
        self.done += count;
    }
}

/// Feeds several sequences of one model in passes that they share, so that the weights are read
/// once for all of them. Each gets the bits that it would get alone; one that fails leaves the
/// others as they are. `visit` is told the feed, the index in its chunk, and the logits.
///
/// # Panics
/// When the sequences are not of one model and the same kernels.
// spec: ENGINE-1.3, ENGINE-12.1, ENGINE-12.2
pub fn feed_together(
    feeds: &mut [Feed<'_>],
    pool: &dyn Pool,
    visit: &mut dyn FnMut(usize, usize, &[i32]),
) -> Vec<Result<(), EngineError>> {
    let Some(first) = feeds.first_mut() else { return Vec::new() };
    let (model, kernels) = (first.session.model.clone(), first.session.kernels);
    let spare = std::mem::take(&mut first.session.spare);
    let alike = |feed: &Feed<'_>| {
        Arc::ptr_eq(&feed.session.model, &model) && feed.session.kernels == kernels
    };
    assert!(feeds.iter().all(alike), "the sequences are of several models");
    let total: usize = feeds.iter().map(|feed| feed.tokens.len()).sum();
    let share = if total <= PASS_TOKENS { total } else { (PASS_TOKENS / feeds.len()).max(1) };
    while pass(&model, kernels, pool, feeds, share, &spare, visit) {}
    feeds[0].session.spare = spare;
    feeds.iter().map(|feed| feed.result).collect()
}

/// One pass over what is left; whether anything was.
fn pass(
    model: &Model,
    kernels: Kernels,
    pool: &dyn Pool,
    feeds: &mut [Feed<'_>],
    share: usize,
    spare: &Spare,
    visit: Visit<'_>,
) -> bool {
    let before: Vec<usize> = feeds.iter().map(|feed| feed.done).collect();
    let parts = feeds.iter_mut().enumerate();
    let parts = parts.filter_map(|(feed, of)| Some((feed, of.part(share)?)));
    let (who, mut parts): (Vec<usize>, Vec<Part<'_>>) = parts.unzip();
    if parts.is_empty() {
        return false;
    }
    let mut pass = Pass::new(&model.network, kernels, pool, &parts, spare);
    pass.layers(&mut parts);
    let ends = pass.logits(&parts, &mut |part, index, logits| {
        visit(who[part], before[who[part]] + index, logits);
    });
    let counts: Vec<usize> = parts.iter().map(|part| part.tokens.len()).collect();
    for ((feed, count), end) in who.into_iter().zip(counts).zip(ends) {
        feeds[feed].advance(count, end);
    }
    true
}
