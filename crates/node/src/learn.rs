//! The chores of the village model: training it, and scoring it against its own float weights.
//!
//! The law of learning is in `mutirao-learn`; here stand the files, the clock and the threads.

mod score;
mod train;

pub use score::{CardOrder, VillageCard};
pub use train::{Progress, TrainingOrder};

use crate::files::FileError;
use crate::models::ModelError;
use mutirao_learn::eval::ReferenceError;
use mutirao_learn::train::export::ExportError;
use mutirao_learn::train::state::StateError;
use mutirao_learn::village::tokens::TokenizerError;
use thiserror::Error;

/// Why a chore of learning stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LearnError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model could not be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer could not be made or read.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The weights could not be written or read.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The float weights cannot be run.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The checkpoint is none.
    #[error("the checkpoint cannot be resumed: {0}; delete it to begin anew")]
    State(#[from] StateError),
    /// A checkpoint of another run.
    #[error("the checkpoint belongs to a run of {found} steps, not {asked}; use its own steps")]
    OtherRun {
        /// Steps of the checkpoint's run.
        found: u64,
        /// Steps that were asked for.
        asked: u64,
    },
    /// A model failed on a question.
    #[error("the evaluation stopped: {0}")]
    Evaluation(String),
}
