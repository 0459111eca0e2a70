//! A published model of any family that op set 1 runs, in single precision, as it was trained: what
//! the integer engine is held against.
//!
//! A reading of its own of `config.json` and of the weights: a conversion that misunderstood either
//! would not agree with it. Obvious rather than quick; nothing two machines must agree on. Weights
//! are read a few rows at a time where they are not kept, so a model larger than memory can be
//! measured too: what is in memory is some rows of each thread, and the streams of one text.

mod network;
mod plan;
mod weights;

pub use network::Sequence;
pub use weights::{Stored, Weights};

use super::compare::{Predictor, choice};
use super::exact::Answerer;
use mutirao_engine::load::SourceError;
use mutirao_engine::pool::{Pool, Serial};
use plan::Plan;
use thiserror::Error;
use weights::{InMemory, Kept};

/// Why a published model cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The configuration is not JSON.
    #[error("config.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is missing, or nothing is known of its value.
    #[error("config.json: {0} is missing or not understood")]
    Field(String),
    /// The weights are not safetensors files.
    #[error("the weights cannot be read: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    /// A tensor is missing or has another size than the configuration says.
    #[error("tensor {0} is missing or has another size or type than it should")]
    Tensor(String),
    /// A tensor cannot be read from the files that it is in.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A token that the model does not have.
    #[error("token {token} is out of the vocabulary of {vocabulary}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens that the model knows.
        vocabulary: usize,
    },
}

/// The model.
pub struct Reference<'a> {
    plan: Plan,
    weights: Box<dyn Weights + 'a>,
    pool: &'a dyn Pool,
}

impl<'a> Reference<'a> {
    /// Of a configuration and the safetensors files with its weights, widened once and kept.
    ///
    /// # Errors
    /// [`ReferenceError`].
    pub fn read(config: &[u8], files: &[&[u8]]) -> Result<Self, ReferenceError> {
        let plan = Plan::read(config)?;
        let kept = Kept::new(&plan, &InMemory::new(files)?)?;
        Ok(Self { plan, weights: Box::new(kept), pool: &Serial })
    }

    /// Of a configuration and weights that stay where they are, read anew for every text.
    ///
    /// # Errors
    /// [`ReferenceError`].
    pub fn stored(config: &[u8], weights: impl Weights + 'a) -> Result<Self, ReferenceError> {
        let plan = Plan::read(config)?;
        Ok(Self { plan, weights: Box::new(weights), pool: &Serial })
    }

    /// The same on these threads.
    #[must_use]
    pub fn on(self, pool: &'a dyn Pool) -> Self {
        Self { pool, ..self }
    }

    /// An empty sequence.
    #[must_use]
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence::new(self)
    }

    /// The logits after every token, one list after the other.
    ///
    /// # Errors
    /// [`ReferenceError`] when the weights cannot be read, or do not know a token.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>, ReferenceError> {
        let normed = self.sequence().read(tokens)?;
        self.head(&normed)
    }

    /// Tokens that it knows.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.plan.vocabulary
    }
}

/// Positions whose logits are made at once: for each, as many numbers as there are tokens.
const POSITIONS_AT_ONCE: usize = 64;

impl Predictor for Reference<'_> {
    type Error = ReferenceError;

    fn predict(
        &mut self,
        tokens: &[u32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), ReferenceError> {
        let normed = self.sequence().read(tokens)?;
        let mut index = 0;
        for some in normed.chunks(POSITIONS_AT_ONCE * self.plan.hidden) {
            for logits in self.head(some)?.chunks_exact(self.plan.vocabulary) {
                visit(index, logits);
                index += 1;
            }
        }
        Ok(())
    }
}

impl Answerer for Reference<'_> {
    type Error = ReferenceError;

    fn answer(
        &mut self,
        prompt: &[u32],
        end: u32,
        limit: usize,
    ) -> Result<Vec<u32>, ReferenceError> {
        let mut sequence = self.sequence();
        let mut next = choice(&sequence.feed(prompt)?) as u32;
        let mut said = Vec::new();
        while next != end && said.len() < limit {
            said.push(next);
            next = choice(&sequence.feed(&[next])?) as u32;
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests;
