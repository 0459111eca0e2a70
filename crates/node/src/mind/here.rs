//! A model in this process.

use super::score::{self, Scored};
use super::{Judge, Letters, Mind, MindError, Spec};
use crate::guide::TextGuides;
use crate::models::{ModelError, Site};
use crate::packs::Pack;
use crate::threads::Threads;
use crate::workshop::{Task, Workshop};
use mutirao_engine::run::Checker;
use mutirao_engine::session::Session;
use mutirao_engine::{JobError, Model, Replay as Ran};
use mutirao_gateway::TokenScore;
use mutirao_market::audit::Replay;
use mutirao_text::{TextError, TextStack, TextStream};
use mutirao_wire::bundle::Message;
use mutirao_wire::job::Constraint;
use mutirao_wire::{Finish, Job, Token};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// A model whose weights are in this process.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) name: String,
    pub(crate) model: Arc<Model>,
    pub(crate) text: TextStack,
    pack: Option<Pack>,
    threads: Arc<Threads>,
    /// Bytes of what was read that are kept for prompts that begin alike.
    shelf: u64,
    /// Where its answers are written, once there are any.
    workshop: OnceLock<Workshop>,
    /// The bytes of its tokens, once somebody wants to see them.
    spelled: OnceLock<Result<Vec<Vec<u8>>, TextError>>,
}

impl Here {
    /// Opens a model and its text layer.
    pub(crate) fn open(site: &Site, threads: Arc<Threads>, shelf: u64) -> Result<Self, ModelError> {
        let (model, pack) = site.weights()?;
        Self::new(&site.name, model, pack, threads, shelf)
    }

    /// Gives weights that were read their text layer.
    pub(crate) fn new(
        name: &str,
        model: Model,
        pack: Option<Pack>,
        threads: Arc<Threads>,
        shelf: u64,
    ) -> Result<Self, ModelError> {
        let name = name.to_owned();
        let text = TextStack::new(model.tokenizer(), model.template(), model.vocabulary())
            .map_err(|source| ModelError::Text { name: name.clone(), source })?;
        let guides = TextGuides::new(text.clone(), model.end_of_text());
        let model = Arc::new(model.with_guides(Arc::new(guides)));
        let (workshop, spelled) = (OnceLock::new(), OnceLock::new());
        Ok(Self { name, model, text, pack, threads, shelf, workshop, spelled })
    }

    /// What it is.
    pub(crate) fn spec(&self) -> Spec {
        let model = &self.model;
        Spec {
            id: model.id(),
            op_set: model.op_set(),
            parameters: model.parameters(),
            vocabulary: model.vocabulary(),
            context: model.context(),
            position_bytes: model.position_bytes(),
            end_of_text: model.end_of_text().to_vec(),
            template: model.template().to_vec(),
            packed: self.pack.is_some(),
        }
    }
}

impl From<TextError> for MindError {
    fn from(error: TextError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<JobError> for MindError {
    fn from(error: JobError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl Mind for Here {
    fn prompt(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        date: Option<&str>,
    ) -> Result<Vec<Token>, MindError> {
        Ok(self.text.prompt(messages, tools, date)?)
    }

    fn encode(&self, text: &str) -> Result<Vec<Token>, MindError> {
        Ok(self.text.encode(text)?)
    }

    fn decode(&self, tokens: &[Token]) -> Result<String, MindError> {
        Ok(self.text.decode(tokens)?)
    }

    fn follows(&self, constraint: &Constraint) -> Result<(), MindError> {
        Ok(self.model.follows(constraint).map_err(JobError::Grammar)?)
    }

    fn score(&self, job: &Job, answer: &[Token], top: u8) -> Result<Vec<TokenScore>, MindError> {
        let spelled = self.spelled.get_or_init(|| self.text.spellings());
        let spelled = spelled.as_ref().map_err(|error| MindError::Refused(error.to_string()))?;
        let scored = score::answer(&self.model, job, answer, top.into(), &*self.threads);
        let bytes = |token: Token| spelled.get(token.0 as usize).cloned().unwrap_or_default();
        let token = |scored: Scored| TokenScore {
            bytes: bytes(scored.token),
            logprob: scored.logprob,
            top: scored.top.into_iter().map(|(token, logprob)| (bytes(token), logprob)).collect(),
        };
        let scored = scored.map_err(|error| MindError::Refused(error.to_string()))?;
        Ok(scored.into_iter().map(token).collect())
    }

    fn embed(&self, text: &[Token]) -> Result<Vec<i64>, MindError> {
        let embedded = Session::new(self.model.clone()).embed(text, &*self.threads);
        embedded.map_err(|error| MindError::Refused(error.to_string()))
    }

    fn letters(&self) -> Box<dyn Letters> {
        Box::new(self.text.stream())
    }

    fn judge(&self, job: &Job) -> Result<Box<dyn Judge>, MindError> {
        let checker = Checker::new(self.model.clone(), job.clone())?;
        Ok(Box::new(Bench { checker, threads: self.threads.clone() }))
    }

    fn submit(&self, task: Task) {
        let start = || Workshop::start(self.model.clone(), self.threads.clone(), self.shelf);
        self.workshop.get_or_init(start).submit(task);
    }

    #[cfg(test)]
    fn as_here(&self) -> Option<&Here> {
        Some(self)
    }

    fn is_whole(&self) -> bool {
        self.pack.as_ref().is_none_or(|pack| pack.is_whole(&*self.threads))
    }
}

impl Letters for TextStream {
    fn push(&mut self, token: Token) -> String {
        self.push(token)
    }

    fn finish(self: Box<Self>) -> String {
        (*self).finish()
    }
}

/// The engine's checker, on the engine's threads.
struct Bench {
    checker: Checker,
    threads: Arc<Threads>,
}

impl Judge for Bench {
    fn checked(&self) -> &[Token] {
        self.checker.checked()
    }

    fn check(&mut self, more: &[Token]) -> Result<Replay, MindError> {
        Ok(found(&self.checker.check(more, &*self.threads)))
    }

    fn ends(&mut self, finish: Finish) -> Result<Replay, MindError> {
        Ok(found(&self.checker.ends(finish)))
    }
}

fn found(ran: &Ran) -> Replay {
    match ran {
        Ran::Exact => Replay::Exact,
        Ran::Diverges { index, .. } => Replay::DivergesAt(*index),
        Ran::WrongFinish { .. } => Replay::WrongFinish,
    }
}
