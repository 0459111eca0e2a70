//! What a provider's engine says next: the truth, or a lie that goes on as consistently as the
//! model would after it.

use crate::mind::{Mind, count};
use crate::plan::Lie;
use mutirao_engine::pool::Serial;
use mutirao_engine::{Generation, JobError, Prefill, Step};
use mutirao_market::session::client::natural_finish;
use mutirao_market::session::provider::Event;
use mutirao_wire::{Finish, Job, Token};

/// Tokens of prompt and prefix that are read between two signs of life.
const SLICE: usize = 16;

/// An engine at work on one job for one client.
#[derive(Debug)]
pub struct Tongue {
    mind: Mind,
    job: Job,
    generation: Generation,
    said: Vec<Token>,
    ready: bool,
    lying: bool,
    next_lie: Option<Lie>,
}

/// What was said.
#[derive(Debug)]
pub struct Said {
    /// What the provider's half hears from its engine.
    pub event: Event,
    /// The place of the answer that this is a lie about, if it is one.
    pub lie: Option<u32>,
}

impl Tongue {
    /// Begins with what others wrote.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    pub fn new(mind: &Mind, job: Job, prefix: Vec<Token>) -> Result<Self, JobError> {
        let said = prefix.clone();
        let generation = Generation::with_prefix(mind.model.clone(), job.clone(), prefix)?;
        let (ready, lying, next_lie) = (false, false, None);
        Ok(Self { mind: mind.clone(), job, generation, said, ready, lying, next_lie })
    }

    /// Whether prompt and prefix are read.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// How many tokens the answer has.
    #[must_use]
    pub fn count(&self) -> u32 {
        count(&self.said)
    }

    /// Makes the next word a lie.
    pub fn corrupt(&mut self, lie: Lie) {
        self.next_lie = Some(lie);
    }

    /// Says the next thing.
    pub fn speak(&mut self) -> Said {
        match self.next_lie.take() {
            Some(Lie::Refuse) if !self.ready && !self.said.is_empty() => {
                let place = self.count() / 2;
                Said { event: Event::PrefixDiverges(place), lie: Some(place) }
            }
            Some(lie) if self.ready => self.lie(lie),
            _ if self.ready => honest(self.write()),
            later => {
                self.next_lie = later;
                honest(self.read())
            }
        }
    }

    fn read(&mut self) -> Event {
        match self.generation.prefill(SLICE, &Serial) {
            Ok(Prefill::Working { done, total }) => {
                let number = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
                Event::Reading { done: number(done), total: number(total), cached: 0 }
            }
            Ok(Prefill::Ready) => {
                self.ready = true;
                Event::Ready
            }
            Ok(Prefill::PrefixDiverges { index, .. }) => {
                Event::PrefixDiverges(u32::try_from(index).unwrap_or(u32::MAX))
            }
            Err(error) => Event::BadJob(error.to_string()),
        }
    }

    /// The next token, or the end; after a lie the end is read from the tokens.
    fn write(&mut self) -> Event {
        let ends = self.mind.model.end_of_text();
        if let Some(finish) = natural_finish(&self.job, ends, &self.said).filter(|_| self.lying) {
            return Event::Finished(finish);
        }
        match self.generation.next(&Serial) {
            Step::Token(token) => {
                self.said.push(token);
                Event::Token(token)
            }
            Step::Finished(finish) => Event::Finished(finish),
        }
    }

    fn lie(&mut self, lie: Lie) -> Said {
        let place = self.count();
        let truth = self.write();
        let told = match (lie, &truth) {
            (Lie::Finish(claim), Event::Token(_)) => return wrong(Event::Finished(claim), place),
            (Lie::Finish(claim), Event::Finished(finish)) if claim != *finish => {
                return wrong(Event::Finished(claim), place);
            }
            (Lie::Token, Event::Token(right)) => other(*right, self.mind.model.vocabulary()),
            (Lie::Token, Event::Finished(Finish::Trap)) => Token(1),
            (Lie::EndOfText, Event::Token(_)) => self.mind.model.end_of_text()[0],
            _ => return honest(truth),
        };
        if matches!(truth, Event::Token(right) if right == told) {
            return honest(truth);
        }
        self.said.truncate(place as usize);
        self.said.push(told);
        match self.go_on_after_a_lie() {
            Ok(()) => wrong(Event::Token(told), place),
            Err(error) => honest(Event::Broken(error.to_string())),
        }
    }

    /// To the engine a lie is a longer prompt. Chance hangs on the absolute position, so it goes on
    /// as it would have.
    fn go_on_after_a_lie(&mut self) -> Result<(), JobError> {
        self.lying = true;
        let left = self.job.max_tokens.saturating_sub(self.count());
        if left == 0 {
            return Ok(());
        }
        let prompt = [self.job.prompt.as_slice(), &self.said].concat();
        let rest = Job { prompt, max_tokens: left, stop: Vec::new(), ..self.job.clone() };
        self.generation = Generation::start(self.mind.model.clone(), rest)?;
        Ok(())
    }
}

fn honest(event: Event) -> Said {
    Said { event, lie: None }
}

fn wrong(event: Event, place: u32) -> Said {
    Said { event, lie: Some(place) }
}

/// Another token, which ends no text.
fn other(token: Token, vocabulary: u32) -> Token {
    Token(if token.0 + 1 < vocabulary { token.0 + 1 } else { 1 })
}
