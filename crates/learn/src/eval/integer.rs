//! The integer engine as something that answers and predicts, to be held against the float model.

use super::compare::{Predictor, from_fixed};
use super::exact::Answerer;
use mutirao_engine::pool::Pool;
use mutirao_engine::{EngineError, Model, Session};
use mutirao_wire::Token;
use std::sync::Arc;

/// A model in whole numbers, with the threads it may use.
pub struct IntegerModel<'a> {
    model: Arc<Model>,
    pool: &'a dyn Pool,
}

fn tokens(numbers: &[u32]) -> Vec<Token> {
    numbers.iter().copied().map(Token).collect()
}

/// The lowest index of the maximum, as op set 1 says.
fn greedy(logits: &[i32]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best as u32
}

impl<'a> IntegerModel<'a> {
    /// Answers with the model.
    #[must_use]
    pub const fn new(model: Arc<Model>, pool: &'a dyn Pool) -> Self {
        Self { model, pool }
    }
}

impl Answerer for IntegerModel<'_> {
    type Error = EngineError;

    fn answer(&mut self, prompt: &[u32], end: u32, limit: usize) -> Result<Vec<u32>, EngineError> {
        let mut session = Session::new(Arc::clone(&self.model));
        let mut next = greedy(&session.feed(&tokens(prompt), self.pool)?);
        let mut said = Vec::new();
        while next != end && said.len() < limit {
            said.push(next);
            next = greedy(&session.feed(&[Token(next)], self.pool)?);
        }
        Ok(said)
    }
}

impl Predictor for IntegerModel<'_> {
    type Error = EngineError;

    fn predict(
        &mut self,
        text: &[u32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        let mut session = Session::new(Arc::clone(&self.model));
        let mut logits = Vec::new();
        session.feed_each(&tokens(text), self.pool, &mut |index, fixed| {
            from_fixed(fixed, &mut logits);
            visit(index, &logits);
        })
    }
}
