//! Exact match on held-out items.

use crate::dice::Dice;
use crate::village::chat::{END, prompt};
use crate::village::tokens::{TokenizerError, decode, encode};
use crate::village::{Example, Split, TASKS, Task, sample};
use thiserror::Error;
use tokenizers::Tokenizer;

/// Anything that continues a prompt: the float model, the integer engine, a whole network.
pub trait Answerer {
    /// What went wrong.
    type Error: std::error::Error;

    /// The greedy answer to the prompt, without the token that ends it: at most `limit` tokens.
    ///
    /// # Errors
    /// When there is no answer to be had.
    fn answer(&mut self, prompt: &[u32], end: u32, limit: usize) -> Result<Vec<u32>, Self::Error>;
}

/// Why an evaluation stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError<E: std::error::Error> {
    /// The tokenizer refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tokenizer is not the village's.
    #[error("the tokenizer has no {END} token; evaluate with the model's own tokenizer")]
    NoEnd,
    /// The answerer failed.
    #[error("no answer: {0}")]
    Answer(E),
}

/// Right answers out of questions asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Score {
    /// Right answers.
    pub right: u32,
    /// Questions.
    pub asked: u32,
}

/// A score for every task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scores {
    scores: [Score; TASKS.len()],
}

impl Scores {
    fn place(task: Task) -> usize {
        TASKS.iter().position(|other| *other == task).unwrap_or(0)
    }

    /// Counts one answer.
    pub fn record(&mut self, task: Task, right: bool) {
        let score = &mut self.scores[Self::place(task)];
        score.asked += 1;
        score.right += u32::from(right);
    }

    /// The score of a task.
    #[must_use]
    pub fn of(&self, task: Task) -> Score {
        self.scores[Self::place(task)]
    }

    /// The mean over tasks that were asked, in thousandths.
    #[must_use]
    pub fn mean_thousandths(&self) -> u32 {
        let asked = || self.scores.iter().filter(|score| score.asked > 0);
        let total: u32 = asked().map(|score| score.right * 1000 / score.asked).sum();
        total / asked().count().max(1) as u32
    }
}

/// Tokens an answer may have: a story has about a hundred.
const ANSWER_LIMIT: usize = 160;

/// The held-out questions of an evaluation: `each` of every task, the same for the same seed.
#[must_use]
pub fn questions(seed: u64, each: usize) -> Vec<Example> {
    let draw = |task: Task| {
        let mut dice = Dice::new(seed, Scores::place(task) as u64);
        (0..each).map(move |_| sample(&mut dice, Some(task), Split::Test))
    };
    TASKS.into_iter().flat_map(draw).collect()
}

/// The right answers as texts to be predicted: all tokens, and the place of the prompt's last one.
///
/// # Errors
/// When the tokenizer refuses a text.
pub fn right_texts(
    tokenizer: &Tokenizer,
    questions: &[Example],
) -> Result<Vec<(Vec<u32>, usize)>, TokenizerError> {
    let text = |question: &Example| {
        let mut tokens = encode(tokenizer, &prompt(&question.user))?;
        let last = tokens.len().saturating_sub(1);
        tokens.extend(encode(tokenizer, &question.assistant)?);
        Ok((tokens, last))
    };
    questions.iter().map(text).collect()
}

/// Asks every question on its own and counts the right answers; `wrong` sees what was said instead.
///
/// # Errors
/// [`EvalError`] when the tokenizer or the answerer fails.
pub fn score<A: Answerer>(
    answerer: &mut A,
    tokenizer: &Tokenizer,
    questions: &[Example],
    wrong: &mut dyn FnMut(&Example, &str),
) -> Result<Scores, EvalError<A::Error>> {
    let end = tokenizer.token_to_id(END).ok_or(EvalError::NoEnd)?;
    let mut scores = Scores::default();
    for question in questions {
        let tokens = encode(tokenizer, &prompt(&question.user))?;
        let said = answerer.answer(&tokens, end, ANSWER_LIMIT).map_err(EvalError::Answer)?;
        let text = decode(tokenizer, &said)?;
        let right = question.accepts(&text);
        scores.record(question.task, right);
        if !right {
            wrong(question, &text);
        }
    }
    Ok(scores)
}
