//! The models of the simulation, run by the real engine: what a job truly gives, and replay.

use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{random_model, small_shape, trapping_model};
use mutirao_engine::{Generation, JobError, LoadError, Model, Replay as Ran, Step, run};
use mutirao_market::audit::{ModelFacts, Replay, Replayer};
use mutirao_wire::{Finish, Job, Token};
use std::sync::Arc;

/// A model and everything that can be asked of it.
#[derive(Debug, Clone)]
pub struct Mind {
    /// The model.
    pub model: Arc<Model>,
}

/// The two models of the simulation.
#[derive(Debug, Clone)]
pub struct Minds {
    /// One that behaves like any small network.
    pub ordinary: Mind,
    /// The same kind, which traps at one token of its vocabulary.
    pub trapping: Mind,
}

impl Minds {
    /// Makes both; they are the same on every machine.
    ///
    /// # Errors
    /// [`LoadError`] when the engine does not take its own files.
    pub fn new() -> Result<Self, LoadError> {
        let mind = |file: Vec<u8>| Model::from_bytes(&file).map(Arc::new).map(Mind::of);
        Ok(Self {
            ordinary: mind(random_model(7, &small_shape()))?,
            trapping: mind(trapping_model(7, &small_shape()))?,
        })
    }
}

impl Mind {
    fn of(model: Arc<Model>) -> Self {
        Self { model }
    }

    /// The unbroken run: what this engine gives by itself.
    ///
    /// # Errors
    /// [`JobError`] when the job does not fit the model.
    pub fn truth(&self, job: &Job) -> Result<(Vec<Token>, Finish), JobError> {
        let mut generation = Generation::start(self.model.clone(), job.clone())?;
        loop {
            if let Step::Finished(finish) = generation.next(&Serial) {
                return Ok((generation.answer().to_vec(), finish));
            }
        }
    }

    /// What a judge of receipts knows about the model.
    #[must_use]
    pub fn facts(&self) -> ModelFacts<'_> {
        let model = &self.model;
        ModelFacts { id: model.id(), op_set: model.op_set(), end_of_text: model.end_of_text() }
    }
}

impl Replayer for Mind {
    type Error = JobError;

    fn replay(
        &mut self,
        job: &Job,
        answer: &[Token],
        finish: Option<Finish>,
    ) -> Result<Replay, JobError> {
        let end = finish.unwrap_or(Finish::Cancelled { index: count(answer) });
        Ok(match run::replay(&self.model, job, answer, end, &Serial)? {
            Ran::Exact => Replay::Exact,
            Ran::Diverges { index, .. } => Replay::DivergesAt(index),
            Ran::WrongFinish { .. } => Replay::WrongFinish,
        })
    }
}

/// How many tokens; answers are short here.
#[must_use]
pub fn count(tokens: &[Token]) -> u32 {
    u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}
