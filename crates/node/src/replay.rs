//! Replay for the law: runs the engine where `market` asks whether an answer is the model's.

use crate::threads::Threads;
use mutirao_engine::pool::Pool;
use mutirao_engine::{JobError, Model, Replay as Ran, run};
use mutirao_market::audit::{Replay, Replayer};
use mutirao_wire::{Finish, Job, Token};
use std::sync::Arc;

/// Replays with one model on some threads.
#[derive(Debug)]
pub struct EngineReplayer {
    /// The model.
    pub model: Arc<Model>,
    /// The threads.
    pub threads: Arc<Threads>,
}

impl Replayer for EngineReplayer {
    type Error = JobError;

    fn replay(
        &mut self,
        job: &Job,
        answer: &[Token],
        finish: Option<Finish>,
    ) -> Result<Replay, JobError> {
        let pool: &dyn Pool = &*self.threads;
        // Where only the tokens are in question, any end is taken.
        let tokens = u32::try_from(answer.len()).unwrap_or(u32::MAX);
        let end = finish.unwrap_or(Finish::Cancelled { index: tokens });
        Ok(match run::replay(&self.model, job, answer, end, pool)? {
            Ran::Exact => Replay::Exact,
            Ran::Diverges { index, .. } => Replay::DivergesAt(index),
            Ran::WrongFinish { .. } => Replay::WrongFinish,
        })
    }
}
