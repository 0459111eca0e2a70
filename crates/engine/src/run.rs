//! One job, one answer: generating it, and replaying it.
//!
//! An answer is a pure function of the job and the model. The same code decides what follows,
//! whether a token is generated, checked in a handed-over prefix, or replayed from a receipt.

mod generation;
mod replay;
mod written;

pub use generation::{Expected, Generation, Kept, Prefill, Step, common, prefill_together};
pub use replay::{Checker, Replay, replay};

use crate::guide::NoGuide;
use crate::model::Model;
use mutirao_wire::{Finish, Job, ModelId, OpSet, Token};
use thiserror::Error;

/// Why a job cannot be run on a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JobError {
    /// The job names another model.
    #[error("the job wants model {wanted}, this one is {actual}")]
    Model {
        /// In the job.
        wanted: ModelId,
        /// Here.
        actual: ModelId,
    },
    /// The job wants other semantics.
    #[error("the job wants op set {}, the model has op set {}", wanted.0, actual.0)]
    OpSet {
        /// In the job.
        wanted: OpSet,
        /// Of the model.
        actual: OpSet,
    },
    /// Nothing to answer to.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// No room for an answer.
    #[error("max_tokens is 0; ask for at least one token")]
    NoTokens,
    /// A token that the model does not know.
    #[error("token {token} of the prompt is out of the vocabulary of {vocabulary}")]
    TokenOutOfVocabulary {
        /// The token.
        token: u32,
        /// Tokens that the model knows.
        vocabulary: u32,
    },
    /// Prompt and answer do not fit.
    #[error("prompt and answer want {wanted} positions, the model's context has {context}")]
    ContextExceeded {
        /// Positions wanted.
        wanted: u64,
        /// Positions there are.
        context: u32,
    },
    /// Nobody here follows its grammar.
    #[error("the job has a grammar that cannot be followed: {0}")]
    Grammar(NoGuide),
}

/// Whether a job can be run on a model, its grammar aside.
///
/// # Errors
/// [`JobError`] saying why not.
// spec: ENGINE-14.1
pub fn check(model: &Model, job: &Job) -> Result<(), JobError> {
    if job.model != model.id() {
        return Err(JobError::Model { wanted: job.model, actual: model.id() });
    }
    if job.op_set != model.op_set() {
        return Err(JobError::OpSet { wanted: job.op_set, actual: model.op_set() });
    }
    if job.prompt.is_empty() {
        return Err(JobError::EmptyPrompt);
    }
    if job.max_tokens == 0 {
        return Err(JobError::NoTokens);
    }
    let (vocabulary, context) = (model.vocabulary(), model.context());
    let unknown = job.prompt.iter().find(|token| token.0 >= vocabulary);
    if let Some(&Token(token)) = unknown {
        return Err(JobError::TokenOutOfVocabulary { token, vocabulary });
    }
    let wanted = job.prompt.len() as u64 + u64::from(job.max_tokens);
    if wanted > u64::from(context) {
        return Err(JobError::ContextExceeded { wanted, context });
    }
    Ok(())
}

/// How an answer ends with its last token, if it does.
// spec: ENGINE-14.2
#[must_use]
pub fn ending(model: &Model, job: &Job, answer: &[Token]) -> Option<Finish> {
    let last = answer.last()?;
    if model.end_of_text().contains(last) {
        Some(Finish::Eos)
    } else if job.stops(answer) {
        Some(Finish::Stop)
    } else if answer.len() >= job.max_tokens as usize {
        Some(Finish::Length)
    } else {
        None
    }
}
