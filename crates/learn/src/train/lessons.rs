//! What a step learns from: conversations as tokens, packed into rows.

use super::state::Recipe;
use crate::dice::Dice;
use crate::village::chat::{Conversation, conversation};
use crate::village::tokens::{TokenizerError, encode};
use std::ops::Range;
use tokenizers::Tokenizer;

/// A token to be predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The position in the row after which the token comes.
    pub position: usize,
    /// The token.
    pub token: u32,
    /// How much it counts, before the batch's weights are made to sum to one.
    pub weight: f32,
}

/// Several conversations one after the other; they do not see each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// Where each conversation lies; positions count from its start.
    pub examples: Vec<Range<usize>>,
    /// What is to be learned, in order of position.
    pub targets: Vec<Target>,
}

/// The rows of one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The rows: each is one piece of work with a gradient of its own.
    pub rows: Vec<Row>,
}

impl Batch {
    /// The sum of all weights.
    #[must_use]
    pub fn weight(&self) -> f64 {
        let targets = self.rows.iter().flat_map(|row| &row.targets);
        targets.map(|target| f64::from(target.weight)).sum()
    }

    /// The number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.rows.iter().map(|row| row.tokens.len()).sum()
    }
}

/// A conversation as tokens. An answer of `n` tokens counts `√n` in all: each of its tokens
/// `1/√n`, or stories would drown out sums.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lesson {
    tokens: Vec<u32>,
    targets: Vec<Target>,
}

impl Lesson {
    /// Turns a conversation into tokens, leaving out last turns beyond `limit` tokens.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn new(
        tokenizer: &Tokenizer,
        talk: &Conversation,
        limit: usize,
    ) -> Result<Self, TokenizerError> {
        let mut lesson = Self::default();
        for turn in talk.pieces().chunks(2) {
            let Some((question, answer)) = turn.first().zip(turn.get(1)) else { break };
            let question = encode(tokenizer, &question.text)?;
            let answer = encode(tokenizer, &answer.text)?;
            if lesson.tokens.len() + question.len() + answer.len() > limit {
                break;
            }
            lesson.tokens.extend(question);
            let weight = 1.0 / (answer.len() as f32).sqrt();
            for token in answer {
                let position = lesson.tokens.len() - 1;
                lesson.targets.push(Target { position, token, weight });
                lesson.tokens.push(token);
            }
        }
        Ok(lesson)
    }

    /// How many tokens it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// True if not even the first turn fitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

impl Row {
    /// Adds a lesson at the end.
    pub fn push(&mut self, lesson: &Lesson) {
        let start = self.tokens.len();
        self.tokens.extend(&lesson.tokens);
        self.examples.push(start..self.tokens.len());
        let moved = lesson.targets.iter().map(|t| Target { position: t.position + start, ..*t });
        self.targets.extend(moved);
    }
}

/// The village's lessons: step `n` of a seed is always the same batch.
#[derive(Debug, Clone)]
pub struct VillageLessons {
    tokenizer: Tokenizer,
    seed: u64,
    rows: usize,
    row_tokens: usize,
}

/// Lessons that may fail to fit before the rows count as full.
const MISSES_MAX: usize = 12;

impl VillageLessons {
    /// The lessons of a run.
    #[must_use]
    pub const fn new(tokenizer: Tokenizer, recipe: &Recipe) -> Self {
        let Recipe { seed, rows, row_tokens, .. } = *recipe;
        Self { tokenizer, seed, rows, row_tokens }
    }

    /// The batch of a step: first fit, until a dozen lessons in a row found no room.
    ///
    /// # Errors
    /// When the tokenizer refuses a text.
    pub fn batch(&self, step: u64) -> Result<Batch, TokenizerError> {
        let mut dice = Dice::new(self.seed, step);
        let mut rows = vec![Row::default(); self.rows];
        let mut misses = 0;
        while misses < MISSES_MAX {
            let talk = conversation(&mut dice, None);
            let lesson = Lesson::new(&self.tokenizer, &talk, self.row_tokens)?;
            let fits = |row: &&mut Row| row.tokens.len() + lesson.len() <= self.row_tokens;
            match rows.iter_mut().find(fits) {
                Some(row) if !lesson.is_empty() => row.push(&lesson),
                _ => misses += 1,
            }
        }
        Ok(Batch { rows })
    }
}
