//! Replaying an answer: one pass over prompt and answer says whether it is the model's own.

use super::generation::{Expected, Generation, Prefill};
use super::{JobError, ending};
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
    let mut generation = Generation::with_prefix(model.clone(), job.clone(), answer.to_vec())?;
    loop {
        match generation.prefill(SLICE, pool) {
            Ok(Prefill::Working { .. }) => {}
            Ok(Prefill::Ready) => break,
            Ok(Prefill::PrefixDiverges { index, expected }) => {
                return Ok(diverges(index, expected));
            }
            // Only a wrong token of the answer can be refused, and it diverges before it is fed.
            Err(_) => return Ok(Replay::WrongFinish { expected: None }),
        }
    }
    let actual = match generation.expected() {
        Some(Expected::Finish(finish)) => Some(finish),
        _ => ending(model, job, answer),
    };
    Ok(compare(answer, finish, actual))
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
