//! A job in progress: prefill in slices, then a token at a time, alone or with others.

use super::written::Written;
use super::{JobError, check, ending};
use crate::kernel::Kernels;
use crate::model::Model;
use crate::pool::Pool;
use crate::session::{EngineError, Feed, Session, feed_together};
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

/// What a generation has read, for another whose prompt begins alike.
#[derive(Debug, Clone)]
pub struct Kept {
    session: Session,
    /// All that are in the session.
    tokens: Vec<Token>,
}

impl Kept {
    /// What was read, from its beginning.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// A copy of the first `count` positions.
    #[must_use]
    pub fn beginning(&self, count: usize) -> Self {
        let count = count.min(self.tokens.len());
        Self { session: self.session.beginning(count), tokens: self.tokens[..count].to_vec() }
    }

    /// Bytes of its caches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.session.bytes()
    }
}

/// How many tokens two texts have in common at their beginning.
#[must_use]
pub fn common(one: &[Token], other: &[Token]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// One job being answered.
#[derive(Debug)]
pub struct Generation {
    model: Arc<Model>,
    job: Job,
    session: Session,
    /// What stands of the answer.
    answer: Written,
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
        let session = Session::with_kernels(model.clone(), kernels);
        Self::with_session(model, job, prefix, session)
    }

    /// As [`Generation::with_prefix`], sparing itself what an earlier generation has read of the
    /// same prompt. No bit of the answer changes.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    // spec: ENGINE-14.7
    pub fn after(
        model: Arc<Model>,
        job: Job,
        prefix: Vec<Token>,
        kept: Kept,
    ) -> Result<Self, JobError> {
        let Kept { mut session, tokens } = kept;
        if !session.is_of(&model) {
            return Self::with_prefix(model, job, prefix);
        }
        // What follows the last token of the prompt is always computed.
        let spared = common(&tokens, &job.prompt).min(job.prompt.len().saturating_sub(1));
        session.truncate(spared);
        Self::with_session(model, job, prefix, session)
    }

    fn with_session(
        model: Arc<Model>,
        job: Job,
        prefix: Vec<Token>,
        session: Session,
    ) -> Result<Self, JobError> {
        check(&model, &job)?;
        let (answer, next, diverged) = (Written::new(&model, &job)?, None, None);
        Ok(Self { model, job, session, answer, prefix, next, diverged })
    }

    /// Ends here, and keeps what was read for a later prompt that begins alike; none after a trap.
    #[must_use]
    pub fn keep(self) -> Option<Kept> {
        let count = self.session.position();
        let tokens = self.job.prompt.iter().chain(self.answer()).copied().take(count);
        let tokens: Vec<Token> = tokens.collect();
        let whole = tokens.len() == count && !self.session.has_failed();
        whole.then_some(Kept { session: self.session, tokens })
    }

    /// The tokens of the answer so far, a checked prefix included.
    #[must_use]
    pub fn answer(&self) -> &[Token] {
        self.answer.tokens()
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
        prefill_together(&mut [(self, budget)], pool).pop().unwrap_or(Ok(Prefill::Ready))
    }

    /// Whether nothing need be fed before the next step.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.next.is_some() || self.diverged.is_some()
    }

    fn progress(&self) -> Prefill {
        let total = self.job.prompt.len() + self.prefix.len();
        match self.diverged {
            Some((index, expected)) => Prefill::PrefixDiverges { index, expected },
            None if self.next.is_some() => Prefill::Ready,
            None => Prefill::Working { done: self.session.position(), total },
        }
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
        self.known().unwrap_or(Step::Finished(Finish::ProviderStopped))
    }

    /// The next step where nothing need be fed to know it.
    pub fn known(&mut self) -> Option<Step> {
        match self.next? {
            Expected::Finish(finish) => Some(Step::Finished(finish)),
            Expected::Token(token) => {
                self.next = None;
                self.accept(token);
                Some(Step::Token(token))
            }
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
        if self.prefix.len() < self.answer().len() {
            self.prefix = self.answer().to_vec();
        }
        self.prefix.extend_from_slice(more);
        // What follows the tokens before is known already and need not be computed again.
        let Some(expected) = self.next.take() else { return };
        let index = self.answer().len();
        match (expected, self.prefix.get(index)) {
            (Expected::Token(token), Some(given)) if token == *given => self.accept(token),
            _ => self.diverged = Some((index, expected)),
        }
        if let Some(finish) = self.next.filter(|_| self.answer().len() < self.prefix.len()) {
            self.diverged = Some((self.answer().len(), finish));
        }
    }

    /// Appends a token that is what the model gives, and sees whether the answer ends with it.
    fn accept(&mut self, token: Token) {
        self.answer.push(token);
        self.next = ending(&self.model, &self.job, self.answer()).map(Expected::Finish);
    }

    /// The next tokens to feed: prompt, then prefix, then what was generated.
    fn upcoming(&self, budget: usize) -> Vec<Token> {
        let answer = self.answer();
        let rest = if answer.len() > self.prefix.len() { answer } else { &self.prefix };
        let vocabulary = self.model.vocabulary();
        let all = self.job.prompt.iter().chain(rest);
        let fed = all.skip(self.session.position()).take(budget);
        fed.copied().take_while(|token| token.0 < vocabulary).collect()
    }

    /// The next slice, and who compares what follows each of its tokens with the prefix.
    fn turn(&mut self, budget: usize) -> Turn<'_> {
        let start = self.session.position();
        let mut tokens = self.upcoming(budget.max(1));
        tokens.truncate((self.model.context() as usize).saturating_sub(start));
        let first = (self.job.prompt.len() - 1).saturating_sub(start);
        let judge = Judge {
            model: &self.model,
            job: &self.job,
            prefix: &self.prefix,
            answer: &mut self.answer,
            start,
            next: None,
            diverged: None,
        };
        Turn { session: &mut self.session, tokens, first, judge }
    }
}

/// One generation's share of a feeding.
struct Turn<'a> {
    session: &'a mut Session,
    tokens: Vec<Token>,
    first: usize,
    judge: Judge<'a>,
}

/// Feeds each generation up to its budget of tokens, in passes that they share; those that know
/// already what follows are left as they are. Each comes to the bits that it comes to alone.
///
/// # Panics
/// When the generations are not of one model and the same kernels.
// spec: ENGINE-14.3, ENGINE-14.6
pub fn prefill_together(
    generations: &mut [(&mut Generation, usize)],
    pool: &dyn Pool,
) -> Vec<Result<Prefill, EngineError>> {
    let waiting = generations.iter_mut().filter(|(generation, _)| !generation.is_ready());
    let turns = waiting.map(|(generation, budget)| generation.turn(*budget));
    let mut found = feed(turns.collect(), pool).into_iter();
    let hear = |(generation, _): &mut (&mut Generation, usize)| {
        if !generation.is_ready() {
            let Found { next, diverged, fed } = found.next().unwrap_or_default();
            (generation.next, generation.diverged) = (next, diverged);
            fed?;
        }
        Ok(generation.progress())
    };
    generations.iter_mut().map(hear).collect()
}

/// What a feeding found out.
struct Found {
    next: Option<Expected>,
    diverged: Option<(usize, Expected)>,
    fed: Result<(), EngineError>,
}

impl Default for Found {
    fn default() -> Self {
        Self { next: None, diverged: None, fed: Ok(()) }
    }
}

fn feed(turns: Vec<Turn<'_>>, pool: &dyn Pool) -> Vec<Found> {
    let split = |Turn { session, tokens, first, judge }| ((session, tokens, first), judge);
    let (mut chunks, mut judges): (Vec<_>, Vec<Judge<'_>>) = turns.into_iter().map(split).unzip();
    let feeds =
        chunks.iter_mut().map(|(session, tokens, first)| Feed::new(session, tokens, *first));
    let mut hear = |feed: usize, index, logits: &[i32]| judges[feed].hear(index, logits);
    let fed = feed_together(&mut feeds.collect::<Vec<_>>(), pool, &mut hear);
    judges.into_iter().zip(fed).map(|(judge, fed)| judge.conclude(fed)).collect()
}

/// Hears the tokens that the model gives, one after the other, and compares.
struct Judge<'a> {
    model: &'a Model,
    job: &'a Job,
    prefix: &'a [Token],
    answer: &'a mut Written,
    /// Position of the first token that is fed.
    start: usize,
    next: Option<Expected>,
    diverged: Option<(usize, Expected)>,
}

impl Judge<'_> {
    /// The logits after a token say what follows the answer so far.
    fn hear(&mut self, index: usize, logits: &[i32]) {
        if self.diverged.is_some() || self.next.is_some() {
            return;
        }
        let position = (self.start + index + 1) as u64;
        let Some(token) = self.answer.choose(logits, &self.job.sampling, position) else {
            return self.finish(Some(Finish::Trap));
        };
        let place = self.answer.tokens().len();
        match self.prefix.get(place) {
            Some(given) if *given == token => {
                self.answer.push(token);
                let end = ending(self.model, self.job, self.answer.tokens());
                self.finish(end);
            }
            Some(_) => self.diverged = Some((place, Expected::Token(token))),
            None => self.next = Some(Expected::Token(token)),
        }
    }

    /// A trap is an ending, anything else that fails is not.
    fn conclude(mut self, fed: Result<(), EngineError>) -> Found {
        let trapped = matches!(fed, Err(EngineError::Trap { .. }));
        if trapped && self.diverged.is_none() && self.next.is_none() {
            self.finish(Some(Finish::Trap));
        }
        let fed = if trapped { Ok(()) } else { fed };
        Found { next: self.next, diverged: self.diverged, fed }
    }

    fn finish(&mut self, end: Option<Finish>) {
        let Some(finish) = end.map(Expected::Finish) else { return };
        self.next = Some(finish);
        let place = self.answer.tokens().len();
        if place < self.prefix.len() {
            self.diverged = Some((place, finish));
        }
    }
}
