//! A model that is open, wherever it works: in this process ([`Here`]), or in one of its own that
//! may be broken without harm (`worker`). Both do the same things, behind [`Mind`]; who asks one
//! does not see which it is.
//!
//! What the two have in common is exact: the same job has the same tokens, the same text the same
//! prompt. So a worker that died is replaced by another, which goes on with the very next token.

mod here;
mod score;

pub(crate) use here::Here;

use crate::models::{Facts, ModelError, Site};
use crate::threads::Threads;
use crate::worker::{Means, Worker};
use crate::workshop::Task;
use mutirao_gateway::TokenScore;
use mutirao_market::audit::{Replay, Replayer};
use mutirao_wire::bundle::Message;
use mutirao_wire::job::Constraint;
use mutirao_wire::{Finish, Job, ModelId, OpSet, Token};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// Why a model did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MindError {
    /// What it was asked is not for it.
    #[error("{0}")]
    Refused(String),
    /// Its process ended, and the one after it as well.
    #[error("the model's process ended: {0}; ask again, and see what its log says")]
    Gone(String),
}

/// What must be known of a model to deal with its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// A digest of everything that determines its answers.
    pub id: ModelId,
    /// The op set it runs under.
    pub op_set: OpSet,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Size of its vocabulary.
    pub vocabulary: u32,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// Bytes of keys and values for one position.
    pub position_bytes: u64,
    /// Tokens that end a text.
    pub end_of_text: Vec<Token>,
    /// Its chat template.
    pub template: Vec<u8>,
    /// Whether its weights are packed on the disk.
    pub packed: bool,
}

/// What can be done with a model.
pub(crate) trait Mind: Send + Sync + std::fmt::Debug {
    /// The prompt of a conversation.
    fn prompt(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        date: Option<&str>,
    ) -> Result<Vec<Token>, MindError>;
    /// The tokens of a text.
    fn encode(&self, text: &str) -> Result<Vec<Token>, MindError>;
    /// The text of tokens.
    fn decode(&self, tokens: &[Token]) -> Result<String, MindError>;
    /// Whether answers can be held to this.
    fn follows(&self, constraint: &Constraint) -> Result<(), MindError>;
    /// How probable each token of an answer was, and the `top` most probable ones at its place.
    fn score(&self, job: &Job, answer: &[Token], top: u8) -> Result<Vec<TokenScore>, MindError>;
    /// What it makes of a text: a direction in whole numbers.
    fn embed(&self, text: &[Token]) -> Result<Vec<i64>, MindError>;
    /// The text of tokens that come one by one.
    fn letters(&self) -> Box<dyn Letters>;
    /// Whoever looks whether tokens are the model's answer to a job.
    fn judge(&self, job: &Job) -> Result<Box<dyn Judge>, MindError>;
    /// Has a job answered, together with all others; what becomes of it is told to its outlet.
    fn submit(&self, task: Task);
    /// Whether its packed weights are what was packed.
    fn is_whole(&self) -> bool;
    /// Has it try to read a key, and to do what else nothing should do that reads models: what came
    /// of it, in words. Nothing where it is in this process, which does all of that.
    fn escape(&self, key: &Path, outside: &Path) -> Option<Result<String, MindError>> {
        let _ = (key, outside);
        None
    }
    /// Itself, where it is in this process.
    #[cfg(test)]
    fn as_here(&self) -> Option<&Here> {
        None
    }
}

/// Text in the making.
pub(crate) trait Letters: Send {
    /// The next token; the text that is certain by now.
    fn push(&mut self, token: Token) -> String;
    /// The rest.
    fn finish(self: Box<Self>) -> String;
}

/// An answer that is looked at piece by piece.
pub(crate) trait Judge: Send {
    /// The tokens that were found to be the model's.
    fn checked(&self) -> &[Token];
    /// Looks at the next ones. After a divergence every further piece diverges at the same place.
    fn check(&mut self, more: &[Token]) -> Result<Replay, MindError>;
    /// Compares the ending, once all tokens are found to be the model's.
    fn ends(&mut self, finish: Finish) -> Result<Replay, MindError>;
}

/// A model that is ready to answer.
#[derive(Debug)]
pub struct Opened {
    /// Its name, for people.
    pub name: String,
    /// What it is.
    pub spec: Arc<Spec>,
    site: Site,
    mind: Arc<dyn Mind>,
}

impl Opened {
    /// Opens a model in this process.
    pub(crate) fn here(site: Site, threads: Arc<Threads>, shelf: u64) -> Result<Self, ModelError> {
        let here = Arc::new(Here::open(&site, threads, shelf)?);
        let spec = Arc::new(here.spec());
        Ok(Self { name: site.name.clone(), spec, site, mind: here })
    }

    /// Opens a model in a process of its own.
    pub(crate) fn in_worker(site: Site, means: Means) -> Result<Self, ModelError> {
        let worker = Worker::start(site.clone(), means)?;
        let spec = worker.spec();
        Ok(Self { name: site.name.clone(), spec, site, mind: Arc::new(worker) })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.spec.id
    }

    /// What is in this process.
    #[cfg(test)]
    pub(crate) fn as_here(&self) -> &Here {
        self.mind.as_here().expect("it is in this process")
    }

    /// What it can do.
    pub(crate) fn mind(&self) -> &Arc<dyn Mind> {
        &self.mind
    }

    /// Throws its pack away; the next opening makes it again.
    pub(crate) fn discard_pack(&self) {
        if let Some(folder) = &self.site.path {
            crate::packs::discard(folder);
        }
    }

    /// What this model is.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            name: self.name.clone(),
            model_id: self.spec.id.to_string(),
            op_set: self.spec.op_set.0,
            parameters: self.spec.parameters,
            vocabulary: self.spec.vocabulary,
            context: self.spec.context,
            text_stack: mutirao_text::TEXT_STACK,
        }
    }

    /// Runs it where the law asks whether an answer is the model's.
    pub(crate) fn replayer(&self) -> MindReplayer {
        MindReplayer(self.mind.clone())
    }
}

/// Replays for the law.
pub(crate) struct MindReplayer(Arc<dyn Mind>);

impl Replayer for MindReplayer {
    type Error = MindError;

    fn replay(
        &mut self,
        job: &Job,
        answer: &[Token],
        finish: Option<Finish>,
    ) -> Result<Replay, MindError> {
        let mut judge = self.0.judge(job)?;
        match (judge.check(answer)?, finish) {
            (Replay::Exact, Some(finish)) => judge.ends(finish),
            (found, _) => Ok(found),
        }
    }
}
