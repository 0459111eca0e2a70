//! Replaying an answer: one pass over prompt and answer says whether it is the model's own.

use super::JobError;
use super::generation::{Expected, Generation, Prefill};
use crate::model::Model;
use crate::pool::Pool;
use mutirao_wire::{Finish, Job, Token};
use std::sync::Arc;

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Every token and the ending are the model's.
    Exact,
    /// A token is not what the model gives.
    Diverges {
        /// Of the first such token.
        index: u32,
        /// What the model gives there; none where its answer had ended.
        expected: Option<Token>,
    },
    /// The tokens are the model's, the ending is not.
    WrongFinish {
        /// How the answer ends after these tokens; none if it goes on.
        expected: Option<Finish>,
    },
}

/// Tokens of one slice. Slices change no bit; they bound the memory of a pass.
const SLICE: usize = 512;

/// Checks an answer piece by piece, each token once, however many pieces there are.
#[derive(Debug)]
pub struct Checker {
    generation: Generation,
}

impl Checker {
    /// Nothing of the answer is checked yet.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    pub fn new(model: Arc<Model>, job: Job) -> Result<Self, JobError> {
        Ok(Self { generation: Generation::start(model, job)? })
    }

    /// The tokens that were found to be the model's.
    #[must_use]
    pub fn checked(&self) -> &[Token] {
        self.generation.answer()
    }

    /// Checks the next tokens. After a divergence every further piece diverges at the same place.
    pub fn check(&mut self, more: &[Token], pool: &dyn Pool) -> Replay {
        self.generation.hand_over(more);
        loop {
            match self.generation.prefill(SLICE, pool) {
                Ok(Prefill::Working { .. }) => {}
                Ok(Prefill::Ready) => return Replay::Exact,
                Ok(Prefill::PrefixDiverges { index, expected }) => {
                    return diverges(index, expected);
                }
                // Only a wrong token of the answer can be refused, and it diverges before it is
                // fed.
                Err(_) => return Replay::WrongFinish { expected: None },
            }
        }
    }

    /// Compares the ending, once all tokens are found to be the model's.
    #[must_use]
    pub fn ends(&self, finish: Finish) -> Replay {
        let actual = match self.generation.expected() {
            Some(Expected::Finish(finish)) => Some(finish),
            _ => None,
        };
        compare(self.checked(), finish, actual)
    }
}

/// Replays an answer and its ending.
///
/// A cancelled or abandoned answer is exact when its tokens are: that it stopped there was the
/// client's or the provider's doing, not the model's.
///
/// # Errors
/// [`JobError`] when the job does not fit the model.
// spec: ENGINE-14.5
pub fn replay(
    model: &Arc<Model>,
    job: &Job,
    answer: &[Token],
    finish: Finish,
    pool: &dyn Pool,
) -> Result<Replay, JobError> {
    let mut checker = Checker::new(model.clone(), job.clone())?;
    Ok(match checker.check(answer, pool) {
        Replay::Exact => checker.ends(finish),
        other => other,
    })
}

fn diverges(index: usize, expected: Expected) -> Replay {
    let expected = match expected {
        Expected::Token(token) => Some(token),
        Expected::Finish(_) => None,
    };
    let index = u32::try_from(index).expect("an answer is shorter than the context");
    Replay::Diverges { index, expected }
}

fn compare(answer: &[Token], finish: Finish, actual: Option<Finish>) -> Replay {
    let holds = match finish {
        Finish::Cancelled { index } => index as usize == answer.len(),
        Finish::ProviderStopped => true,
        _ => actual == Some(finish),
    };
    if holds { Replay::Exact } else { Replay::WrongFinish { expected: actual } }
}
