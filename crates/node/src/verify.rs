//! `verify`: reads a receipt or evidence file and says, apart from one another, whether it is
//! signed, whether its commitments open, whether its tokens are the model's, and whether its text
//! is.

#[cfg(test)]
mod tests;

use crate::assemble::Node;
use crate::files::{self, FileError};
use crate::mind::{MindError, Opened};
use crate::models::ModelError;
use mutirao_market::audit::{
    self, ATTESTED, AuditError, ConvictError, Conviction, ModelFacts, PROVEN, Replay, Replayer,
};
use mutirao_text::TEXT_STACK;
use mutirao_wire::ModelId;
use mutirao_wire::bundle::{
    BundleError, EVIDENCE_FORMAT, Evidence, Opening, RECEIPT_FORMAT, ReceiptBundle,
};
use mutirao_wire::limits::BUNDLE_BYTES_MAX;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a file could not be judged at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no receipt and no evidence.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It is about a model that is not here.
    #[error("this is about model {}, which is not here; `mutirao ls` lists what is, and \
         `--model DIR` names another place", model.short())]
    ModelNotHere {
        /// The model.
        model: ModelId,
    },
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What was found out about a file.
#[derive(Debug, Clone)]
pub struct Verdict {
    holds: bool,
    refusal: Option<String>,
    replay: Option<Replay>,
    lines: Vec<(&'static str, String)>,
}

impl Verdict {
    /// Whether the file holds: a receipt that is true, or evidence that convicts.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// Why it was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// What replay said, if it came to that.
    #[must_use]
    pub fn replay(&self) -> Option<Replay> {
        self.replay
    }

    /// The first token that the model does not give.
    #[must_use]
    pub fn diverges_at(&self) -> Option<u32> {
        match self.replay {
            Some(Replay::DivergesAt(position)) => Some(position),
            _ => None,
        }
    }

    /// Everything, a name and a finding each.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        self.lines.clone()
    }
}

/// Reads a file that may be a receipt or evidence.
///
/// # Errors
/// [`VerifyError::File`] when it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, VerifyError> {
    Ok(files::read_bounded(path, BUNDLE_BYTES_MAX as u64)?)
}

impl Node {
    /// Judges a receipt or evidence file.
    ///
    /// # Errors
    /// [`VerifyError`] when it cannot be judged: no such file, no such model.
    pub fn verify(&self, content: &[u8]) -> Result<Verdict, VerifyError> {
        match ReceiptBundle::from_json(content) {
            Ok(bundle) => self.verify_bundle(&bundle),
            Err(BundleError::Format { found, .. }) if found == EVIDENCE_FORMAT => {
                self.verify_evidence(&Evidence::from_json(content)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Judges a receipt: signatures, commitments, end, then replay, then text.
    ///
    /// # Errors
    /// As [`Node::verify`].
    pub fn verify_bundle(&self, bundle: &ReceiptBundle) -> Result<Verdict, VerifyError> {
        let receipt = &bundle.receipt.receipt;
        let opened = self.model_of(bundle.opening.job.model)?;
        let mut lines = vec![
            ("format", RECEIPT_FORMAT.to_owned()),
            ("receipt", bundle.receipt.id().to_string()),
            ("provider", receipt.provider.to_string()),
            ("model", format!("{} ({})", opened.name, bundle.opening.job.model.short())),
        ];
        if let Err(error) = audit::check(bundle, &facts(&opened)) {
            return Ok(refused(lines, None, error.to_string()));
        }
        lines.push(("signature", "signed by the certified receipt key".into()));
        lines.push(("finish", receipt.finish.word().to_owned()));
        let Opening { job, answer, .. } = &bundle.opening;
        let replay = opened.replayer().replay(job, answer, Some(receipt.finish));
        match replay {
            Err(error) => return Ok(refused(lines, None, format!("replay: {error}"))),
            Ok(replay) if replay != Replay::Exact => {
                return Ok(refused(lines, Some(replay), said(replay)));
            }
            Ok(_) => lines.push(("tokens", format!("exact ({} replayed)", answer.len()))),
        }
        lines.push(("text", text_verdict(&opened, &bundle.opening)));
        lines.push(("proven", PROVEN.join(", ")));
        lines.push(("attested", format!("{} (the signer's word)", ATTESTED.join(", "))));
        let text_holds =
            lines.iter().any(|(name, text)| *name == "text" && !text.starts_with("DIFF"));
        if !text_holds {
            let why = "text: it is not what these tokens say".to_owned();
            return Ok(refused(lines, Some(Replay::Exact), why));
        }
        Ok(Verdict { holds: true, refusal: None, replay: Some(Replay::Exact), lines })
    }

    fn verify_evidence(&self, evidence: &Evidence) -> Result<Verdict, VerifyError> {
        let opened = self.model_of(evidence.opening.job.model)?;
        let provider = evidence.offer.offer.provider;
        let mut lines = vec![
            ("format", EVIDENCE_FORMAT.to_owned()),
            ("accused", provider.to_string()),
            ("model", format!("{} ({})", opened.name, evidence.opening.job.model.short())),
        ];
        let convicted = audit::convict(evidence, &facts(&opened), &mut opened.replayer());
        Ok(match convicted {
            Ok(Conviction::Guilty { position }) => {
                let words = format!("guilty: token {position} is signed and not the model's");
                lines.push(("verdict", words));
                let replay = Some(Replay::DivergesAt(position));
                Verdict { holds: true, refusal: None, replay, lines }
            }
            Ok(_) => {
                let why = "not guilty: every signed token is the model's".to_owned();
                refused(lines, Some(Replay::Exact), why)
            }
            Err(error) => refused(lines, None, convict_words(&error)),
        })
    }

    /// The model here that has this id, whole: a damaged one would accuse the honest.
    fn model_of(&self, model: ModelId) -> Result<Arc<Opened>, VerifyError> {
        let found = self.by_id(model)?;
        match self.prove(&found) {
            Ok(()) => Ok(found),
            Err(_) => Ok(self.open(&found.name)?),
        }
    }

    fn by_id(&self, model: ModelId) -> Result<Arc<Opened>, VerifyError> {
        if let Some(open) = self.opened(model) {
            return Ok(open);
        }
        let listed = self.models().list()?;
        let opened = listed.iter().filter_map(|listed| self.open(&listed.name).ok());
        let found = opened.into_iter().find(|opened| opened.id() == model);
        found.ok_or(VerifyError::ModelNotHere { model })
    }

    /// Keeps an evidence file.
    pub(crate) fn keep_evidence(&self, evidence: &Evidence) -> Result<PathBuf, FileError> {
        let folder = self.config().data_dir.join("evidence");
        files::make_private_dir(&folder)?;
        let accused = evidence.offer.offer.provider;
        let job = evidence.opening.job.commitment();
        let path = folder.join(format!("{}-{}.json", accused.short(), job.short()));
        let about = serde_json::json!({ "accused": accused.to_string() });
        files::write_whole(&path, evidence.to_json(about).as_bytes())?;
        Ok(path)
    }
}

fn facts(opened: &Opened) -> ModelFacts<'_> {
    let spec = &opened.spec;
    ModelFacts { id: spec.id, op_set: spec.op_set, end_of_text: &spec.end_of_text }
}

fn convict_words(error: &ConvictError<MindError>) -> String {
    error.to_string()
}

fn refused(mut lines: Vec<(&'static str, String)>, replay: Option<Replay>, why: String) -> Verdict {
    lines.push(("refused", why.clone()));
    Verdict { holds: false, refusal: Some(why), replay, lines }
}

fn said(replay: Replay) -> String {
    match replay {
        Replay::Exact => "tokens: exact".into(),
        Replay::DivergesAt(position) => {
            format!("tokens: diverge at {position}: replay gives another token there")
        }
        Replay::WrongFinish => AuditError::Finish("replay ends otherwise").to_string(),
    }
}

/// The text's own verdict: rendered, tokenised and read again by this program's text layer.
fn text_verdict(opened: &Opened, opening: &Opening) -> String {
    let Some(text) = &opening.text else { return "none in the opening".into() };
    let mind = opened.mind();
    let prompt = mind.prompt(&text.messages, text.tools.as_ref(), text.date.as_deref());
    let answer = mind.decode(&opening.answer);
    let matches = prompt.is_ok_and(|prompt| prompt == opening.job.prompt)
        && answer.is_ok_and(|answer| answer == text.answer);
    match (matches, text.text_stack == TEXT_STACK) {
        (true, _) => "matches: rendered and tokenised again".into(),
        (false, true) => "DIFFERS: the messages or the answer are not those of the tokens".into(),
        (false, false) => format!("other text-stack version ({}); not judged", text.text_stack),
    }
}
