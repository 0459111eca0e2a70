//! What a receipt is worth: signatures, commitments, counts and finish here; the replay itself is a
//! capability that comes in, because only an engine can replay.
//!
//! **Statement.** An accepted bundle shows that a certified key signed exactly these commitments,
//! that they open to exactly this job and answer, and (with replay) that the job gives exactly this
//! answer. What rests on the signer's word alone is listed as attested. Clauses:
//! `docs/spec/receipt.md`.

#[cfg(test)]
mod tests;

use crate::session::client::natural_finish;
use mutirao_wire::bundle::{Evidence, Opening, ReceiptBundle, Statement};
use mutirao_wire::{
    Finish, Job, ModelId, OpSet, ReceiptKey, SignedCheckpoint, SignedOffer, SignedReceipt, Token,
};
use thiserror::Error;

/// What must be known about a model to judge a receipt for it.
#[derive(Debug, Clone, Copy)]
pub struct ModelFacts<'a> {
    /// Its id.
    pub id: ModelId,
    /// Its op set.
    pub op_set: OpSet,
    /// The tokens that end an answer.
    pub end_of_text: &'a [Token],
}

/// Why a receipt is refused without replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The offer is not signed by its provider.
    #[error("the offer that certifies the receipt key is not signed by its provider")]
    OfferSignature,
    /// The offer is another provider's, or for another model.
    #[error("the offer does not certify this receipt: its {0} differs")]
    Certificate(&'static str),
    /// The statement is not signed by the certified key.
    #[error("signature: not signed by the certified receipt key")]
    Signature,
    /// A commitment does not open to the opening.
    #[error("commitment: the {0} in the opening is not the one that was signed")]
    Commitment(&'static str),
    /// A count does not fit the opening.
    #[error("count: the {0} in the receipt is not the opening's")]
    Count(&'static str),
    /// The answer does not end as the receipt says.
    #[error("finish: the answer does not end as the receipt says ({0})")]
    Finish(&'static str),
    /// The model at hand is another.
    #[error("this receipt is for model {}, op set {}", wanted.short(), op_set.0)]
    OtherModel {
        /// The model that is needed.
        wanted: ModelId,
        /// Under which op set.
        op_set: OpSet,
    },
}

/// What replay says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// The job gives exactly this answer and end.
    Exact,
    /// The first token that the job does not give.
    DivergesAt(u32),
    /// All tokens are right; the end is not.
    WrongFinish,
}

/// Replays a job. `finish` is `None` when only the tokens are in question.
pub trait Replayer {
    /// Why a replay cannot be made at all.
    type Error;
    /// Replays.
    ///
    /// # Errors
    /// When the job cannot be run by this model.
    fn replay(
        &mut self,
        job: &Job,
        answer: &[Token],
        finish: Option<Finish>,
    ) -> Result<Replay, Self::Error>;
}

/// Fields of a receipt that replay proves.
// spec: RECEIPT-2.5
pub const PROVEN: &[&str] =
    &["job", "answer", "model", "op set", "prompt tokens", "answer tokens", "finish"];
/// Fields that rest on the signer's word.
pub const ATTESTED: &[&str] = &["order", "served", "price", "started", "duration", "provider"];

/// Checks everything about a bundle that needs no engine.
///
/// # Errors
/// [`AuditError`] names the first thing that is wrong.
// spec: RECEIPT-2.4
pub fn check(bundle: &ReceiptBundle, model: &ModelFacts<'_>) -> Result<(), AuditError> {
    let receipt = &bundle.receipt.receipt;
    check_offer(&bundle.offer, &bundle.opening.job)?;
    if bundle.offer.offer.provider != receipt.provider {
        return Err(AuditError::Certificate("provider"));
    }
    check_receipt(&bundle.receipt, &bundle.offer.offer.receipt_key, &bundle.opening)?;
    check_model(&bundle.opening.job, model)?;
    check_finish(receipt.finish, &bundle.opening, model.end_of_text)
}

fn check_model(job: &Job, model: &ModelFacts<'_>) -> Result<(), AuditError> {
    let same = job.model == model.id && job.op_set == model.op_set;
    let other = AuditError::OtherModel { wanted: job.model, op_set: job.op_set };
    if same { Ok(()) } else { Err(other) }
}

// spec: RECEIPT-1.3
fn check_offer(signed: &SignedOffer, job: &Job) -> Result<(), AuditError> {
    if !signed.verifies() {
        return Err(AuditError::OfferSignature);
    }
    first([
        (signed.offer.model != job.model, AuditError::Certificate("model")),
        (signed.offer.op_set != job.op_set, AuditError::Certificate("op set")),
    ])
}

fn check_receipt(
    signed: &SignedReceipt,
    key: &ReceiptKey,
    opening: &Opening,
) -> Result<(), AuditError> {
    let (receipt, job) = (&signed.receipt, &opening.job);
    let answer = &opening.answer;
    let served = receipt.served;
    first([
        (!signed.verifies(key), AuditError::Signature),
        (receipt.job != job.commitment(), AuditError::Commitment("job")),
        (receipt.answer != job.answer_commitment(answer), AuditError::Commitment("answer")),
        (receipt.model != job.model, AuditError::Commitment("model")),
        (receipt.op_set != job.op_set, AuditError::Commitment("op set")),
        (receipt.prompt_tokens as usize != job.prompt.len(), AuditError::Count("prompt tokens")),
        (receipt.answer_tokens as usize != answer.len(), AuditError::Count("answer tokens")),
        (
            served.start > served.end || served.end != receipt.answer_tokens,
            AuditError::Count("served range"),
        ),
    ])
}

/// An answer that could go on is not finished.
// spec: RECEIPT-3.1, RECEIPT-3.2
fn check_finish(
    finish: Finish,
    opening: &Opening,
    end_of_text: &[Token],
) -> Result<(), AuditError> {
    let natural = natural_finish(&opening.job, end_of_text, &opening.answer);
    match finish {
        Finish::ProviderStopped => Err(AuditError::Finish("the provider gave up: incomplete")),
        Finish::Cancelled { index } => first([(
            index as usize != opening.answer.len(),
            AuditError::Finish("cancelled at another token"),
        )]),
        Finish::Trap if natural.is_some() => Err(AuditError::Finish("it ended before any trap")),
        Finish::Trap => Ok(()),
        _ if natural == Some(finish) => Ok(()),
        _ => Err(AuditError::Finish("its last tokens say otherwise")),
    }
}

fn first<const N: usize>(checks: [(bool, AuditError); N]) -> Result<(), AuditError> {
    let wrong = checks.into_iter().find(|(wrong, _)| *wrong);
    wrong.map_or(Ok(()), |(_, error)| Err(error))
}

/// What evidence comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conviction {
    /// The signer's tokens are not the model's, from this one on.
    Guilty {
        /// The first wrong token; the answer's length when only the end is wrong.
        position: u32,
    },
    /// The tokens are the model's: nobody is convicted.
    NotGuilty,
}

/// Why evidence convicts nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConvictError<E> {
    /// It does not hold together.
    #[error("the evidence does not hold: {0}")]
    Evidence(AuditError),
    /// The replay cannot be made.
    #[error("the replay cannot be made: {0}")]
    Replay(E),
}

/// Judges evidence as a stranger would: signature, certificate, opening, replay.
///
/// # Errors
/// [`ConvictError`] when the evidence does not hold together or the replay cannot be made.
// spec: RECEIPT-4.2
pub fn convict<R: Replayer>(
    evidence: &Evidence,
    model: &ModelFacts<'_>,
    replayer: &mut R,
) -> Result<Conviction, ConvictError<R::Error>> {
    check_evidence(evidence, model).map_err(ConvictError::Evidence)?;
    let Opening { job, answer, .. } = &evidence.opening;
    let finish = match &evidence.statement {
        Statement::Checkpoint(_) => None,
        Statement::Receipt(signed) => claimed(signed.receipt.finish),
    };
    let end = u32::try_from(answer.len()).unwrap_or(u32::MAX);
    Ok(match replayer.replay(job, answer, finish).map_err(ConvictError::Replay)? {
        Replay::Exact => Conviction::NotGuilty,
        Replay::DivergesAt(position) => Conviction::Guilty { position },
        Replay::WrongFinish => Conviction::Guilty { position: end },
    })
}

/// What a finish says about the model. Who admits that he gave up says nothing about it.
// spec: RECEIPT-3.2
fn claimed(finish: Finish) -> Option<Finish> {
    (finish != Finish::ProviderStopped).then_some(finish)
}

fn check_evidence(evidence: &Evidence, model: &ModelFacts<'_>) -> Result<(), AuditError> {
    let (offer, opening) = (&evidence.offer, &evidence.opening);
    check_offer(offer, &opening.job)?;
    check_model(&opening.job, model)?;
    match &evidence.statement {
        Statement::Receipt(signed) => {
            if offer.offer.provider != signed.receipt.provider {
                return Err(AuditError::Certificate("provider"));
            }
            check_receipt(signed, &offer.offer.receipt_key, opening)
        }
        Statement::Checkpoint(signed) => {
            check_checkpoint(signed, &offer.offer.receipt_key, opening)
        }
    }
}

fn check_checkpoint(
    signed: &SignedCheckpoint,
    key: &ReceiptKey,
    opening: &Opening,
) -> Result<(), AuditError> {
    let (point, job) = (&signed.checkpoint, &opening.job);
    first([
        (!signed.verifies(key), AuditError::Signature),
        (point.job != job.commitment(), AuditError::Commitment("job")),
        (point.prefix != job.prefix_digest(&opening.answer), AuditError::Commitment("prefix")),
        (point.index as usize != opening.answer.len(), AuditError::Count("covered tokens")),
    ])
}
