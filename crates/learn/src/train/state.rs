//! A training run as one value: weights, moments and the number of steps done.

use super::lessons::Batch;
use super::muon::{MuonScratch, adam, muon};
use super::pass::Pass;
use super::shape::{Kind, Shape, Tensor};
use crate::dice::Dice;
use mutirao_engine::pool::Pool;
use mutirao_wire::Digest;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// Everything that decides what a run makes, apart from its lessons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// The model's shape.
    pub shape: Shape,
    /// The steps of the whole run: the schedule is laid out over them.
    pub steps: u64,
    /// Where the first weights and the lessons come from.
    pub seed: u64,
    /// Rows of a batch.
    pub rows: usize,
    /// Tokens of a row, at most.
    pub row_tokens: usize,
}

/// Where the shipped model's first weights, lessons and tokenizer come from.
const VILLAGE_SEED: u64 = 20_261_123;
const RATE_MATRIX: f64 = 0.02;
const RATE_REST: f64 = 2e-3;
const DECAY_EMBEDDING: f32 = 0.01;
const WARM_STEPS: f64 = 60.0;
const FLAT_UNTIL: f64 = 0.35;
const LAST_FACTOR: f64 = 0.02;
const CLIP: f64 = 1.0;
/// Numbers that one piece of the summing works on.
const CHUNK: usize = 1 << 15;

impl Recipe {
    /// The shipped model's run.
    #[must_use]
    pub const fn village(steps: u64) -> Self {
        Self { shape: Shape::SMALL, steps, seed: VILLAGE_SEED, rows: 6, row_tokens: 512 }
    }

    /// The part of the full rate that step `step` takes: up over the first 60, flat to 35 % of the
    /// run, then down in a line to 2 %.
    #[must_use]
    pub fn rate_factor(&self, step: u64) -> f64 {
        let (step, steps) = (step as f64, self.steps as f64);
        let warm = ((step + 1.0) / WARM_STEPS).min(1.0);
        let fall_from = FLAT_UNTIL * steps;
        if step < fall_from {
            return warm;
        }
        let done = ((step - fall_from) / (steps - fall_from).max(1.0)).min(1.0);
        warm.min(1.0 - (1.0 - LAST_FACTOR) * done)
    }
}

/// The state of a run between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    recipe: Recipe,
    step: u64,
    weights: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What a step saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean weighted loss in nats per answer token, before the step.
    pub loss: f64,
    /// Length of the gradient before clipping.
    pub gradient_norm: f64,
}

/// Buffers of a run that are not state: made once, reused by each step.
#[derive(Debug)]
pub struct Workshop {
    benches: Vec<Mutex<Bench>>,
    gradient: Vec<f32>,
    scratch: Vec<Mutex<MuonScratch>>,
}

#[derive(Debug)]
struct Bench {
    pass: Pass<f32>,
    gradient: Vec<f32>,
    loss: f64,
}

impl Workshop {
    /// Room for the recipe's rows.
    #[must_use]
    pub fn new(recipe: &Recipe) -> Self {
        let parameters = recipe.shape.parameters();
        let bench = |_| {
            Mutex::new(Bench {
                pass: Pass::new(&recipe.shape, recipe.row_tokens),
                gradient: vec![0.0; parameters],
                loss: 0.0,
            })
        };
        let tensors = recipe.shape.tensors().len();
        Self {
            benches: (0..recipe.rows).map(bench).collect(),
            gradient: vec![0.0; parameters],
            scratch: (0..tensors).map(|_| Mutex::default()).collect(),
        }
    }

    /// Runs all rows, sums their gradients in order of the rows, and returns the loss and the
    /// squared length of the sum.
    fn gather(&mut self, weights: &[f32], batch: &Batch, pool: &dyn Pool) -> (f64, f64) {
        let scale = 1.0 / batch.weight().max(f64::MIN_POSITIVE);
        let benches = &self.benches;
        pool.run(benches.len().min(batch.rows.len()), &|index| {
            let mut guard = benches[index].lock().unwrap_or_else(PoisonError::into_inner);
            let bench = &mut *guard;
            bench.gradient.fill(0.0);
            bench.loss = bench.pass.learn(weights, &batch.rows[index], scale, &mut bench.gradient);
        });
        let benches: Vec<&Bench> = self
            .benches
            .iter_mut()
            .map(|bench| &*bench.get_mut().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let sums: Vec<Mutex<(&mut [f32], f64)>> =
            self.gradient.chunks_mut(CHUNK).map(|chunk| Mutex::new((chunk, 0.0))).collect();
        pool.run(sums.len(), &|index| {
            let mut guard = sums[index].lock().unwrap_or_else(PoisonError::into_inner);
            let (sum, length) = &mut *guard;
            let at = index * CHUNK..index * CHUNK + sum.len();
            sum.copy_from_slice(&benches[0].gradient[at.clone()]);
            for bench in &benches[1..] {
                for (sum, part) in sum.iter_mut().zip(&bench.gradient[at.clone()]) {
                    *sum += part;
                }
            }
            *length = sum.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        });
        let squared = sums
            .into_iter()
            .map(|sum| sum.into_inner().unwrap_or_else(PoisonError::into_inner).1)
            .sum();
        (benches.iter().map(|bench| bench.loss).sum(), squared)
    }
}

/// One tensor with its share of every list, so that tensors can be updated side by side.
struct TensorWork<'a> {
    tensor: &'a Tensor,
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: &'a [f32],
}

impl TensorWork<'_> {
    fn update(&mut self, step: u64, factor: f64, scratch: &mut MuonScratch) {
        let rate = (RATE_REST * factor) as f32;
        match self.tensor.kind {
            Kind::Matrix | Kind::Residual => muon(
                self.weights,
                self.first,
                self.gradient,
                (self.tensor.rows, self.tensor.columns),
                (RATE_MATRIX * factor) as f32,
                scratch,
            ),
            Kind::Embedding => {
                let rates = (rate, DECAY_EMBEDDING);
                adam(self.weights, self.first, self.second, self.gradient, step, rates);
            }
            Kind::Norm => {
                adam(self.weights, self.first, self.second, self.gradient, step, (rate, 0.0));
            }
        }
    }
}

/// How many second moments a tensor keeps: Muon needs none.
fn second_moments(tensor: &Tensor) -> usize {
    match tensor.kind {
        Kind::Matrix | Kind::Residual => 0,
        Kind::Embedding | Kind::Norm => tensor.rows * tensor.columns,
    }
}

/// First weights: gains one, the rest normal with a width that keeps sums at unit size.
fn first_weights(recipe: &Recipe) -> Vec<f32> {
    let mut dice = Dice::new(recipe.seed, u64::MAX - 1);
    let mut weights = Vec::with_capacity(recipe.shape.parameters());
    for tensor in recipe.shape.tensors() {
        let inputs = (tensor.columns as f64).sqrt();
        let width = match tensor.kind {
            Kind::Norm => 0.0,
            Kind::Embedding => 0.02,
            Kind::Matrix => 0.6 / inputs,
            Kind::Residual => 0.6 / inputs / (2.0 * recipe.shape.layers as f64).sqrt(),
        };
        let numbers = tensor.rows * tensor.columns;
        weights.extend((0..numbers).map(|_| match tensor.kind {
            Kind::Norm => 1.0,
            _ => (f64::from(dice.normal_thousandths()) / 1000.0 * width) as f32,
        }));
    }
    weights
}

impl TrainState {
    /// The state before the first step.
    ///
    /// # Panics
    /// When the trainer cannot run the shape.
    #[must_use]
    pub fn new(recipe: &Recipe) -> Self {
        assert!(recipe.shape.is_sound(), "the shape must be one the trainer can run");
        let tensors = recipe.shape.tensors();
        Self {
            recipe: *recipe,
            step: 0,
            weights: first_weights(recipe),
            first: vec![0.0; recipe.shape.parameters()],
            second: vec![0.0; tensors.iter().map(second_moments).sum()],
        }
    }

    /// What the run makes.
    #[must_use]
    pub const fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Steps done.
    #[must_use]
    pub const fn step_count(&self) -> u64 {
        self.step
    }

    /// True when the schedule has run out.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.step >= self.recipe.steps
    }

    /// The weights, tensor after tensor.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// A digest of the whole state: equal runs have equal digests.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("mutirao train state 1", &[&self.to_bytes()])
    }

    /// Learns from one batch.
    pub fn step(&mut self, batch: &Batch, workshop: &mut Workshop, pool: &dyn Pool) -> StepReport {
        let (loss, squared) = workshop.gather(&self.weights, batch, pool);
        let gradient_norm = squared.sqrt();
        if gradient_norm > CLIP {
            let shrink = (CLIP / gradient_norm) as f32;
            workshop.gradient.iter_mut().for_each(|x| *x *= shrink);
        }
        let factor = self.recipe.rate_factor(self.step);
        let (step, tensors) = (self.step, self.recipe.shape.tensors());
        let works = self.share_out(&tensors, &workshop.gradient);
        pool.run(works.len(), &|index| {
            let mut work = works[index].lock().unwrap_or_else(PoisonError::into_inner);
            let mut scratch =
                workshop.scratch[index].lock().unwrap_or_else(PoisonError::into_inner);
            work.update(step, factor, &mut scratch);
        });
        self.step += 1;
        StepReport { loss, gradient_norm }
    }

    fn share_out<'a>(
        &'a mut self,
        tensors: &'a [Tensor],
        gradient: &'a [f32],
    ) -> Vec<Mutex<TensorWork<'a>>> {
        let (mut weights, mut first, mut second) =
            (&mut self.weights[..], &mut self.first[..], &mut self.second[..]);
        let mut works = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let (mine, rest) = weights.split_at_mut(tensor.range().len());
            let (my_first, first_rest) = first.split_at_mut(tensor.range().len());
            let (my_second, second_rest) = second.split_at_mut(second_moments(tensor));
            (weights, first, second) = (rest, first_rest, second_rest);
            works.push(Mutex::new(TensorWork {
                tensor,
                weights: mine,
                first: my_first,
                second: my_second,
                gradient: &gradient[tensor.range()],
            }));
        }
        works
    }

    /// The state as bytes: a head, the recipe, all numbers little-endian, and a checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let shape = &self.recipe.shape;
        let sizes = [
            shape.vocabulary,
            shape.hidden,
            shape.layers,
            shape.feed_forward,
            shape.heads,
            shape.shared_heads,
            shape.head_size,
            shape.context,
            self.recipe.rows,
            self.recipe.row_tokens,
        ];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(sizes.into_iter().flat_map(|size| (size as u64).to_le_bytes()));
        for number in [self.recipe.steps, self.recipe.seed, self.step] {
            bytes.extend(number.to_le_bytes());
        }
        for list in [&self.weights, &self.first, &self.second] {
            bytes.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        let digest = Digest::of(CHECKSUM, &[&bytes]);
        bytes.extend(digest.0);
        bytes
    }

    /// Reads a state back; the run goes on exactly where it was.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are damaged or not a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let (body, checksum) = bytes.split_last_chunk::<32>().ok_or(StateError::Truncated)?;
        if Digest::of(CHECKSUM, &[body]).0 != *checksum {
            return Err(StateError::Damaged);
        }
        let body = body.strip_prefix(MAGIC).ok_or(StateError::NotAState)?;
        let mut numbers = Numbers { left: body };
        let mut sizes = [0_usize; 10];
        for size in &mut sizes {
            let value = usize::try_from(numbers.long()?).unwrap_or(usize::MAX);
            *size = if value <= SIZE_MAX { value } else { return Err(StateError::NotAState) };
        }
        let shape = Shape {
            vocabulary: sizes[0],
            hidden: sizes[1],
            layers: sizes[2],
            feed_forward: sizes[3],
            heads: sizes[4],
            shared_heads: sizes[5],
            head_size: sizes[6],
            context: sizes[7],
        };
        let (steps, seed, step) = (numbers.long()?, numbers.long()?, numbers.long()?);
        let recipe = Recipe { shape, steps, seed, rows: sizes[8], row_tokens: sizes[9] };
        if shape.layers > LAYERS_MAX || !shape.is_sound() {
            return Err(StateError::NotAState);
        }
        let second = shape.tensors().iter().map(second_moments).sum();
        let parameters = shape.parameters();
        let state = Self {
            recipe,
            step,
            weights: numbers.floats(parameters)?,
            first: numbers.floats(parameters)?,
            second: numbers.floats(second)?,
        };
        if numbers.left.is_empty() { Ok(state) } else { Err(StateError::NotAState) }
    }
}

const MAGIC: &[u8] = b"mutirao train 1\n";
const CHECKSUM: &str = "mutirao train checkpoint 1";
/// Small enough that no product of sizes of a shape overflows.
const SIZE_MAX: usize = 1 << 16;
const LAYERS_MAX: usize = 1024;

/// Why a checkpoint was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The bytes end too early.
    #[error("the checkpoint is cut short; start from an older one")]
    Truncated,
    /// The checksum does not fit.
    #[error("the checkpoint is damaged; start from an older one")]
    Damaged,
    /// The bytes are something else.
    #[error("these bytes are not a training checkpoint of this version")]
    NotAState,
}

struct Numbers<'a> {
    left: &'a [u8],
}

impl Numbers<'_> {
    fn long(&mut self) -> Result<u64, StateError> {
        let (head, rest) = self.left.split_first_chunk().ok_or(StateError::Truncated)?;
        self.left = rest;
        Ok(u64::from_le_bytes(*head))
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, StateError> {
        let length = count.checked_mul(4).ok_or(StateError::Truncated)?;
        let (mine, rest) = self.left.split_at_checked(length).ok_or(StateError::Truncated)?;
        self.left = rest;
        let number =
            |bytes: &[u8]| bytes.first_chunk().map_or(0.0, |four| f32::from_le_bytes(*four));
        Ok(mine.chunks_exact(4).map(number).collect())
    }
}
