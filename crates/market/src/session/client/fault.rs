//! What providers do wrong, in words.

use crate::session::frame::Refusal;
use thiserror::Error;

/// What a provider did wrong, for people and for the client's memory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Fault {
    #[error("token {found} came where token {expected} was due")]
    OutOfOrder { expected: u32, found: u32 },
    #[error("token {token} is not in the vocabulary of {vocabulary}")]
    OutOfVocabulary { token: u32, vocabulary: u32 },
    #[error("a token after the end of the answer")]
    AfterTheEnd,
    #[error("a token after {0} that it did not sign")]
    Unsigned(u32),
    #[error("a checkpoint over nothing new")]
    NothingNew,
    #[error("a checkpoint whose {0} is wrong")]
    Checkpoint(&'static str),
    #[error("a receipt whose {0} is wrong")]
    Receipt(&'static str),
    #[error("it asks for more than the order allows")]
    AboveTheCeiling,
    #[error("a frame that does not belong here: {0}")]
    Unexpected(&'static str),
    #[error("refused ({code:?}): {reason}")]
    Refused { code: Refusal, reason: String },
}
