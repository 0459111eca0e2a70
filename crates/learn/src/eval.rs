//! How well a model answers, and how close two ways of running it are.
//!
//! Exact match on held-out items, counted for anything that answers ([`Answerer`]); and for two
//! sources of logits ([`Predictor`]), such as the float weights and the integer engine, the mean
//! divergence of their predictions and how often their first choices agree.
#![allow(clippy::float_arithmetic)]

mod compare;
mod exact;
mod integer;
mod reference;

pub use compare::{Agreement, CompareError, Predictor, compare, from_fixed, lead};
pub use exact::{Answerer, EvalError, Score, Scores, questions, right_texts, score};
pub use integer::IntegerModel;
pub use reference::{Reference, ReferenceError, Sequence, Stored, Weights};
