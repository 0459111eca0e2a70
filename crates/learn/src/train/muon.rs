//! The two update rules: Muon for matrices, AdamW for the token table and the gains.
//!
//! Muon (Jordan and others, 2024) replaces a matrix's momentum by the nearest matrix whose singular
//! values are all about one, found by five Newton–Schulz steps: every direction learns equally
//! fast.

use super::real::{Matrix, Real};

const MOMENTUM: f32 = 0.95;
/// Coefficients of the quintic iteration: steep at zero, so that five steps are enough.
const QUINTIC: (f32, f32, f32) = (3.4445, -4.7750, 2.0315);
const ROUNDS: usize = 5;

/// Buffers of one matrix update.
#[derive(Debug, Default)]
pub struct MuonScratch {
    update: Vec<f32>,
    square: Vec<f32>,
    quartic: Vec<f32>,
    next: Vec<f32>,
}

/// One Muon step on a matrix of `rows` × `columns`.
pub fn muon(
    weights: &mut [f32],
    momentum: &mut [f32],
    gradient: &[f32],
    (rows, columns): (usize, usize),
    rate: f32,
    scratch: &mut MuonScratch,
) {
    scratch.update.clear();
    for (momentum, &gradient) in momentum.iter_mut().zip(gradient) {
        *momentum = MOMENTUM * *momentum + gradient;
        scratch.update.push(gradient + MOMENTUM * *momentum);
    }
    orthogonalise(rows, columns, scratch);
    let rate = rate * (rows as f32 / columns as f32).max(1.0).sqrt();
    for (weight, update) in weights.iter_mut().zip(&scratch.update) {
        *weight -= rate * update;
    }
}

/// Brings all singular values of `scratch.update` near one. Works on the smaller square.
fn orthogonalise(rows: usize, columns: usize, scratch: &mut MuonScratch) {
    let MuonScratch { update, square, quartic, next } = scratch;
    let norm = update.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let shrink = (1.0 / (norm + 1e-12)) as f32;
    update.iter_mut().for_each(|x| *x *= shrink);
    let tall = rows > columns;
    let side = rows.min(columns);
    square.resize(side * side, 0.0);
    quartic.resize(side * side, 0.0);
    next.resize(rows * columns, 0.0);
    let (a, b, c) = QUINTIC;
    for _ in 0..ROUNDS {
        let x = Matrix::new(update, rows, columns);
        let (left, right) = if tall { (x.transposed(), x) } else { (x, x.transposed()) };
        f32::multiply(left, right, 0.0, square);
        let gram = Matrix::new(square, side, side);
        f32::multiply(gram, gram, 0.0, quartic);
        for (quartic, &square) in quartic.iter_mut().zip(&*square) {
            *quartic = b * square + c * *quartic;
        }
        let mixed = Matrix::new(quartic, side, side);
        next.copy_from_slice(update);
        next.iter_mut().for_each(|x| *x *= a);
        let (left, right) = if tall { (x, mixed) } else { (mixed, x) };
        f32::multiply(left, right, 1.0, next);
        std::mem::swap(update, next);
    }
}

const BETA_FIRST: f32 = 0.9;
const BETA_SECOND: f32 = 0.95;
const EPSILON: f32 = 1e-10;

/// One AdamW step; `decay` pulls weights towards zero in proportion to the rate.
pub fn adam(
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    step: u64,
    (rate, decay): (f32, f32),
) {
    let steps = i32::try_from(step.min(100_000)).unwrap_or(i32::MAX) + 1;
    let correct_first = 1.0 / (1.0 - BETA_FIRST.powi(steps));
    let correct_second = 1.0 / (1.0 - BETA_SECOND.powi(steps));
    let moments = first.iter_mut().zip(second);
    for ((weight, (first, second)), &gradient) in weights.iter_mut().zip(moments).zip(gradient) {
        *first = BETA_FIRST * *first + (1.0 - BETA_FIRST) * gradient;
        *second = BETA_SECOND * *second + (1.0 - BETA_SECOND) * gradient * gradient;
        let spread = (*second * correct_second).sqrt() + EPSILON;
        *weight -= rate * (*first * correct_first / spread + decay * *weight);
    }
}
