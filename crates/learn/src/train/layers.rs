//! The parts of a layer that are not matrix products, each with its derivative.
//!
//! Notation: `d_x` is the derivative of the loss by `x`; rows are positions.

use super::real::{Real, dot, sum};
use super::shape::{NORM_EPSILON, ROPE_BASE, Shape};

/// `out = x / rms(x) · gain` per row; keeps each row's reciprocal for the way back.
pub fn norm<T: Real>(x: &[T], gain: &[T], out: &mut [T], reciprocal: &mut [T]) {
    let width = gain.len();
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for ((x, out), reciprocal) in rows.zip(reciprocal) {
        let mean = dot(x, x) / T::of(width as f64);
        *reciprocal = T::ONE / (mean + T::of(NORM_EPSILON)).sqrt();
        for ((out, &x), &gain) in out.iter_mut().zip(x).zip(gain) {
            *out = x * *reciprocal * gain;
        }
    }
}

/// The way back through [`norm`]: adds to `d_x` and `d_gain`.
pub fn norm_back<T: Real>(
    x: &[T],
    gain: &[T],
    reciprocal: &[T],
    d_out: &[T],
    d_x: &mut [T],
    d_gain: &mut [T],
) {
    let width = gain.len();
    let rows = x.chunks_exact(width).zip(d_out.chunks_exact(width));
    for (((x, d_out), d_x), &r) in rows.zip(d_x.chunks_exact_mut(width)).zip(reciprocal) {
        let mut along = [T::ZERO; 4];
        for (((x, d_out), gain), d_gain) in x
            .chunks_exact(4)
            .zip(d_out.chunks_exact(4))
            .zip(gain.chunks_exact(4))
            .zip(d_gain.chunks_exact_mut(4))
        {
            for lane in 0..4 {
                let scaled = d_out[lane] * x[lane];
                along[lane] += scaled * gain[lane];
                d_gain[lane] += scaled * r;
            }
        }
        let pull = along.into_iter().sum::<T>() * r * r * r / T::of(width as f64);
        for (((d_x, &x), &d_out), &gain) in d_x.iter_mut().zip(x).zip(d_out).zip(gain) {
            *d_x += d_out * gain * r - x * pull;
        }
    }
}

/// Cosines and sines of the rotary positions.
#[derive(Debug, Clone)]
pub struct Rotations<T> {
    half: usize,
    cosines: Vec<T>,
    sines: Vec<T>,
}

impl<T: Real> Rotations<T> {
    /// For the first `positions` positions.
    #[must_use]
    pub fn new(shape: &Shape, positions: usize) -> Self {
        let half = shape.head_size / 2;
        let angle = |index: usize| {
            let (position, pair) = ((index / half) as f64, (index % half) as f64);
            position * ROPE_BASE.powf(-pair / half as f64)
        };
        Self {
            half,
            cosines: (0..positions * half).map(|index| T::of(angle(index).cos())).collect(),
            sines: (0..positions * half).map(|index| T::of(angle(index).sin())).collect(),
        }
    }

    /// Turns every head in `heads` (whole heads side by side) to `position`; `T::ONE` turns
    /// forwards, `-T::ONE` back. Number `i` of a head pairs with number `i + half`.
    pub fn turn(&self, heads: &mut [T], position: usize, direction: T) {
        let at = position * self.half..(position + 1) * self.half;
        let (cosines, sines) = (&self.cosines[at.clone()], &self.sines[at]);
        for head in heads.chunks_exact_mut(2 * self.half) {
            let (low, high) = head.split_at_mut(self.half);
            for (((low, high), &cosine), &sine) in low.iter_mut().zip(high).zip(cosines).zip(sines)
            {
                let (a, b, sine) = (*low, *high, sine * direction);
                *low = a * cosine - b * sine;
                *high = b * cosine + a * sine;
            }
        }
    }
}

/// `out = gate · sigmoid(gate) · up` where each row of `both` is the gate and then the up part;
/// keeps the sigmoids for the way back.
pub fn gate<T: Real>(both: &[T], inner: usize, sigmoids: &mut [T], out: &mut [T]) {
    let rows = both.chunks_exact(2 * inner).zip(out.chunks_exact_mut(inner));
    for ((both, out), sigmoids) in rows.zip(sigmoids.chunks_exact_mut(inner)) {
        let (gate, up) = both.split_at(inner);
        for (sigmoid, &gate) in sigmoids.iter_mut().zip(gate) {
            *sigmoid = T::ONE / (T::ONE + (-gate).exp());
        }
        for (((out, &gate), &up), &sigmoid) in out.iter_mut().zip(gate).zip(up).zip(&*sigmoids) {
            *out = gate * sigmoid * up;
        }
    }
}

/// The way back through [`gate`]: writes `d_both`.
pub fn gate_back<T: Real>(both: &[T], inner: usize, sigmoids: &[T], d_out: &[T], d_both: &mut [T]) {
    let rows = both.chunks_exact(2 * inner).zip(d_both.chunks_exact_mut(2 * inner));
    let outer = sigmoids.chunks_exact(inner).zip(d_out.chunks_exact(inner));
    for ((both, d_both), (sigmoids, d_out)) in rows.zip(outer) {
        let (gate, up) = both.split_at(inner);
        let (d_gate, d_up) = d_both.split_at_mut(inner);
        for index in 0..inner {
            let (g, s, d) = (gate[index], sigmoids[index], d_out[index]);
            d_up[index] = d * g * s;
            d_gate[index] = d * up[index] * s * (T::ONE + g * (T::ONE - s));
        }
    }
}

/// Turns logits into probabilities in place and returns the loss (in nats) of the target.
pub fn cross_entropy<T: Real>(logits: &mut [T], target: usize) -> f64 {
    let wanted = logits[target];
    let top = logits.iter().copied().fold(logits[0], |a, b| if b > a { b } else { a });
    for logit in logits.iter_mut() {
        *logit = (*logit - top).faint_exp();
    }
    let total = sum(logits);
    let scale = T::ONE / total;
    for logit in logits.iter_mut() {
        *logit = *logit * scale;
    }
    total.double().ln() - (wanted - top).double()
}
