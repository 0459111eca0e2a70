//! Trains a small model of the Llama architecture: own forward and backward passes, no framework.
//!
//! A run is a pure function of its [`Recipe`] and its lessons: the schedule follows steps, never
//! the clock; the batch is cut into rows with gradient buffers of their own, summed in a fixed
//! order, so any number of threads gives the same weights; and a [`TrainState`] read back from its
//! bytes goes on exactly where it was. (Weights may differ between kinds of processor, because
//! `exp` and fused multiplication do. That is why training makes a model and the integer engine
//! answers with it.)
#![allow(clippy::float_arithmetic)]

pub mod attention;
pub mod export;
pub mod layers;
pub mod lessons;
pub mod muon;
pub mod pass;
pub mod real;
pub mod shape;
pub mod state;

#[cfg(test)]
mod tests;

pub use lessons::{Batch, Row, VillageLessons};
pub use shape::Shape;
pub use state::{Recipe, StepReport, TrainState, Workshop};
