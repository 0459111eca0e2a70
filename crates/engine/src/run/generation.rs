//! A job in progress: prefill in slices, then a token at a time.

use super::{JobError, check, ending};
use crate::kernel::Kernels;
use crate::model::Model;
use crate::pool::Pool;
use crate::sample::choose;
use crate::session::{EngineError, Session};
use mutirao_wire::{Finish, Job, Token};
use std::sync::Arc;

/// How far prefilling is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefill {
    /// Call again.
    Working {
        /// Tokens done.
        done: usize,
        /// Tokens of prompt and prefix.
        total: usize,
    },
    /// The next token can be asked for.
    Ready,
    /// The prefix is not what this model gives.
    PrefixDiverges {
        /// Of the first token of the prefix that differs.
        index: usize,
        /// What stands there instead.
        expected: Expected,
    },
}

/// What follows at a place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This token.
    Token(Token),
    /// Nothing: the answer ended before.
    Finish(Finish),
}

/// What comes next in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A token.
    Token(Token),
    /// The end.
    Finished(Finish),
}

/// One job being answered.
#[derive(Debug)]
pub struct Generation {
    model: Arc<Model>,
    job: Job,
    session: Session,
    /// The tokens of the answer that stand.
    answer: Vec<Token>,
    /// Handed over and not yet checked.
    prefix: Vec<Token>,
    /// What follows `answer`, once known.
    next: Option<Expected>,
    diverged: Option<(usize, Expected)>,
}

impl Generation {
    /// Begins an answer.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    pub fn start(model: Arc<Model>, job: Job) -> Result<Self, JobError> {
        Self::with_prefix(model, job, Vec::new())
    }

    /// Goes on after `prefix`, which is checked while prefilling.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    pub fn with_prefix(model: Arc<Model>, job: Job, prefix: Vec<Token>) -> Result<Self, JobError> {
        Self::with_kernels(model, job, prefix, Kernels::detect())
    }

    /// As [`Generation::with_prefix`], with chosen kernels.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    pub fn with_kernels(
        model: Arc<Model>,
        job: Job,
        prefix: Vec<Token>,
        kernels: Kernels,
    ) -> Result<Self, JobError> {
        check(&model, &job)?;
        let session = Session::with_kernels(model.clone(), kernels);
        let (answer, next, diverged) = (Vec::new(), None, None);
        Ok(Self { model, job, session, answer, prefix, next, diverged })
    }

    /// The tokens of the answer so far, a checked prefix included.
    #[must_use]
    pub fn answer(&self) -> &[Token] {
        &self.answer
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Feeds up to `budget` tokens of prompt and prefix, and checks the prefix on the way.
    ///
    /// # Errors
    /// [`EngineError`] for anything but a trap, which is an ending.
    // spec: ENGINE-14.3
    pub fn prefill(&mut self, budget: usize, pool: &dyn Pool) -> Result<Prefill, EngineError> {
        if let Some((index, expected)) = self.diverged {
            return Ok(Prefill::PrefixDiverges { index, expected });
        }
        let total = self.job.prompt.len() + self.prefix.len();
        if self.next.is_none() {
            self.feed(budget.max(1), pool)?;
        }
        Ok(match self.diverged {
            Some((index, expected)) => Prefill::PrefixDiverges { index, expected },
            None if self.next.is_some() => Prefill::Ready,
            None => Prefill::Working { done: self.session.position(), total },
        })
    }

    /// The next token, or the end. Finishes prefilling where that has not been done; after a
    /// diverging prefix there is no answer to go on with, and the end is `ProviderStopped`.
    // spec: ENGINE-14.2, ENGINE-14.4
    pub fn next(&mut self, pool: &dyn Pool) -> Step {
        loop {
            match self.prefill(usize::MAX, pool) {
                Ok(Prefill::Working { .. }) => {}
                Ok(Prefill::Ready) => break,
                _ => return Step::Finished(Finish::ProviderStopped),
            }
        }
        match self.next {
            Some(Expected::Finish(finish)) => Step::Finished(finish),
            Some(Expected::Token(token)) => {
                self.next = None;
                self.accept(token);
                Step::Token(token)
            }
            None => Step::Finished(Finish::ProviderStopped),
        }
    }

    /// What follows the answer so far, once [`Prefill::Ready`].
    #[must_use]
    pub fn expected(&self) -> Option<Expected> {
        self.next
    }

    /// Hands over more tokens, to be checked like a prefix: they follow all that was handed over or
    /// generated before.
    // spec: ENGINE-14.3
    pub fn hand_over(&mut self, more: &[Token]) {
        if self.diverged.is_some() || more.is_empty() {
            return;
        }
        if self.prefix.len() < self.answer.len() {
            self.prefix.clone_from(&self.answer);
        }
        self.prefix.extend_from_slice(more);
        // What follows the tokens before is known already and need not be computed again.
        let Some(expected) = self.next.take() else { return };
        let index = self.answer.len();
        match (expected, self.prefix.get(index)) {
            (Expected::Token(token), Some(given)) if token == *given => self.accept(token),
            _ => self.diverged = Some((index, expected)),
        }
        if let Some(finish) = self.next.filter(|_| self.answer.len() < self.prefix.len()) {
            self.diverged = Some((self.answer.len(), finish));
        }
    }

    /// Appends a token that is what the model gives, and sees whether the answer ends with it.
    fn accept(&mut self, token: Token) {
        self.answer.push(token);
        self.next = ending(&self.model, &self.job, &self.answer).map(Expected::Finish);
    }

    /// The next tokens to feed: prompt, then prefix, then what was generated.
    fn upcoming(&self, budget: usize) -> Vec<Token> {
        let rest = if self.answer.len() > self.prefix.len() { &self.answer } else { &self.prefix };
        let vocabulary = self.model.vocabulary();
        let all = self.job.prompt.iter().chain(rest);
        let fed = all.skip(self.session.position()).take(budget);
        fed.copied().take_while(|token| token.0 < vocabulary).collect()
    }

    /// Feeds a slice and compares what follows each token with what the prefix has there.
    fn feed(&mut self, budget: usize, pool: &dyn Pool) -> Result<(), EngineError> {
        let start = self.session.position();
        let mut tokens = self.upcoming(budget);
        let room = (self.model.context() as usize).saturating_sub(start);
        tokens.truncate(room);
        let prompt = self.job.prompt.len();
        let first = (prompt - 1).saturating_sub(start);
        let mut judge = Judge {
            model: &self.model,
            job: &self.job,
            prefix: &self.prefix,
            answer: &mut self.answer,
            next: None,
            diverged: None,
        };
        let sampling = judge.job.sampling;
        let fed = self.session.feed_from(&tokens, first, pool, &mut |index, logits| {
            judge.hear(choose(logits, &sampling, (start + index + 1) as u64));
        });
        if let Err(EngineError::Trap { .. }) = fed {
            judge.trap();
        }
        (self.next, self.diverged) = (judge.next, judge.diverged);
        match fed {
            Err(EngineError::Trap { .. }) => Ok(()),
            other => other,
        }
    }
}

/// Hears the tokens that the model gives, one after the other, and compares.
struct Judge<'a> {
    model: &'a Model,
    job: &'a Job,
    prefix: &'a [Token],
    answer: &'a mut Vec<Token>,
    next: Option<Expected>,
    diverged: Option<(usize, Expected)>,
}

impl Judge<'_> {
    /// `token` follows the answer so far.
    fn hear(&mut self, token: Token) {
        if self.diverged.is_some() || self.next.is_some() {
            return;
        }
        match self.prefix.get(self.answer.len()) {
            Some(given) if *given == token => {
                self.answer.push(token);
                let end = ending(self.model, self.job, self.answer);
                self.finish(end);
            }
            Some(_) => self.diverged = Some((self.answer.len(), Expected::Token(token))),
            None => self.next = Some(Expected::Token(token)),
        }
    }

    fn trap(&mut self) {
        if self.diverged.is_none() && self.next.is_none() {
            self.finish(Some(Finish::Trap));
        }
    }

    fn finish(&mut self, end: Option<Finish>) {
        let Some(finish) = end.map(Expected::Finish) else { return };
        self.next = Some(finish);
        if self.answer.len() < self.prefix.len() {
            self.diverged = Some((self.answer.len(), finish));
        }
    }
}
