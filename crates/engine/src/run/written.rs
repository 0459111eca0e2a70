//! The tokens of an answer that stand, and who follows its grammar along them.

use super::JobError;
use crate::guide::Guide;
use crate::model::Model;
use crate::sample::{choose, choose_among};
use mutirao_wire::{Job, Sampling, Token};

/// An answer as far as it stands.
#[derive(Debug)]
pub(super) struct Written {
    tokens: Vec<Token>,
    guide: Option<Box<dyn Guide>>,
}

impl Written {
    /// Nothing yet of the answer to a job.
    pub(super) fn new(model: &Model, job: &Job) -> Result<Self, JobError> {
        let constraint = job.constraint.as_ref();
        let guide = constraint.map(|constraint| model.guide(constraint)).transpose();
        Ok(Self { tokens: Vec::new(), guide: guide.map_err(JobError::Grammar)? })
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(super) fn push(&mut self, token: Token) {
        self.tokens.push(token);
        if let Some(guide) = &mut self.guide {
            guide.take(token);
        }
    }

    /// What follows after these logits; `None` where the grammar lets nothing follow.
    // spec: ENGINE-14.8
    pub(super) fn choose(
        &mut self,
        logits: &[i32],
        sampling: &Sampling,
        position: u64,
    ) -> Option<Token> {
        match &mut self.guide {
            None => Some(choose(logits, sampling, position)),
            Some(guide) => choose_among(logits, &guide.allowed().ok()?, sampling, position),
        }
    }
}
